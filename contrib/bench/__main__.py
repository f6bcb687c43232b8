"""What does each HTTP client cost, side by side, against nginx on loopback?

Run from the checkout: ``python3 -m contrib.bench [--only WORKLOAD] [--clients NAME,NAME]
[--against CHECKOUT] [--path NAME=FOLDER] [--rounds 5] [--cores 1|2] [--quick] [--json FILE]
[--plot FILE.svg]``.

Unit: CPU time (user + system) of the client's process for each unit of work; the wall time
and the memory stand beside it. The clients take turns, each measurement is a fresh
process, and the least of all rounds counts. Ratios to the floor (hand-written socket code), to
pycurl and to the best peer hold on a noisy machine, absolute figures do not, and a difference below
the spread is noise. Exit status 1 if a client failed; one that is not installed is reported and is
no failure.

To compare two versions of this library in one run: ``python3 -m contrib.bench --only sequential
--clients dugong_like/,pycurl --against ../other-checkout``. The other one is called "before", and
the last column has the ratio to it.

All of it takes ten minutes for each round, with --quick about two.

Needs nginx (Debian: nginx-light), trustme, and those packages of the extra ``bench`` (``pip
install '.[bench]'``) that are to be measured. niquests is not among them, as its urllib3-future
overwrites urllib3: ``pip install --target FOLDER niquests``, and then ``--path niquests=FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from .clients import BEFORE, CLIENTS, OURS, before, is_ours, library_of
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
        stack.enter_context(site.sink())
        stack.enter_context(site.nginx(BY_NAME["growth-fields"].sizes))
        os.sched_setaffinity(0, {cores[0]})  # and clients this
        folders: dict[str, str] = dict(options.path)
        if options.against is not None:
            folders[BEFORE] = options.against
        runner = Runner(site, options.rounds, folders, tell)
        for workload in workloads:
            for size in workload.large_bodies:
                site.make_large(size)
            clients = chosen(workload, options.clients)
            if options.against is not None:
                clients = with_before(clients)
            results = runner.run(workload, clients)
            table = lines(workload, results)
            tell("")
            print(text(workload, table), flush=True)
            report.append(data(workload, table, results))
    settings = {"cores": options.cores, "rounds": options.rounds, "quick": options.quick}
    result = {"environment": environment(folders) | settings, "workloads": report}
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
        "--clients",
        help="names with commas between them, such as dugong_like (under all drivers), "
        "dugong_like/ (its blocking calls) or aiohttp/uvloop",
    )
    parser.add_argument(
        "--against", type=checkout, metavar="CHECKOUT",
        help="measure this library there as well, as the client \"before\"",
    )  # fmt: skip
    parser.add_argument(
        "--path", type=place, action="append", default=[], metavar="NAME=FOLDER",
        help="the packages of this client alone are there (pip install --target)",
    )  # fmt: skip
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


def checkout(path: str) -> str:
    """Return the absolute path of a checkout of this library."""
    if not (Path(path) / OURS / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"no {OURS} in {path}")
    return str(Path(path).resolve())


def place(text: str) -> tuple[str, str]:
    """Return name and folder of ``NAME=FOLDER``."""
    name, _, folder = text.partition("=")
    if not Path(folder).is_dir() or not folder:
        raise argparse.ArgumentTypeError(f"no such folder: {text}")
    if name not in {library_of(client) for client in CLIENTS}:
        raise argparse.ArgumentTypeError(f"no such client: {name}")
    return name, str(Path(folder).resolve())


def with_before(clients: list[str]) -> list[str]:
    """Return *clients*, and behind each of ours the same in the other checkout."""
    pairs = [[client, before(client)] if is_ours(client) else [client] for client in clients]
    return [client for pair in pairs for client in pair]


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
    """Return True if *name* is that of *client*, or of the library that it belongs to.

    With a slash at its end it is that of the client alone: ``dugong_like/`` is its blocking calls.
    """
    return name in {client, library_of(client)} or name == f"{client}/"


def tell(what: str) -> None:
    """Show what goes on, if somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
