"""How long do the tasks of Dask take that get many small files? 10,000 GETs of 1 KiB by default.

Run from the checkout: ``python3 -m contrib.bench.dask_tasks [--rounds 5] [--quick] [--json FILE]``.
Needs ``pip install '.[bench,data]'``, and is left out without Dask.

A cluster of two processes with a thread each (LocalCluster) has been started before the clock is,
and each kind of task has run once. Wall time counts, from the first task that is submitted to the
last result: the median of all rounds, of which tasks for each URL have one. "CPU s" are all three
processes; "wrong" are files that did not come, or with another length. The server is nginx on
loopback.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from dugong_like import Client

from .server import SMALL, temporary_site

COUNT: Final = 10_000  # files
TASKS: Final = 20
PROCESSES: Final = 2
Task = Callable[[Any, list[str]], list[int]]


def by_map(client: Client, urls: list[str]) -> list[int]:
    """Return the length of each file: a client of this task."""
    with client:
        return [len(item.response.content) for item in client.map(urls) if item.response]


@functools.cache
def shared_client() -> Client:
    """Return the client of this process."""
    return Client(trust_env=False)


def by_shared_map(_: object, urls: list[str]) -> list[int]:
    """Do the same with the client of the process."""
    results = shared_client().map(urls)
    return [len(item.response.content) for item in results if item.response]


def by_requests(_: object, urls: list[str]) -> list[int]:
    """Do the same with another library."""
    import requests

    with requests.Session() as session:
        return [len(session.get(url).content) for url in urls]


def by_get(_: object, urls: list[str]) -> list[int]:
    """Do the same one after the other, as tasks with one URL do."""
    return [len(shared_client().get(url).content) for url in urls]


class Cost(NamedTuple):
    """What the tasks have cost.

    Attributes:
        cpu: seconds, in all processes.
        wall: seconds.
        wrong: files.

    """

    cpu: float
    wall: float
    wrong: int


class Row(NamedTuple):
    """A kind of task.

    Attributes:
        name: for the table.
        task: gets files.
        given: its first argument.
        tasks: how many; None for one for each URL.

    """

    name: str
    task: Task
    given: Client | None
    tasks: int | None = TASKS


ROWS: Final = (
    Row("20 tasks, map", by_map, Client(trust_env=False)),
    Row("20 tasks, map, client kept", by_shared_map, None),
    Row("20 tasks, requests", by_requests, None),
    Row("a task for each URL", by_get, None, None),
)


def measured(dask: Any, row: Row, urls: Sequence[str]) -> Cost:
    """Return what *row* costs with *urls*, on the cluster of *dask*."""
    tasks = row.tasks or len(urls)
    parts = [list(urls[first::tasks]) for first in range(tasks)]
    before, begun = _cpu(dask), time.perf_counter()
    going = [dask.submit(row.task, row.given, part, pure=False) for part in parts]
    sizes = [size for part in dask.gather(going) for size in part]
    wall = time.perf_counter() - begun
    return Cost(_cpu(dask) - before, wall, len(urls) - sizes.count(SMALL))


def _cpu(dask: Any) -> float:
    """Return the CPU time of this process and of the workers, in seconds."""
    return time.process_time() + sum(dask.run(time.process_time).values())


def table(dask: Any, urls: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Print what each row costs; return all figures."""
    title = f"{len(urls):,} GETs of 1 KiB, {PROCESSES} processes"
    print(f"{title}\n{'':32} {'CPU s':>7} {'wall s':>7} {'wrong':>6}")
    results = []
    for row in ROWS:
        measured(dask, row, urls[:TASKS])
        costs = [measured(dask, row, urls) for _ in range(rounds if row.tasks else 1)]
        walls = [cost.wall for cost in costs]
        median = next(cost for cost in costs if cost.wall == statistics.median_low(walls))
        print(
            f"{row.name:32} {median.cpu:7.2f} {median.wall:7.2f}"
            f" {max(cost.wrong for cost in costs):6}  wall {min(walls):.2f} to {max(walls):.2f}",
            flush=True,
        )
        figures = [cost._asdict() for cost in costs]
        results.append({"row": title, "tool": row.name, "rounds": figures})
    return results


def main() -> int:
    """Measure; exit status 1 if a file is wrong."""
    parser = argparse.ArgumentParser(
        "python3 -m contrib.bench.dask_tasks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    options = parser.parse_args()
    try:
        from distributed import Client as Dask
        from distributed import LocalCluster
    except ImportError:
        print("left out: Dask is not installed (pip install '.[data]')")
        return 0
    settings = {"n_workers": PROCESSES, "threads_per_worker": 1, "dashboard_address": None}
    with (
        temporary_site() as site,
        site.nginx(),
        LocalCluster(**settings) as cluster,
        Dask(cluster) as dask,
    ):
        folder = site.root / "www" / "files"
        folder.mkdir()
        base = f"http://127.0.0.1:{site.ports[0]}/files"
        count = COUNT // 20 if options.quick else COUNT
        for number in range(count):
            (folder / str(number)).write_bytes(b"%10d" % number + bytes(SMALL - 10))
        results = table(dask, [f"{base}/{number}" for number in range(count)], options.rounds)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))
    return int(any(cost["wrong"] for result in results for cost in result["rounds"]))


if __name__ == "__main__":
    sys.exit(main())
