"""Break transfers in every way, and see whether the library ever takes a part for the whole.

Servers on this machine cut responses off at every byte, fall silent, drip, damage TLS
records, close idle connections, kill requests and answer uploads early. What comes of it
must be the whole response or one of the library's errors, in time; no request may arrive
twice; nothing may stay open. The faults are in ``contrib/torture/faulty/``.

Run: ``python3 -m contrib.torture.faults [--tls] [--step 1] [--rounds 1] [--seed 0] [--only TEXT]``.
Prints for each scenario how many transfers there were, how they ended, and each violation,
which can be played again with its seed and its name behind ``--only``. Exit status 1 if
there was one.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import itertools
import os
import ssl
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dugong_like.polling.wake import checkpoint_descriptors

from .faulty import cuts, keepalive, records, stalls, uploads
from .faulty.stage import Case, Dice, Place, Violation

SCENARIOS: dict[str, Callable[[Place, int, Dice], Iterator[Case]]] = {
    "cuts": cuts.cuts,
    "pipelined": cuts.pipelined,
    "stalls": stalls.stalls,
    "drips": stalls.drips,
    "endless": stalls.endless,
    "records": records.records,
    "stale": keepalive.stale,
    "killed": keepalive.killed,
    "uploads": uploads.uploads,
    "stuck": uploads.stuck,
}
HUNG = 60  # seconds after which a transfer cannot be waited for any longer


def with_tls() -> Place:
    """Make contexts for a server and for a client that trusts it."""
    import trustme

    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    clients = ssl.create_default_context(), ssl.create_default_context()
    for client in clients:
        authority.configure_trust(client)
        client.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # some builds of Python set it
    clients[1].maximum_version = ssl.TLSVersion.TLSv1_2
    return Place(server, *clients)


def play(place: Place, seed: str, case: Case) -> tuple[str, str | None]:
    """Play one case; return how it ended and what is wrong with that."""
    try:
        return case.play(place, Dice(f"{seed}, {case.label}")), None
    except Violation as exc:
        return "violation", str(exc)
    except BaseException:
        return "violation", traceback.format_exc()


class Tally:
    """What has been played, and what was wrong.

    Also notes what was closed by nobody but the garbage collector, and what was raised
    where nobody could see it.
    """

    def __init__(self) -> None:
        self.transfers = 0
        self.violations = 0
        self._before = open_things()
        self._unseen: list[str] = []
        warnings.simplefilter("always", ResourceWarning)
        warnings.showwarning = lambda message, *_: self._unseen.append(str(message))
        sys.unraisablehook = lambda unseen: self._unseen.append(repr(unseen.exc_value))
        threading.excepthook = lambda unseen: self._unseen.append(repr(unseen.exc_value))

    def violation(self, problem: str) -> None:
        """Print and count *problem*."""
        self.violations += 1
        print(f"VIOLATION: {problem}", flush=True)

    def play(self, name: str, cases: list[Case], place: Place, seed: str, workers: int) -> None:
        """Play *cases*, many at the same time, and print the counts."""
        counts: Counter[str] = Counter()
        start, before = time.monotonic(), self.violations
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(play, place, seed, case) for case in cases]
            for case, future in zip(cases, futures, strict=True):
                try:
                    outcome, problem = future.result(HUNG)
                except TimeoutError:
                    outcome, problem = "violation", "it hangs"
                counts[outcome] += 1
                if problem is not None:
                    self.violation(f"{name}: {case.label}: {problem}")
                if problem == "it hangs":  # and so would this program
                    faulthandler.dump_traceback()
                    os._exit(1)
        self.transfers += len(cases)
        endings = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        print(
            f"{name}: {len(cases)} transfers in {time.monotonic() - start:.1f} s: {endings}; "
            f"{self.violations - before} violations",
            flush=True,
        )

    def check_closed(self) -> None:
        """See whether everything has been closed."""
        after = open_things()
        for what, then, now in zip(("descriptors", "threads"), self._before, after, strict=True):
            if now != then:
                self.violation(f"{now - then} {what} are left")
        for problem in self._unseen:
            self.violation(problem)


def open_things() -> tuple[int, int]:
    """Return how many descriptors (Linux) and threads there are."""
    gc.collect()
    descriptors = Path("/proc/self/fd")
    count = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    return max(count - checkpoint_descriptors(), 0), threading.active_count()


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=1, help="break at every so many bytes")
    parser.add_argument("--rounds", type=int, default=1, help="play so often, with other seeds")
    parser.add_argument("--seed", type=int, default=0, help="for what is left to chance")
    parser.add_argument("--tls", action="store_true", help="over TLS as well (needs trustme)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases named so")
    parser.add_argument("--workers", type=int, default=48, help="transfers at the same time")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Play the faults and print the counts."""
    options = parse(argv)
    tally = Tally()
    start = time.monotonic()
    places = {"plain": Place()} | ({"TLS": with_tls()} if options.tls else {})
    for number, protocol, scenario in itertools.product(range(options.rounds), places, SCENARIOS):
        name = f"{protocol} {scenario}"
        seed = f"{options.seed + number}, {name}"
        cases = SCENARIOS[scenario](places[protocol], options.step, Dice(seed))
        chosen = [case for case in cases if options.only in f"{name}: {case.label}"]
        if chosen:
            tally.play(name, chosen, places[protocol], seed, options.workers)
    places.clear()
    tally.check_closed()
    print(
        f"total: {tally.transfers} transfers in {time.monotonic() - start:.0f} s, "
        f"seed {options.seed}; {tally.violations} violations"
    )
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
