"""Runs workloads: the clients take turns, each measurement is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .server import Site
from .workloads import Workload

CHECKOUT: Final = Path(__file__).resolve().parents[2]
TIME_LIMIT: Final = 300  # seconds for one measurement


@dataclass
class Figures:
    """What was measured of one client in one workload.

    Attributes:
        rounds: one dictionary for each measurement: wall, cpu, peak, growth.
        problem: why there is none.
        failed: True if the problem is an error, not the absence of something.

    """

    rounds: list[dict[str, float]] = field(default_factory=list)
    problem: str = ""
    failed: bool = False

    def add(self, answer: dict[str, Any]) -> None:
        """Take what a process has answered."""
        self.problem = answer.get("missing") or answer.get("failed") or ""
        self.failed = "failed" in answer
        if not self.problem:
            self.rounds.append(answer)


Results = dict[str, Figures]  # by client
Notice = Callable[[str], None]


def environment() -> dict[str, str]:
    """Return the environment of a client: no proxies, and this checkout in front."""
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    env["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), *filter(None, [env.get("PYTHONPATH")])])
    return env


def start(command: list[str]) -> dict[str, Any]:
    """Run a process that prints JSON; what goes wrong becomes part of the answer."""
    try:
        done = subprocess.run(
            [sys.executable, *command],
            capture_output=True, text=True, check=False, timeout=TIME_LIMIT, env=environment(),
            cwd=CHECKOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {TIME_LIMIT} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return {"failed": lines[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def run(
    workload: Workload, clients: list[str], site: Site, rounds: int, quick: bool, tell: Notice
) -> Results:
    """Measure *clients*; who has a problem once does not take part in later rounds."""
    results = {client: Figures() for client in clients}
    for number in range(min(rounds, workload.rounds)):
        turn = number % max(len(clients), 1)  # nobody is always behind the same neighbour
        for client in clients[turn:] + clients[:turn]:
            if results[client].problem:
                continue
            tell(f"{workload.name}: round {number + 1} of {rounds}: {client}")
            task = {
                "client": client,
                "job": workload.job,
                "count": workload.quick if quick else workload.count,
                "port": site.tls_port if workload.tls else site.port,
                "ca": str(site.root / "ca.pem") if workload.tls else None,
                "root": str(site.root),
            }
            results[client].add(start(["-m", "contrib.bench.child", json.dumps(task)]))
    return results
