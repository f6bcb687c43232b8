"""What each of these programs has: its options, when it stops, what is left, and its last line.

That line is for people, and `__main__` reads it too.
"""

from __future__ import annotations

import argparse
import gc
import re
import time
from pathlib import Path
from typing import NamedTuple, Self

from dugong_like.polling.wake import checkpoint_descriptors

DEFAULT_SECONDS = 10.0


def parser(
    documentation: str, otherwise: str = f"{DEFAULT_SECONDS:g} seconds"
) -> argparse.ArgumentParser:
    """Return a parser with the options that all have.

    The title is the first line of *documentation*; *otherwise* is what is done without a limit.
    """
    made = argparse.ArgumentParser(description=documentation.partition("\n")[0])
    made.add_argument("--seconds", type=float, help="for how long")
    made.add_argument(
        "--count", type=int, help=f"how many attempts; with neither limit: {otherwise}"
    )
    made.add_argument("--seed", type=int, default=1, help="for all that is left to chance")
    return made


def open_descriptors() -> int:
    """Return how many descriptors are open; 0 where that cannot be found out.

    The library keeps a few for its next checkpoints, which do not count.
    """
    gc.collect()
    for folder in ("/proc/self/fd", "/dev/fd"):
        if Path(folder).is_dir():
            return max(sum(1 for _ in Path(folder).iterdir()) - checkpoint_descriptors(), 0)
    return 0


class Limit:
    """When a program has tried enough: after so many seconds, so many attempts, or either.

    Args:
        seconds: from now on; None for no limit.
        count: of attempts; None for no limit.

    """

    def __init__(self, seconds: float | None = None, count: int | None = None) -> None:
        self._seconds = seconds
        self._count = count
        self._begin = time.monotonic()

    @classmethod
    def of(cls, options: argparse.Namespace, parts: int = 1) -> Self:
        """Return what the command line says, or one of so many equal parts of it."""
        seconds, count = options.seconds, options.count
        if seconds is None and count is None:
            seconds = DEFAULT_SECONDS
        return cls(
            None if seconds is None else seconds / parts,
            None if count is None else -(-count // parts),
        )

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begin

    def progress(self, done: int) -> float:
        """Return which part of it *done* attempts, and the time, are; 1 is all of it."""
        parts = [0.0]
        for spent, limit in ((self.passed, self._seconds), (done, self._count)):
            if limit is not None:
                parts.append(spent / limit if limit > 0 else 1.0)
        return max(parts)

    def reached(self, done: int) -> bool:
        """Return True if there is to be no further attempt after *done* ones."""
        return self.progress(done) >= 1


class Summary(NamedTuple):
    """The last line of a program.

    Attributes:
        count: how many attempts there were.
        tried: what they were, in the plural.
        seed: of all that was left to chance.
        violations: how often the library did what it must not do.

    """

    count: int
    tried: str
    seed: int
    violations: int

    def __str__(self) -> str:
        return f"{self.count} {self.tried}, seed {self.seed}; {self.violations} violations"

    @classmethod
    def parse(cls, line: str) -> Summary | None:
        """Return what *line* says, or None if it is none."""
        if found := SUMMARY.fullmatch(line.strip()):
            return cls(int(found[1]), found[2], int(found[3]), int(found[4]))
        return None

    def tell(self) -> int:
        """Print it; return the exit status of the program."""
        print(self, flush=True)
        return 1 if self.violations else 0


SUMMARY = re.compile(r"(\d+) (.+), seed (-?\d+); (\d+) violations")
