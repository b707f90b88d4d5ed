"""Measure side by side: each candidate in turn, several rounds, the best time of each.

These machines are shared and noisy. The best of several interleaved rounds is the time with the least of others' work
in it, and only ratios between candidates of one run are claimed.
"""

import gc
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final

SHORT: Final = 0.005


def best_times(candidates: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Return the best time of each candidate in seconds; a short one is run several times in a row for each time."""
    loops = {name: max(1, round(SHORT / _seconds(candidate))) for name, candidate in candidates.items()}
    best = dict.fromkeys(candidates, float("inf"))
    gc.collect()
    gc.freeze()  # what the benchmark itself holds is not looked at again by the collector while a candidate runs
    for _ in range(rounds):
        for name, candidate in candidates.items():
            gc.collect()
            best[name] = min(best[name], _seconds(candidate, loops[name]))
    gc.unfreeze()
    return best


def _seconds(candidate: Callable[[], object], loops: int = 1) -> float:
    begun = perf_counter()
    for _ in range(loops):
        candidate()
    return (perf_counter() - begun) / loops
