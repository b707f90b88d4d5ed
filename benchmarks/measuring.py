"""Timing of candidates side by side, in several rounds; the best time of each candidate counts.

The machines are shared and noisy. The best of several interleaved rounds has the least interference, and only ratios
between candidates of the same run are claimed.
"""

import gc
from collections.abc import Callable, Container, Mapping
from time import perf_counter
from typing import Final

MIN_SECONDS_PER_TIMING: Final = 0.005


def best_times(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int, once: Container[str] = ()
) -> dict[str, float]:
    """Return the best time of each candidate in seconds; short candidates are repeated for each timing.

    Those that use up what was made for them run `once` for each timing.
    """
    loops = {
        name: 1 if name in once else max(1, round(MIN_SECONDS_PER_TIMING / _seconds(candidate)))
        for name, candidate in candidates.items()
    }
    best = dict.fromkeys(candidates, float("inf"))
    gc.collect()
    gc.freeze()  # the collector does not examine the benchmark's own objects while a candidate runs
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
