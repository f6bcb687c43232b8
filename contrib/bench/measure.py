"""What a piece of work costs this process: wall time, CPU time and memory (Linux)."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

STATUS = Path("/proc/self/status")


def memory(name: str) -> int:
    """Return a line of /proc/self/status, VmRSS or VmHWM, in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


class Meter:
    """Measures what is done in its ``with`` block, all threads of the process together.

    Attributes:
        wall: seconds that passed.
        cpu: seconds of CPU, user and system.
        peak: bytes of the highest resident set in the block.
        growth: bytes by which that is above the resident set before.
        held: bytes that what was made holds, set by who knows what that is.

    """

    wall = cpu = 0.0
    peak = growth = held = 0

    def __enter__(self) -> Self:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what it is now: proc(5)
        self._memory = memory("VmRSS")
        self._cpu = cpu_time()
        self._wall = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = cpu_time() - self._cpu
        self.peak = memory("VmHWM")
        self.growth = max(self.peak - self._memory, 0)

    def figures(self) -> dict[str, float]:
        """Return all of them by name."""
        names = ("wall", "cpu", "peak", "growth", "held")
        return {name: getattr(self, name) for name in names}


def cpu_time() -> float:
    """Return the seconds of CPU that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def spread(figures: Sequence[float]) -> float:
    """Return the distance of the largest and the smallest figure as a part of the median."""
    middle = statistics.median(figures)
    return (max(figures) - min(figures)) / middle if middle else 0.0
