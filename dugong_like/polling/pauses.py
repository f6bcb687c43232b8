"""Pauses before something is tried again: they grow, and are not the same for everybody.

Not here: whether to try again, and waiting (wake.py).
"""

from __future__ import annotations

from typing import Final

MAX_DOUBLINGS: Final = 30  # of a pause; more would be years


def growing_pause(first: float, repetition: int, most: float, *, jitter: bool = True) -> float:
    """Return the seconds to wait before a repetition; 0 is the first.

    Args:
        first: seconds before the first one, which double with each further one.
        repetition: its number.
        most: seconds at most.
        jitter: True to make each pause a random part of it, at least a half, so that clients that
            failed together do not come back together.

    """
    seconds = min(first * 2 ** min(repetition, MAX_DOUBLINGS), most)
    if not jitter:
        return float(seconds)
    import random  # noqa: PLC0415 - 1 ms, for those who pause

    return float(seconds * random.uniform(0.5, 1))  # noqa: S311 - no secret
