"""Measure side by side: each candidate in turn, several rounds, the best time of each.

These machines are shared and noisy. The best of several interleaved rounds is the time with the least of others' work
in it, and only ratios between candidates of one run are claimed.
"""

import gc
from collections.abc import Callable, Mapping
from time import perf_counter


def best_times(candidates: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Return the best time of each candidate in seconds."""
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(rounds):
        for name, candidate in candidates.items():
            gc.collect()
            begun = perf_counter()
            candidate()
            best[name] = min(best[name], perf_counter() - begun)
    return best
