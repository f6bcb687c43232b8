"""Try to break the library in every way there is here, one program after the other.

Run: ``python3 -m contrib.torture [--seconds N | --count N] [--seed 1] [NAME ...]``, from the root
of the checkout; ``--list`` tells the names. Each program gets so many seconds, or makes so many
attempts. What it prints is passed on, and a table at the end says for each of them what it tried,
how many, and how many violations there were. Exit status 1 if there was one, or if a program died
or hung.

Each of them is a process of its own, so that none can hide what another one leaves behind; it may
also be run alone, as the table of their commands (`PROGRAMS`) says, and has more options then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from .program import DEFAULT_SECONDS, Summary

CHECKOUT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 300  # seconds after which a program hangs, besides those that were asked for
FREE_THREADED: Final = ("python3.14t", "python3.13t")  # what such a Python is called


class Program(NamedTuple):
    """A program of this folder.

    Attributes:
        arguments: its module, and options that make it what its name says.
        packages: what has to be installed.
        command: a server that has to be installed, or "".
        free_threaded: True if it runs on another Python, one without the GIL.

    """

    arguments: tuple[str, ...]
    packages: tuple[str, ...] = ()
    command: str = ""
    free_threaded: bool = False


PROGRAMS: Final = {
    "fuzz-responses": Program(("fuzz_responses",)),
    "fuzz-calls": Program(("fuzz_calls",)),
    "fuzz-http2": Program(("fuzz_http2",), ("h2",)),
    "faults": Program(("faults", "--tls"), ("trustme",)),
    "interruptions": Program(("interruptions", "--tls"), ("trustme",)),
    "pool": Program(("pool",), ("trio", "gevent")),
    "pool-http2": Program(("pool", "--http2"), ("h2", "trio", "gevent")),
    "pairs": Program(("pairs", "--tls"), ("trustme",)),
    "pipelines": Program(("pipelines",)),
    "bulk": Program(("bulk",)),
    "soak": Program(("soak",)),
    "soak-tls": Program(("soak", "--tls"), ("trustme",)),
    "soak-two-threads": Program(("soak", "--two-threads")),
    "soak-two-threads-tls": Program(("soak", "--two-threads", "--tls"), ("trustme",)),
    "threads": Program(("threads",)),
    "http2": Program(("http2",), ("h2",)),
    "http2-client": Program(("http2_client",), ("trustme",), "nginx"),
    "free-threaded": Program(("threads",), free_threaded=True),
}


class Row(NamedTuple):
    """A line of the table: what came of a program, or why nothing did."""

    name: str
    summary: Summary | None = None
    problem: str = ""
    failed: bool = False


def run(name: str, options: argparse.Namespace) -> Row:
    """Run the program called *name*, and pass on what it prints."""
    program = PROGRAMS[name]
    missing = [package for package in program.packages if find_spec(package) is None]
    if program.command and shutil.which(program.command) is None:
        missing.append(program.command)
    if missing:
        return Row(name, problem=f"left out: needs {', '.join(missing)}")
    python = options.free_threaded if program.free_threaded else sys.executable
    if python is None:
        return Row(name, problem="left out: no Python without the GIL (see --free-threaded)")
    module, *arguments = program.arguments
    command = [python, "-X", "faulthandler", "-m", f"{__package__}.{module}", *arguments]
    for option in ("seconds", "count", "seed"):
        if (value := getattr(options, option)) is not None:
            command += [f"--{option}", str(value)]
    print(f"--- {name}: {' '.join(command[3:])}", flush=True)
    environment = dict(os.environ) | ({"PYTHON_GIL": "0"} if program.free_threaded else {})
    status, last = watch(command, environment, options.seconds)
    summary = Summary.parse(last)
    if summary is None or status != (summary.violations > 0):
        ending = "it hung" if status == -signal.SIGABRT else f"exit status {status}"
        return Row(name, summary, f"died: {ending}", failed=True)
    return Row(name, summary, failed=summary.violations > 0)


def watch(
    command: list[str], environment: dict[str, str], seconds: float | None
) -> tuple[int, str]:
    """Run *command*; return its exit status and its last line.

    If it was to end after so many seconds and does not, it is aborted, and tells where its threads
    are.
    """
    last = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, env=environment
    ) as process:
        assert process.stdout is not None
        limit = PATIENCE + (seconds or 0)
        timer = threading.Timer(limit, process.send_signal, [signal.SIGABRT])
        if seconds is not None:
            timer.start()
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line
        process.wait()
        timer.cancel()
    return process.returncode, last


def table(rows: list[Row]) -> str:
    """Return the table of what was tried."""
    lines = [f"{'name':22}{'what it tried':36}{'how many':>10}{'violations':>12}"]
    for row in rows:
        if row.summary is not None:
            tried, count, violations = row.summary.tried, row.summary.count, row.summary.violations
            lines.append(f"{row.name:22}{tried:36}{count:10}{violations:12}")
        if row.problem:
            lines.append(f"{row.name:22}{row.problem}")
    return "\n".join(lines)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        "python3 -m contrib.torture", description=(__doc__ or "").partition("\n")[0]
    )
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--seconds", type=float, help=f"for each program; {DEFAULT_SECONDS:g} if nothing is said"
    )
    limits.add_argument("--count", type=int, help="attempts of each program")
    parser.add_argument("--seed", type=int, default=1, help="for all that is left to chance")
    parser.add_argument(
        "--free-threaded", metavar="PYTHON",
        default=next(filter(None, map(shutil.which, FREE_THREADED)), None),
        help="a Python without the GIL; contrib/torture/freethreaded/run builds one",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print the names, and do nothing")
    parser.add_argument("names", nargs="*", metavar="NAME", help="soak is also soak-tls and so on")
    options = parser.parse_args(argv)
    for name in options.names:
        if not any(matches(program, name) for program in PROGRAMS):
            parser.error(f"no such program: {name}; there are {', '.join(PROGRAMS)}")
    if options.seconds is None and options.count is None:
        options.seconds = DEFAULT_SECONDS
    return options


def matches(program: str, name: str) -> bool:
    """Return True if *name* is that of *program*, or the beginning of it up to a hyphen."""
    return f"{program}-".startswith(f"{name}-")


def main(argv: list[str] | None = None) -> int:
    """Run the programs, and print the table."""
    options = arguments(argv)
    names = options.names or list(PROGRAMS)
    chosen = [program for program in PROGRAMS if any(matches(program, name) for name in names)]
    if options.list:
        print("\n".join(chosen))
        return 0
    rows = [run(name, options) for name in chosen]
    print(f"\n{table(rows)}")
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
