"""What does each HTTP client cost, side by side, against nginx on loopback?

Run from the checkout: ``python3 -m contrib.bench [--only WORKLOAD] [--clients NAME,NAME]
[--rounds 5] [--cores 1|2] [--quick]``.

Unit: CPU time (user + system) of the client's process for each unit of work; the wall time
and the memory stand beside it. The clients take turns, each measurement is a fresh
process. Ratios to the floor (hand-written socket code) and to the best peer hold on a noisy
machine, absolute figures do not, and a difference below the spread is noise. Exit status 1
if a client failed; one that is not installed is reported and is no failure.

Needs nginx (Debian: nginx-light), trustme, and the packages of requirements.txt in this
folder as far as they are to be measured.
"""

from __future__ import annotations

import argparse
import os
import sys

from .report import lines, text
from .run import run
from .server import temporary_site
from .workloads import BY_NAME, WORKLOADS, Workload


def main() -> int:
    """Measure, and print a table for each workload."""
    options = arguments()
    cores = sorted(os.sched_getaffinity(0))
    failed = False
    with temporary_site() as site:
        os.sched_setaffinity(0, cores[options.cores - 1 :][:1])  # nginx inherits it
        with site.nginx():
            os.sched_setaffinity(0, cores[:1])  # and the clients this
            for workload in options.only or WORKLOADS:
                clients = chosen(workload, options.clients)
                results = run(workload, clients, site, options.rounds, options.quick, tell)
                units = (workload.quick if options.quick else workload.count) / workload.per
                table = lines(workload, results, units)
                tell("")
                print(text(workload, table), flush=True)
                failed |= any(line.failed for line in table)
    return int(failed)


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser("python3 -m contrib.bench", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--only", type=workload, action="append", metavar="WORKLOAD",
        help=f"may be given several times: {', '.join(BY_NAME)}",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, choices=(1, 2), default=1)
    parser.add_argument("--clients", help="names with commas between them; part of a name will do")
    parser.add_argument("--quick", action="store_true", help="little work, for a first look")
    return parser.parse_args()


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
        if client == workload.floor
        or any(client.split("/")[0] == name or client == name for name in wanted)
    ]


def tell(what: str) -> None:
    """Show what goes on, if somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
