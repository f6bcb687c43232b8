"""Break transfers in every way, and see whether the library ever takes a part for the whole.

Servers on this machine cut responses off at every byte, fall silent, drip, damage TLS
records, close idle connections, kill requests and answer uploads early. What comes of it
must be the whole response or one of the library's errors, in time; no request may arrive
twice; nothing may stay open. The faults are in ``contrib/torture/faulty/``.

Run: ``python3 -m contrib.torture.faults [--tls] [--seconds N] [--count N] [--seed 1] [--step 1]
[--only TEXT]``. Each fault is tried once, in any order, if nothing says how long or how many.
Prints each violation, which can be played again with its seed and its name behind ``--only``, and
for each scenario how many transfers there were and how they ended. Exit status 1 if there was a
violation.
"""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import os
import sys
import threading
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from .faulty import cuts, keepalive, records, stalls, uploads
from .faulty.stage import Case, Dice, Place, Violation
from .program import Limit, Summary, open_descriptors, parser

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


class Play(NamedTuple):
    """A case, where it is played, and the seed of the round in which it is."""

    name: str
    case: Case
    place: Place
    seed: int


def plays(options: argparse.Namespace, places: dict[str, Place]) -> Iterator[Play]:
    """Yield all that is to be played: each round has all of it in any order, with another seed."""
    for seed in itertools.count(options.seed):
        order = [
            Play(f"{protocol} {scenario}", case, place, seed)
            for (protocol, place), scenario in itertools.product(places.items(), SCENARIOS)
            for case in SCENARIOS[scenario](
                place, options.step, Dice(f"{seed}, {protocol} {scenario}")
            )
            if options.only in f"{protocol} {scenario}: {case.label}"
        ]
        Dice(seed).shuffle(order)
        yield from order
        if not order or (options.seconds is None and options.count is None):
            return


def play(played: Play) -> tuple[str, str | None]:
    """Play one case; return how it ended and what is wrong with that."""
    dice = Dice(f"{played.seed}, {played.name}, {played.case.label}")
    try:
        return played.case.play(played.place, dice), None
    except Violation as exc:
        return "violation", str(exc)
    except BaseException:
        return "violation", traceback.format_exc()


class Tally:
    """What has been played, and what was wrong."""

    def __init__(self) -> None:
        self.transfers = 0
        self.counts: dict[str, Counter[str]] = {}  # of the endings, by scenario
        self.violations = 0
        self._before = open_things()
        self._unseen: list[str] = []

    def listen(self) -> None:
        """Note from now on what nobody closes, and what is raised where nobody sees it."""
        warnings.simplefilter("always", ResourceWarning)
        warnings.showwarning = lambda message, *_: self._unseen.append(str(message))
        sys.unraisablehook = lambda unseen: self._unseen.append(repr(unseen.exc_value))
        threading.excepthook = lambda unseen: self._unseen.append(repr(unseen.exc_value))

    def violation(self, problem: str) -> None:
        """Print and count *problem*."""
        self.violations += 1
        print(f"VIOLATION: {problem}", flush=True)

    def play_all(self, plays: Iterator[Play], limit: Limit, workers: int) -> None:
        """Play until *limit*, many at the same time."""
        under_way: deque[tuple[Play, Future[tuple[str, str | None]]]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            for coming in plays:
                if limit.reached(self.transfers + len(under_way)):
                    break
                under_way.append((coming, pool.submit(play, coming)))
                if len(under_way) > 2 * workers:
                    self._take(*under_way.popleft())
            while under_way:
                self._take(*under_way.popleft())

    def _take(self, played: Play, future: Future[tuple[str, str | None]]) -> None:
        try:
            outcome, problem = future.result(HUNG)
        except TimeoutError:
            outcome, problem = "violation", "it hangs"
        self.transfers += 1
        self.counts.setdefault(played.name, Counter())[outcome] += 1
        if problem is not None:
            self.violation(f"{played.name}: {played.case.label} (--seed {played.seed}): {problem}")
        if problem == "it hangs":  # and so would this program
            faulthandler.dump_traceback()
            os._exit(1)

    def tell(self, names: Iterable[str]) -> None:
        """Print what came of the scenarios of these *names*."""
        for name in names:
            if counts := self.counts.get(name):
                endings = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
                print(f"{name}: {counts.total()} transfers: {endings}")

    def check_closed(self) -> None:
        """See whether everything has been closed."""
        after = open_things()
        for what, then, now in zip(("descriptors", "threads"), self._before, after, strict=True):
            if now != then:
                self.violation(f"{now - then} {what} are left")
        for problem in self._unseen:
            self.violation(problem)


def open_things() -> tuple[int, int]:
    """Return how many descriptors and threads there are."""
    return open_descriptors(), threading.active_count()


def main(argv: list[str] | None = None) -> int:
    """Play the faults and print the counts."""
    made = parser(__doc__, "each fault once")
    made.add_argument("--step", type=int, default=1, help="break at every so many bytes")
    made.add_argument("--tls", action="store_true", help="over TLS as well (needs trustme)")
    made.add_argument("--only", default="", metavar="TEXT", help="only cases named so")
    made.add_argument("--workers", type=int, default=48, help="transfers at the same time")
    options = made.parse_args(argv)
    tally = Tally()
    tally.listen()
    places = {"plain": Place()} | ({"TLS": Place.with_tls()} if options.tls else {})
    limit = Limit(options.seconds, options.count)
    tally.play_all(plays(options, places), limit, options.workers)
    tally.tell(f"{protocol} {scenario}" for protocol in places for scenario in SCENARIOS)
    places.clear()
    tally.check_closed()
    return Summary(tally.transfers, "transfers with faults", options.seed, tally.violations).tell()


if __name__ == "__main__":
    sys.exit(main())
