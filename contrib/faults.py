"""Break transfers in every way, and see whether the library ever takes a part for the whole.

Servers on this machine cut responses off at every byte, fall silent, drip, damage TLS
records, close idle connections, kill requests and answer uploads early. What comes of it
must be the whole response or one of the library's errors, in time; no request may arrive
twice; nothing may stay open. The faults are in ``contrib/faulty/``.

Run: ``python contrib/faults.py [--tls] [--step 1] [--rounds 1] [--seed 0] [--only TEXT]``.
Prints for each scenario how many transfers there were, how they ended, and each violation,
which can be played again with its seed and ``--only``. Exit status 1 if there was one.
"""

from __future__ import annotations

import argparse
import gc
import ssl
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faulty import cuts, stalls
from faulty.stage import Case, Dice, Place, Violation

SCENARIOS: dict[str, Callable[[Place, int, Dice], Iterator[Case]]] = {
    "cuts": cuts.cuts,
    "pipelined": cuts.pipelined,
    "stalls": stalls.stalls,
    "drips": stalls.drips,
    "endless": stalls.endless,
}
HUNG = 60  # seconds after which a transfer cannot be waited for any longer


def with_tls() -> Place:
    """Make contexts for a server and for a client that trusts it."""
    import trustme

    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # some builds of Python set it
    return Place(server, client)


def play(place: Place, seed: str, case: Case) -> tuple[str, str | None]:
    """Play one case; return how it ended and what is wrong with that."""
    try:
        return case.play(place, Dice(f"{seed}, {case.label}")), None
    except Violation as exc:
        return "violation", str(exc)
    except BaseException:
        return "violation", traceback.format_exc()


def report(name: str, cases: list[Case], outcomes: Iterator[tuple[str, str | None]]) -> int:
    """Print the counts of one scenario; return how many violations there were."""
    counts: Counter[str] = Counter()
    violations = 0
    for case, (outcome, problem) in zip(cases, outcomes, strict=True):
        counts[outcome] += 1
        if problem is not None:
            violations += 1
            print(f"VIOLATION: {name}: {case.label}: {problem}")
    endings = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    print(f"{name}: {len(cases)} transfers: {endings}; {violations} violations", flush=True)
    return violations


def open_things() -> tuple[int, int]:
    """Return how many descriptors (Linux) and threads there are."""
    gc.collect()
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.exists() else 0, threading.active_count()


def left_open(before: tuple[int, int], dropped: list[str]) -> int:
    """Print what is still open, or was closed by nobody but the garbage collector."""
    after = open_things()
    left = [
        f"{now - then} {what} left"
        for what, then, now in zip(("descriptors", "threads"), before, after, strict=True)
        if now != then
    ]
    for problem in (*left, *dropped):
        print(f"VIOLATION: {problem}")
    return len(left) + len(dropped)


def main(argv: list[str] | None = None) -> int:
    """Run the faults and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=1, help="break at every so many bytes")
    parser.add_argument("--rounds", type=int, default=1, help="play everything so many times")
    parser.add_argument("--seed", type=int, default=0, help="for what is left to chance")
    parser.add_argument("--tls", action="store_true", help="over TLS as well (needs trustme)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases named so")
    parser.add_argument("--workers", type=int, default=48, help="transfers at the same time")
    options = parser.parse_args(argv)
    before = open_things()
    dropped: list[str] = []
    warnings.simplefilter("always", ResourceWarning)
    warnings.showwarning = lambda message, *_: dropped.append(str(message))
    start = time.monotonic()
    total = violations = 0
    places = {"plain": Place()} | ({"TLS": with_tls()} if options.tls else {})
    for number in range(options.rounds):
        for (protocol, place), (name, cases_of) in (
            (place, scenario) for place in places.items() for scenario in SCENARIOS.items()
        ):
            seed = f"{options.seed + number}, {protocol} {name}"
            cases = [
                c for c in cases_of(place, options.step, Dice(seed)) if options.only in c.label
            ]
            if not cases:
                continue
            with ThreadPoolExecutor(options.workers) as pool:
                outcomes = pool.map(partial(play, place, seed), cases)
                violations += report(f"{protocol} {name}", cases, outcomes)
            total += len(cases)
    places.clear()
    violations += left_open(before, dropped)
    took = time.monotonic() - start
    print(f"total: {total} transfers in {took:.0f} s, seed {options.seed}; {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
