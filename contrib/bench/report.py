"""From figures to lines: minima, spreads and ratios, as data and as a text table.

Whatever else the machine does adds to a figure and never takes from it, so the least of all rounds
says most about the client.
"""

from __future__ import annotations

import platform
import ssl
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any, Final

from .clients import OURS, before, is_peer, library_of
from .measure import spread
from .run import Figures, Results
from .server import find_nginx
from .workloads import KIB, MIB, Workload

CPU: Final = Path("/proc/cpuinfo")
PROJECT: Final = Path(__file__).resolve().parents[2] / "pyproject.toml"


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
        to_floor, to_pycurl: *cost* divided by that of the floor, and of pycurl.
        to_peer: the same with the best peer.
        to_before: the same with this client in the other checkout, if there is one.
        beyond: *cost* less that of the floor.

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
    to_pycurl: float | None = None
    to_before: float | None = None
    to_peer: float | None = None
    beyond: float | None = None


def lines(workload: Workload, results: Results) -> list[Line]:
    """Return a line for each client."""
    table = [_line(workload, client, figures) for client, figures in results.items()]
    costs = {line.client: line.cost for line in table if not line.problem}
    floor = costs.get(workload.floor or "")
    best = min((cost for client, cost in costs.items() if is_peer(client)), default=None)
    pycurl = next((cost for client, cost in costs.items() if library_of(client) == "pycurl"), None)
    for line in table:
        if not line.problem:
            older = costs.get(before(line.client)) if library_of(line.client) == OURS else None
            line.to_floor = line.cost / floor if floor else None
            line.to_pycurl = line.cost / pycurl if pycurl else None
            line.to_peer = line.cost / best if best else None
            line.to_before = line.cost / older if older else None
            line.beyond = None if floor is None else line.cost - floor
    return table


def _line(workload: Workload, client: str, figures: Figures) -> Line:
    if figures.problem:
        return Line(client, figures.problem, figures.failed)

    def values(name: str) -> list[float]:
        return [answer.get(name, 0) for answer in figures.rounds]

    units = figures.rounds[0]["count"] / workload.per
    scale = workload.time[1] / units
    costs = [value * scale for value in values("cpu")]
    if workload.memory:
        costs = [value / units / KIB for value in values("held")]
    return Line(
        client,
        cost=min(costs),
        spread=spread(costs),
        wall=min(values("wall")) * scale,
        peak=min(values("peak")) / MIB,
        growth=min(values("growth")) / MIB,
    )


def text(workload: Workload, table: list[Line]) -> str:
    """Return the table of one workload."""
    first = "beyond" if workload.differences else "x floor"
    wall = f"wall {workload.time[0]}"
    rows = [
        f"{workload.name}: {workload.heading}",
        f"{'client':27}{workload.cost_unit:>16}{'spread':>8}{wall:>11}"
        f"{'peak MiB':>10}{'+MiB':>8}{first:>9}{'x pycurl':>10}{'x peer':>8}",
    ]
    compared = any(line.to_before is not None for line in table)
    if compared:
        rows[-1] += f"{'x before':>10}"
    for line in table:
        if line.problem:
            rows.append(f"{line.client:27}  {'FAILED' if line.failed else 'none'}: {line.problem}")
            continue
        to_floor = line.beyond if workload.differences else line.to_floor
        rows.append(
            f"{line.client:27}{line.cost:16.3f}{line.spread:8.0%}{line.wall:11.3f}"
            f"{line.peak:10.1f}{line.growth:8.1f}{_number(to_floor):>9}"
            f"{_number(line.to_pycurl):>10}{_number(line.to_peer):>8}"
        )
        if compared:
            rows[-1] += f"{_number(line.to_before):>10}"
    return "\n".join(rows) + "\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def data(workload: Workload, table: list[Line], results: Results) -> dict[str, Any]:
    """Return all there is to say about one workload, for JSON."""
    return {
        "name": workload.name,
        "title": workload.heading,
        "unit": workload.cost_unit,
        "time_unit": workload.time[0],
        "differences": workload.differences,
        "clients": [asdict(line) | {"rounds": results[line.client].rounds} for line in table],
    }


def environment(folders: Mapping[str, str]) -> dict[str, str]:
    """Return what the figures depend on: the machine, the system, and the versions.

    *folders* says where the packages of single libraries are.
    """
    cpu = [line for line in CPU.read_text().splitlines() if line.startswith("model name")]
    libraries = {}
    project = tomllib.loads(PROJECT.read_text())["project"]
    for requirement in project["optional-dependencies"]["bench"]:
        name = requirement.partition("==")[0]
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            libraries[name] = "not installed"
    for name, folder in folders.items():
        found = distributions(name=name, path=[folder])
        libraries[name] = next((package.version for package in found), folder)
    nginx = subprocess.run([find_nginx(), "-v"], capture_output=True, text=True, check=False)
    try:
        import pycurl

        libraries["pycurl"] = pycurl.version  # its TLS library is not Python's
    except ImportError:
        pass
    return {
        "cpu": cpu[0].partition(": ")[2] if cpu else platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "tls": ssl.OPENSSL_VERSION,
        "server": nginx.stderr.strip().rpartition(" ")[2],
        "date": datetime.now(UTC).date().isoformat(),
        **libraries,
    }
