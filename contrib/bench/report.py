"""From figures to lines: medians, spreads and ratios, as data and as a text table."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from .clients import is_peer
from .measure import spread
from .run import Results
from .workloads import Workload


@dataclass
class Line:
    """One client in the table; the times are per unit of work, in the workload's unit of time.

    Attributes:
        client: its name.
        problem: why there are no figures.
        failed: True if that is an error.
        cost: what counts: CPU time, or KiB of memory in workloads about memory.
        spread: of *cost*: highest less lowest, as a part of the median.
        wall: time that passed.
        peak: MiB of the highest resident set while measuring.
        growth: MiB by which that is above the one before.
        to_floor, to_peer: *cost* divided by that of the floor, and of the best peer.

    """

    client: str
    problem: str = ""
    failed: bool = False
    cost: float = 0.0
    spread: float = 0.0
    wall: float = 0.0
    peak: float = 0.0
    growth: float = 0.0
    to_floor: float | None = None
    to_peer: float | None = None


def lines(workload: Workload, results: Results, units: float) -> list[Line]:
    """Return a line for each client; *units* is how much work one measurement was."""
    table = [_line(workload, client, figures, units) for client, figures in results.items()]
    costs = {line.client: line.cost for line in table if not line.problem}
    floor = costs.get(workload.floor or "")
    best = min((cost for client, cost in costs.items() if is_peer(client)), default=None)
    for line in table:
        if not line.problem:
            line.to_floor = line.cost / floor if floor else None
            line.to_peer = line.cost / best if best else None
    return table


def _line(workload: Workload, client: str, figures: Any, units: float) -> Line:
    if figures.problem:
        return Line(client, figures.problem, figures.failed)

    def values(name: str) -> list[float]:
        return [answer[name] for answer in figures.rounds]

    scale = workload.time[1] / units
    costs = [value * scale for value in values("cpu")]
    if workload.memory:
        costs = [value / units / 1024 for value in values("growth")]
    return Line(
        client,
        cost=statistics.median(costs),
        spread=spread(costs),
        wall=statistics.median(values("wall")) * scale,
        peak=statistics.median(values("peak")) / (1 << 20),
        growth=statistics.median(values("growth")) / (1 << 20),
    )


def text(workload: Workload, table: list[Line]) -> str:
    """Return the table of one workload."""
    time = f"{workload.time[0]}/{workload.unit}"
    cost = f"KiB/{workload.unit}" if workload.memory else f"CPU {time}"
    head = f"{'client':22}{cost:>16}{'spread':>8}{f'wall {time}':>16}{'peak MiB':>10}"
    rows = [f"{head}{'+MiB':>8}{'x floor':>9}{'x peer':>8}"]
    for line in table:
        if line.problem:
            rows.append(f"{line.client:22}  {'FAILED' if line.failed else 'none'}: {line.problem}")
            continue
        ratios = "".join(
            f"{'-' if ratio is None else f'{ratio:.2f}':>{width}}"
            for ratio, width in ((line.to_floor, 9), (line.to_peer, 8))
        )
        rows.append(
            f"{line.client:22}{line.cost:16.3f}{line.spread:8.0%}{line.wall:16.3f}"
            f"{line.peak:10.1f}{line.growth:8.1f}{ratios}"
        )
    return f"{workload.name}: {workload.title}\n" + "\n".join(rows) + "\n"
