"""Make random calls against mutated responses, and see that only documented exceptions come out.

Each call of `HTTPConnection` says in its documentation what it raises, and that is where
this program reads it. No socket is used. Operations are also given up in the middle, and
calls are made in any order with good and bad arguments.

Run: ``python3 -m contrib.torture.fuzz_calls [--seconds N] [--count N] [--seed 1]``.
Prints how often which call ended how, and each violation. Exit status 1 if there was one.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import io
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import dugong_like
from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    DugongError,
    HTTPConnection,
    HTTPResponse,
    InvalidResponse,
    NetworkStream,
    ScriptedStream,
    ScriptedTransport,
    StateError,
    Target,
)
from dugong_like.transport.scripted import Room

from .fuzz_responses import PIECES, SEEDS, WHOLE, mutate, script
from .program import Limit, Summary, parser

TARGET = Target("http://fuzz.test/")
MOST_CALLS = 25
MOST_CONNECTIONS = 4  # behind which there is no server any more
MOST_WAITS = 40  # of one call, after which it is given up
ENTRY = re.compile(r"^    ([A-Z]\w+(?:, [A-Z]\w+)*): ", re.MULTILINE)
REFERENCE = re.compile(r"(?:what|see) `(\w+)`")


@functools.cache
def documented(call: str, owner: type = HTTPConnection) -> tuple[type[BaseException], ...]:
    """Return the classes that the documentation of *call* names, also by reference."""
    text = inspect.getdoc(getattr(owner, call)) or ""
    _, _, raises = text.partition("Raises:\n")
    raises = raises.split("\n\n")[0]
    found: set[type[BaseException]] = set()
    for names in ENTRY.findall(raises):
        for name in names.split(", "):
            found.add(getattr(dugong_like, name, None) or getattr(builtins, name))
    for other in REFERENCE.findall(raises):
        found |= set(documented(other, owner))
        found.discard(DugongError)  # it stands for what the other call raises
    return tuple(found)


class Stream(ScriptedStream):
    """A stream that blocks, ends and fails by chance, and may seem to have ended while idle."""

    def __init__(self, dice: random.Random, data: bytes) -> None:
        lost = ConnectionClosed("connection lost: reset", request_sent="maybe")
        incoming = script(data, dice.choice([1, 3, 20, 1000]))
        incoming += [None] * dice.choice([0, 1, 3])
        incoming += dice.choice([[lost], *[[]] * 6, *[[math.inf]] * 3])
        super().__init__(incoming, [self._room(dice) for _ in range(MOST_CALLS)])
        self._dice = dice

    def _room(self, dice: random.Random) -> Room:
        """Return what one call that sends does: takes all, or some, or nothing, or fails."""
        chance = dice.random()
        if chance < 0.02:
            return ConnectionClosed("connection lost: broken pipe", request_sent="maybe")
        if chance < 0.2:
            return None
        return WHOLE if chance < 0.7 else dice.choice([1, 10, 100, 1000, 100_000])

    def is_idle(self) -> bool:
        """Return False now and then."""
        return self._dice.random() < 0.9


class Moody(io.RawIOBase):
    """A file that fails by chance."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def readinto(self, buffer: Any) -> int:
        """Give some bytes, or none, or fail."""
        if self._dice.random() < 0.3:
            raise OSError("bad disk")
        return self._dice.randint(0, len(buffer))

    def write(self, data: Any) -> int:
        """Take some bytes, or fail."""
        if self._dice.random() < 0.3:
            raise OSError("disk full")
        return self._dice.randint(1, len(data))


