"""What does each HTTP client cost, side by side, against nginx on loopback?

Run from the checkout: ``python3 -m contrib.bench [--only WORKLOAD] [--clients NAME,NAME]
[--rounds 5] [--cores 1|2] [--quick] [--json FILE]
[--plot FILE.svg]``.

Unit: CPU time (user + system) of the client's process for each unit of work; the wall time
and the memory stand beside it. The clients take turns, each measurement is a fresh
process. Ratios to the floor (hand-written socket code) and to the best peer hold on a noisy
machine, absolute figures do not, and a difference below the spread is noise. Exit status 1
if a client failed; one that is not installed is reported and is no failure.

All of it takes nine minutes for each round, with --quick about one.

Needs nginx (Debian: nginx-light), trustme, and those packages of the extra ``bench`` (``pip
install '.[bench]'``) that are to be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from .clients import CLIENTS
from .plot import plot
from .report import data, environment, lines, text
from .run import Runner
from .server import temporary_site
from .workloads import BY_NAME, STATEMENTS, WORKLOADS, Workload


def main() -> int:
    """Measure, and print a table for each workload."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is cleaned up
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < options.cores:
        sys.exit(f"only {len(cores)} core can be used")
    workloads = options.only or WORKLOADS
    if options.quick:
        workloads = [workload.made_quick() for workload in workloads]
    report = []
    with temporary_site() as site, ExitStack() as stack:
        os.sched_setaffinity(0, {cores[options.cores - 1]})  # servers inherit it
        stack.enter_context(site.nginx(BY_NAME["growth-fields"].sizes))
        stack.enter_context(site.sink())
        os.sched_setaffinity(0, {cores[0]})  # and clients this
        runner = Runner(site, options.rounds, tell)
        for workload in workloads:
            for size in workload.large_bodies:
                site.make_large(size)
            results = runner.run(workload, chosen(workload, options.clients))
            table = lines(workload, results)
            tell("")
            print(text(workload, table), flush=True)
            report.append(data(workload, table, results))
    settings = {"cores": options.cores, "rounds": options.rounds, "quick": options.quick}
    result = {"environment": environment() | settings, "workloads": report}
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1))
    if options.plot:
        Path(options.plot).write_text(plot(result))
    return int(any(line["failed"] for table in report for line in table["clients"]))


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser("python3 -m contrib.bench", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--only", type=workload, action="append", metavar="WORKLOAD",
        help=f"may be given several times: {', '.join(BY_NAME)}",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1)
    parser.add_argument(
        "--clients", help="names with commas between them, such as dugong_like or aiohttp/uvloop"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the ratios to the floor")
    parser.add_argument("--quick", action="store_true", help="little work, for a first look")
    options = parser.parse_args()
    for name in (options.clients or "").split(","):
        if name and not any(matches(client, name) for client in [*CLIENTS, *STATEMENTS]):
            parser.error(f"no such client: {name}")
    return options


def workload(name: str) -> Workload:
    """Return the workload called *name*."""
    try:
        return BY_NAME[name]
    except KeyError:
        raise argparse.ArgumentTypeError(f"no such workload: {name}") from None


def chosen(workload: Workload, names: str | None) -> list[str]:
    """Return the clients of *workload* that the command line asks for; always the floor."""
    if names is None:
        return list(workload.clients)
    wanted = names.split(",")
    return [
        client
        for client in workload.clients
        if client == workload.floor or any(matches(client, name) for name in wanted)
    ]


def matches(client: str, name: str) -> bool:
    """Return True if *name* is that of *client*, or of the library that it belongs to."""
    return name in {client, client.partition("/")[0]}


def tell(what: str) -> None:
    """Show what goes on, if somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
