"""Runs workloads: the clients take turns, each measurement is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .clients import library_of, now
from .server import Site
from .workloads import STATEMENTS, Workload

CHECKOUT: Final = Path(__file__).resolve().parents[2]
TIME_LIMIT: Final = 300  # seconds for one measurement
LONG_ENOUGH: Final = 40  # seconds of measurements: no further ones then


@dataclass
class Figures:
    """What was measured of one client in one workload.

    Attributes:
        rounds: one dictionary for each measurement, as `measure.Meter.figures` makes it, and
            *count*: how much was done.
        problem: why there is none.
        failed: True if the problem is an error, not the absence of something.

    """

    rounds: list[dict[str, float]] = field(default_factory=list)
    problem: str = ""
    failed: bool = False

    def slow(self) -> bool:
        """Return True if it has taken so long that it need not be done again."""
        return sum(answer["wall"] for answer in self.rounds) > LONG_ENOUGH

    def add(self, answer: dict[str, Any]) -> None:
        """Take what a process has answered."""
        self.problem = answer.get("missing") or answer.get("failed") or ""
        self.failed = "failed" in answer
        if not self.problem:
            self.rounds.append(answer)


Results = dict[str, Figures]  # by client


def environment(*folders: str) -> dict[str, str]:
    """Return the environment of a client: no proxies, and *folders* in front of its path."""
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # all are imported as they are when installed
    env["PYTHONPATH"] = os.pathsep.join([*folders, *filter(None, [env.get("PYTHONPATH")])])
    return env


def start(command: list[str], *folders: str) -> dict[str, Any]:
    """Run a process that prints JSON; what goes wrong becomes part of the answer.

    *folders*, the first of which it runs in, are in front of its path.
    """
    try:
        done = subprocess.run(
            [sys.executable, *command],
            capture_output=True, text=True, check=False, timeout=TIME_LIMIT,
            env=environment(*folders), cwd=folders[0],
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {TIME_LIMIT} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"failed": lines[-1]}
    return json.loads(done.stdout.splitlines()[-1])


# Imports what it is told in an interpreter that has imported nothing else.
IMPORT_PROGRAM: Final = """
import sys, time
wall, cpu = time.perf_counter(), time.process_time()
try:
    exec(sys.argv[1])
except ImportError as exc:
    print('{"missing": "cannot be imported: %s"}' % exc)
else:
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = [int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line][0]
    print('{"wall": %r, "cpu": %r, "peak": %d, "count": 1}' % (wall, cpu, peak * 1024))
"""


@dataclass(frozen=True)
class Runner:
    """Measures workloads with the servers of a site.

    Attributes:
        site: where the servers are.
        rounds: how often each client is measured.
        folders: where packages of single libraries are: of "before" a whole checkout.
        tell: called with what goes on.

    """

    site: Site
    rounds: int
    folders: Mapping[str, str]
    tell: Callable[[str], None]

    def run(self, workload: Workload, clients: list[str]) -> Results:
        """Measure *clients*; who has a problem once does not take part in later rounds."""
        lines = [(client, size) for client in clients for size in workload.sizes or (0,)]
        results = {f"{client} {size:,}" if size else client: Figures() for client, size in lines}
        everybody = list(zip(results.items(), lines, strict=True))
        rounds = min(self.rounds, workload.rounds)
        for number in range(rounds):
            turn = number % max(len(lines), 1)  # nobody is always behind the same neighbour
            for (name, figures), (client, size) in everybody[turn:] + everybody[:turn]:
                for _ in range(workload.turns):
                    if not figures.problem and not figures.slow():
                        self.tell(f"{workload.name}: round {number + 1} of {rounds}: {name}")
                        figures.add(self._measure(workload, client, size))
        return results

    def _measure(self, workload: Workload, client: str, size: int) -> dict[str, Any]:
        folder = self.folders.get(library_of(client))
        if workload.job == "import":
            command = ["-c", IMPORT_PROGRAM, STATEMENTS[now(client)]]
            return start(command, folder or str(CHECKOUT), str(CHECKOUT))
        site = self.site
        if workload.http2:
            ports = site.http2_ports
        else:
            ports = site.upload_ports if workload.uploads else site.ports
        task = {
            "client": client,
            "folder": folder,
            "job": workload.job,
            "count": workload.count,
            "size": size,
            "port": ports[workload.tls],
            "http2": workload.http2,
            "ca": str(site.root / "ca.pem") if workload.tls else None,
            "root": str(site.root),
            "sums": site.sums,
        }
        return start(["-m", "contrib.bench.child", json.dumps(task)], str(CHECKOUT))