class Talk:
    """One connection, and random calls of it."""

    def __init__(self, dice: random.Random, note: Callable[[str, str], object]) -> None:
        self._dice = dice
        self._note = note
        self.problems: list[str] = []
        self._sensible = ["co_send_request"]  # calls that make sense next
        self._transport = ScriptedTransport(*[self._stream() for _ in range(MOST_CONNECTIONS)])
        self.conn = HTTPConnection(
            "fuzz.test",
            timeout=dice.choice([None, None, 0]),
            expect100_timeout=dice.choice([None, None, 0]),
            transport=self._transport,
        )

    def close(self) -> None:
        """Close all that is left open, also streams that HTTP was left for."""
        self.conn.close()
        for stream in self._transport.streams:
            stream.close()

    def _stream(self) -> Stream:
        seeds = self._dice.choices(SEEDS, k=self._dice.randint(1, 4))
        data = b"".join(seeds)
        return Stream(self._dice, data if self._dice.random() < 0.5 else mutate(self._dice, data))

    def arguments(self, call: str) -> tuple[Any, ...]:
        """Choose arguments for *call*, good ones mostly."""
        choose = self._dice.choice
        odd = choose(PIECES).decode("latin-1") if self._dice.random() < 0.1 else "x"
        data = bytes(choose([0, 1, 5, 1000, 300_000]))
        file = choose([io.BytesIO(data)] * 9 + [Moody(self._dice), io.StringIO(odd), odd])
        if call == "co_send_request" and self._dice.random() < 0.1:
            return choose([("CONNECT", "a.test:1"), ("GET", "/", {"Upgrade": "x"})])
        if call in {"co_send_request", "co_exchange"}:
            body = choose([None, None, data, BodyFollowing(choose([0, 5, 1000])), BodyFollowing()])
            request = (
                choose(["GET", "GET", "HEAD", "PUT", odd]),
                choose(["/", "/", "/", "/a?b", "/" + odd, TARGET]),
                choose([None, None, {"A": "b"}, {"Upgrade": "x"}, {"A": odd}, {odd: "b"}]),
                choose([body] * 20 + [odd]),  # type: ignore[list-item]  # a string is no body
                choose([False, False, True]),
            )
            return request if call == "co_send_request" else request[: self._dice.randint(2, 4)]
        if call == "co_exchange_all":
            call = "co_send_requests"  # the same
        return {
            "co_send_requests": (
                [
                    self.arguments("co_send_request")[: self._dice.randint(2, 4)]
                    for _ in range(self._dice.randint(0, 5))
                ],
            ),
            "co_write": (choose([data] * 20 + [odd]),),
            "co_finish": (choose([None, None, {"T": "u"}, {"T": odd}]),),
            "co_read": (choose([None, 0, *[1, 10, 100_000] * 4, -1, odd]),),
            "co_readinto": (choose([bytearray(1), bytearray(100_000)] * 9 + [bytearray(), b"x"]),),
            "co_read_raw": (choose([1, 1000, -1, odd]),),
            "co_sendfile": (file, choose([0, 0, 0, 1, -1]), choose([None, None, 0, 5, 1000, odd])),
            "co_recv_to_file": (file,),
        }.get(call, ())

    def step(self) -> None:
        """Make one call to its end, or give it up, and look at what comes out."""
        sensible = self._dice.random() < 0.8
        call = self._dice.choice(self._sensible if sensible else CALLS)
        arguments = self.arguments(call)
        try:
            operation = getattr(self.conn, call)(*arguments)
            for _ in range(self._dice.choice([0, 1, 3, MOST_WAITS, MOST_WAITS])):
                next(operation)
            operation.close()
            self._note(call, "given up")  # what made sense still does
        except StopIteration as end:
            self._note(call, "done")
            self._sensible = FOLLOW.get(call, self._sensible)
            if isinstance(end.value, HTTPResponse):
                self._leave(end.value)
        except Exception as exc:
            self._note(call, type(exc).__name__)
            if not isinstance(exc, documented(call)):
                self.problems.append(f"{call}{arguments!r:.200} raised {exc!r}")
            self._sensible = ["co_send_request", "co_read_response"]
            if isinstance(exc, InvalidResponse):
                reads = [] if call in WRITES else ["co_readall"]
                self._check_that_it_ended(exc, reads)

    def _leave(self, response: HTTPResponse) -> None:
        """Take the stream of a response that has ended HTTP, and make random calls of it."""
        if self._dice.random() < 0.2:
            return
        try:
            stream = response.stream
        except StateError:
            return  # as of most responses
        self._note("stream", "done")
        for _ in range(self._dice.randint(0, 6)):
            call = self._dice.choice(["co_read", "co_readinto", "co_write"])
            arguments = self.arguments(call)
            try:
                operation = getattr(stream, call)(*arguments)
                for _ in range(self._dice.choice([0, 1, 3, MOST_WAITS])):
                    next(operation)
                operation.close()
                self._note(f"stream.{call}", "given up")
            except StopIteration:
                self._note(f"stream.{call}", "done")
            except Exception as exc:
                self._note(f"stream.{call}", type(exc).__name__)
                if not isinstance(exc, (*documented(call, NetworkStream), TypeError)):
                    self.problems.append(f"stream.{call}{arguments!r:.200} raised {exc!r}")
        if self._dice.random() < 0.9:
            stream.close()

    def _check_that_it_ended(self, cause: Exception, reads: list[str]) -> None:
        """After an error of the protocol nothing goes on.

        But if it was a writer who met it, the last body is still the complete one that it was.
        """
        for call in ("co_read_response", "co_connect", *reads):
            try:
                next(getattr(self.conn, call)())
            except DugongError:
                continue
            except StopIteration:
                pass
            self.problems.append(f"{call} went on after {cause!r}")


EXCHANGE = ["co_exchange", "co_exchange_all"]
CALLS = [
    *["co_send_request"] * 3, *["co_read_response"] * 4, "co_write", "co_write", "co_finish",
    "co_read", "co_read", "co_readinto", "co_readall", "co_discard", "co_read_raw", "co_connect",
    "co_sendfile", "co_recv_to_file", "co_send_requests", *EXCHANGE,
]  # fmt: skip
READS = ["co_read", "co_read", "co_readinto", "co_readall", "co_discard", "co_recv_to_file"]
WRITES = {"co_send_request", "co_send_requests", "co_write", "co_sendfile", "co_finish"}
FOLLOW = {
    "co_connect": ["co_send_request", "co_send_requests"],
    "co_send_requests": ["co_read_response"],
    "co_send_request": [
        *["co_read_response", "co_read_response", "co_write", "co_sendfile", "co_finish"],
    ],
    "co_write": ["co_write", "co_sendfile", "co_finish", "co_read_response"],
    "co_sendfile": ["co_write", "co_sendfile", "co_finish", "co_read_response"],
    "co_recv_to_file": ["co_read_response", "co_send_request"],
    "co_finish": ["co_read_response", "co_send_request"],
    "co_read_response": [*READS, "co_read_response", "co_write"],
    "co_readall": ["co_read_response", "co_send_request", *EXCHANGE],
    "co_exchange": ["co_send_request", *EXCHANGE],
    "co_exchange_all": ["co_send_request", *EXCHANGE],
    "co_discard": ["co_read_response", "co_send_request"],
    "co_read": [*READS, "co_read_response"],
    "co_readinto": [*READS, "co_read_response"],
}


def main(argv: list[str] | None = None) -> int:
    """Fuzz, and print the counts."""
    options = parser(__doc__).parse_args(argv)
    limit = Limit.of(options)
    counts: Counter[tuple[str, str]] = Counter()
    talks = violations = 0
    while not limit.reached(talks):
        dice = random.Random(f"{options.seed} {talks}")
        talk = Talk(dice, lambda call, end: counts.update([(call, end)]))
        for _ in range(dice.randint(1, MOST_CALLS)):
            talk.step()
            if dice.random() < 0.05:
                talk.conn.reset()
        talk.close()
        for problem in talk.problems:
            violations += 1
            print(f"VIOLATION: in talk {talks} of seed {options.seed}: {problem}")
        talks += 1
    for call in sorted({name for name, _ in counts}):
        endings = [(count, end) for (name, end), count in counts.items() if name == call]
        print(f"{call}: " + ", ".join(f"{count} {end}" for count, end in sorted(endings)[::-1]))
    return Summary(talks, "talks of random calls", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
