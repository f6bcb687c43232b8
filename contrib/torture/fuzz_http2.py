"""Feed random and mutated HTTP/2 to the engine of the library, and see that it always copes.

No socket is used. What a server sends is a session of the h2 library, mutated frame by frame or
byte by byte; or frames by a grammar that knows the interesting values; or noise. The engine gets it

- once in one piece and once in small ones: the streams have to end alike, and the engine has to
  send the same;
- or among random calls of a user, who opens, sends, reads, resets, opens windows and loses the
  connection;
- or as the response to one request after the other, once frame by frame and once as a whole, where
  the engine takes it so.

It must never raise anything but what it documents, end every stream when the connection ends, stay
within its limits, and hold no more memory than they allow. Header blocks by themselves are compared
with the hpack library.

Run: ``python3 -m contrib.torture.fuzz_http2 [--seconds N] [--count N] [--seed 1]``. Prints the
counts and each violation. Exit status 1 if there was one. Needs h2.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import Counter
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple

import hpack

from dugong_like import ConnectionClosed, GoneAway, InvalidResponse, StateError, StreamReset
from dugong_like.http.h2 import frames
from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.hpack_decoder import Decoder, HpackError, ListTooLarge
from dugong_like.http.h2.hpack_encoder import Encoder
from dugong_like.http.h2.options import H2Options, H2Settings
from dugong_like.http.h2.stream import CLOSED, Stream

from .fuzz_responses import mutate
from .http2_wire import (
    NAMES,
    VALUES,
    Field,
    H2Server,
    disturb,
    flood,
    frame_bytes,
    grammar,
    request,
    split,
)
from .program import Limit, Summary, parser

MAX_LIST: Final = 2000  # bytes; small limits, so that going beyond them is seen
MAX_FIELDS: Final = 20
MAX_INFORMATIONAL: Final = 3
MAX_STREAMS: Final = 6
STREAM_WINDOW: Final = 70_000
SPACE: Final = 300_000  # bytes that an engine may hold besides what its streams have buffered
EACH_STREAM: Final = 40_000  # bytes besides content: heads as fields and as lines, errors
MAX_FLOOD: Final = 500_000  # bytes of one attempt
# What is refused here, and taken by the hpack library.
STRICTER: Final = ("size updates in a row", "of more than 5 octets", "acknowledged")
GET: Final = (
    *((b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"example.org")),
    (b":path", b"/"),
)
ENDS: Final = (ConnectionClosed, GoneAway, InvalidResponse, StreamReset)


class Violated(Exception):
    """The engine did what it must not do."""


# ---- the engine, and what can be seen of it


class Plan(NamedTuple):
    """What a client does at the beginning of a connection.

    Attributes:
        options: of the engine.
        requests: fields of each request, and whether it ends with them.

    """

    options: H2Options
    requests: list[tuple[tuple[Field, ...], bool]]

    @classmethod
    def by(cls, dice: random.Random) -> Plan:
        """Return a plan, with small limits."""
        table = dice.choice([None, None, 0, 200, 10000])
        limits = H2Options(
            max_list=MAX_LIST,
            max_fields=MAX_FIELDS,
            max_informational=MAX_INFORMATIONAL,
            max_streams=MAX_STREAMS,
            stream_window=STREAM_WINDOW,
            max_stream_window=STREAM_WINDOW,
            settings=H2Settings(header_table_size=table),
        )
        return cls(
            limits, [(request(dice), dice.random() < 0.7) for _ in range(dice.randint(1, 5))]
        )


def flush(engine: Engine) -> bytes:
    """Return what *engine* has queued, which counts as sent."""
    wire = b"".join(engine.take_output())
    engine.report_sent(engine.queued)
    return wire


def begin(plan: Plan, opening: bytes) -> tuple[Engine, list[Stream], bytes]:
    """Return an engine that has got *opening*, its streams, and what it has sent."""
    engine = Engine(plan.options)
    streams = [engine.open(*plan.requests[0])]
    engine.receive(opening)
    for fields, end in plan.requests[1:]:
        if engine.room():
            streams.append(engine.open(fields, end))
    return engine, streams, flush(engine)


def seen(engine: Engine, streams: list[Stream]) -> list[object]:
    """Return what can be seen of an engine and its streams, except content."""
    found: list[object] = [type(engine.ended).__name__, engine.remote_settings, [*engine.pings]]
    if engine.goaway is not None:
        found.append((engine.goaway.last_id, engine.goaway.code, engine.goaway.debug))
    for stream in streams:
        heads = [*stream.informational, *([] if stream.head is None else [stream.head])]
        found.append([(head.status, head.fields, head.content_length) for head in heads])
        error = stream.error
        found.append((type(error).__name__, getattr(error, "code", None)))
        found.append((stream.trailers, stream.ended, stream.state, stream.request_sent))
    for kind, flags, stream_id, payload in split(flush(engine)):
        said = payload[:8] if kind == frames.GOAWAY else payload  # its debug data has numbers
        found.append((kind, flags, stream_id, said))
    return found


def content(stream: Stream) -> bytes:
    """Return what a stream has buffered."""
    return b"".join(stream.pieces)


def check(engine: Engine, streams: list[Stream]) -> None:
    """Raise `Violated` if a limit is exceeded, or something contradicts something else."""
    if engine.ended is not None:
        if len(engine.streams) or engine.room() or engine.can_open():
            raise Violated("the connection has ended, and streams have not")
        if not isinstance(engine.ended, ENDS):
            raise Violated(f"the connection has ended by {engine.ended!r}")
    for stream in streams:
        if stream.error is not None and not isinstance(stream.error, ENDS):
            raise Violated(f"{stream} has ended by {stream.error!r}")
        if (stream.state is CLOSED) == (stream in engine.streams):
            raise Violated(f"{stream} is closed and open")
        if stream.state is CLOSED and not stream.ended and stream.error is None:
            raise Violated(f"{stream} is closed without end or error")
        if not 0 <= stream.buffered <= min(sum(map(len, stream.pieces)), STREAM_WINDOW):
            raise Violated(f"{stream} has buffered {stream.buffered} bytes")
        if stream.interim > MAX_INFORMATIONAL + 1:
            raise Violated(f"{stream} has {stream.interim} interim responses")


NO_DATA: Final = (ModuleType, type, FunctionType, BuiltinFunctionType)


def held(engine: Engine) -> int:
    """Return the bytes of all objects that *engine* holds."""
    size, found, left = 0, set[int](), [engine]
    while left:
        thing: Any = left.pop()
        if id(thing) not in found and not isinstance(thing, NO_DATA):
            found.add(id(thing))
            size += sys.getsizeof(thing)
            left += gc.get_referents(thing)
    return size


def check_memory(engine: Engine, streams: list[Stream]) -> None:
    """Raise `Violated` if more is held than the limits allow."""
    pieces = sum(len(stream.pieces) * 50 + stream.buffered for stream in streams)
    allowed = SPACE + EACH_STREAM * len(streams) + pieces
    if (size := held(engine)) > allowed:
        raise Violated(f"the engine holds {size} bytes; {allowed} are allowed")


# ---- attempts; each returns how it ended


def wire_of(dice: random.Random, plan: Plan) -> tuple[bytes, bytes]:
    """Return the SETTINGS of a server, and what it sends behind them."""
    chance = dice.random()
    if chance < 0.6:
        server = H2Server(dice)
        opening = server.take(b"")
        engine, _, sent = begin(plan, opening)
        wire = b""
        while sent:
            answer = server.take(sent)
            wire += answer
            engine.receive(answer)
            sent = flush(engine)
        if chance < 0.4:
            return opening, b"".join(map(frame_bytes, disturb(dice, split(wire))))
        return opening, mutate(dice, wire)
    opening = frame_bytes((frames.SETTINGS, 0, 0, b""))
    if chance < 0.95:
        count = dice.choice([1, 5, 30, 30, 300])
        return opening, b"".join(map(frame_bytes, grammar(dice, count)))
    if chance < 0.98:
        return opening, flood(dice, dice.choice([2000, 50_000, MAX_FLOOD]))
    return opening, dice.randbytes(dice.randrange(3000))


def try_cuts(dice: random.Random) -> str:
    """Give the same bytes in one piece and in small ones; compare what comes of them."""
    plan = Plan.by(dice)
    opening, wire = wire_of(dice, plan)
    whole, whole_streams, _ = begin(plan, opening)
    cut, cut_streams, _ = begin(plan, opening)
    whole.receive(wire)
    largest = 1 if len(wire) < 2000 else dice.choice([7, 100, 5000])
    place = 0
    while place < len(wire):
        size = dice.randint(1, largest)
        cut.receive(memoryview(wire)[place : place + size])
        place += size
    for engine, streams in ((whole, whole_streams), (cut, cut_streams)):
        check(engine, streams)
        check_memory(engine, streams)
    for one, other in zip(whole_streams, cut_streams, strict=True):
        data, parts = content(one), content(other)
        alike = data == parts if one.error is None else parts.startswith(data)
        if not alike:  # a broken stream may have got a part of its last frame
            raise Violated(f"{one} has got {len(data)} bytes in one piece, {len(parts)} in many")
    if (first := seen(whole, whole_streams)) != (second := seen(cut, cut_streams)):
        raise Violated(f"{wire[:2000]!r}\n  whole: {first}\n  cut:   {second}")
    return f"cut, {type(whole.ended).__name__}"


def answer_to(dice: random.Random, stream_id: int, encoder: hpack.Encoder) -> bytes:
    """Return a response that is nearly always small and well-formed."""
    fields = [(b"server", b"x"), (b"date", b"now"), (b"content-length", b"5")]
    contents = [*[b"hello"] * 40, b"", b"longer", bytes(16384), bytes(16385)]
    content = dice.choice(contents)
    status = dice.choice([*[b"200"] * 20, b"204", b"103", b"304"])
    head = [(b":status", status), *fields[: dice.choice([0, 2, 2, 3])]]
    flags = frames.END_HEADERS | (dice.random() < 0.02)
    answer = [
        (frames.HEADERS, flags, stream_id, encoder.encode(head)),
        (frames.DATA, int(dice.random() < 0.98), stream_id, content),
    ]
    if dice.random() < 0.05:
        answer = disturb(dice, answer)
    wire = b"".join(map(frame_bytes, answer))
    return mutate(dice, wire) if dice.random() < 0.03 else wire


def try_whole(dice: random.Random) -> str:
    """Answer one request after the other; compare both ways to take a response."""
    options = H2Options(stream_window=STREAM_WINDOW, connection_window=100_000)
    engines = Engine(options), Engine(options)
    opening = frame_bytes((frames.SETTINGS, 0, 0, b"")) + frame_bytes((frames.SETTINGS, 1, 0, b""))
    for engine in engines:
        engine.receive(opening)
        flush(engine)
    encoder = hpack.Encoder()
    kinds = [GET, GET, request(dice)]
    whole = 0
    for _ in range(dice.choice([3, 10, 30])):
        if not engines[0].room():
            break
        kind = dice.choice(kinds)
        streams = [engine.open(kind, True) for engine in engines]
        wire = answer_to(dice, streams[0].id, encoder)
        memory = memoryview(wire + bytes(dice.choice([0, 100])))
        taken = engines[1].take_whole(streams[1], memory, len(wire))
        whole += taken is not None
        engines[0].receive(wire)
        if taken is None:
            engines[1].receive(wire)
        bodies = []
        for engine, stream in zip(engines, streams, strict=True):
            bodies.append(stream.take_all())
            engine.consumed(stream, len(bodies[-1]))
            check(engine, [stream])
        if bodies[0] != (bodies[1] if taken is None else taken):
            raise Violated(f"{wire[:2000]!r}: {len(bodies[0])} bytes, or others")
        both = [seen(engine, [stream]) for engine, stream in zip(engines, streams, strict=True)]
        if both[0] != both[1]:
            raise Violated(f"{wire[:2000]!r}\n  frames: {both[0]}\n  whole:  {both[1]}")
        for engine, stream in zip(engines, streams, strict=True):
            engine.reset(stream)
            flush(engine)
    return f"whole, {'none' if not whole else 'some'}"


def try_calls(dice: random.Random) -> str:
    """Give bytes in pieces, and make random calls in between."""
    plan = Plan.by(dice)
    opening, wire = wire_of(dice, plan)
    engine, streams, _ = begin(plan, opening)
    largest = dice.choice([1, 30, 1000, 100_000]) if len(wire) < 5000 else 10_000
    lazy = dice.random() < 0.3  # nobody sends
    opened: dict[Stream, None] = {}
    place = 0
    while place < len(wire):
        for _ in range(dice.choice([0, 0, 1, 3])):
            call(dice, engine, streams)
        opened.update(dict.fromkeys(streams))
        size = dice.randint(1, largest)
        touched = engine.receive(wire[place : place + size])
        for stream in touched:
            if stream not in opened:
                raise Violated(f"{stream} was not opened")
        place += size
        if not lazy and dice.random() < 0.7:
            flush(engine)
        check(engine, streams)
    check_memory(engine, streams)
    ended = type(engine.ended).__name__
    engine.lost(OSError("reset by peer"))
    check(engine, streams)
    if engine.ended is None or any(stream.state is not CLOSED for stream in streams):
        raise Violated("the connection is lost, and not all streams have ended")
    return f"calls, {ended}"


def call(dice: random.Random, engine: Engine, streams: list[Stream]) -> None:
    """Make one call of a user, on one of the streams; it may be one that is not allowed now."""
    action = dice.choice(CALLS) if streams else open_stream
    try:
        action(dice, engine, streams)
    except (StateError, ValueError):
        pass  # which the calls document


def open_stream(dice: random.Random, engine: Engine, streams: list[Stream]) -> None:
    """Send a further request."""
    if len(streams) < 3 * MAX_STREAMS:
        streams.append(engine.open(request(dice), dice.random() < 0.7))


def read(dice: random.Random, engine: Engine, streams: list[Stream]) -> None:
    """Take some of the content, or all."""
    stream = dice.choice(streams)
    chance = dice.random()
    if chance < 0.3:
        engine.consumed(stream, len(stream.take(dice.choice([1, 100, 10**6]))))
    elif chance < 0.6:
        engine.consumed(stream, stream.take_into(memoryview(bytearray(dice.choice([1, 10**4])))))
    else:
        engine.consumed(stream, len(stream.take_all()))
    if stream.informational and dice.random() < 0.3:
        stream.informational.popleft()


def send(dice: random.Random, engine: Engine, streams: list[Stream]) -> None:
    """Send content, or trailers."""
    stream = dice.choice(streams)
    if dice.random() < 0.9:
        size = dice.choice([0, 1, 1000, 100_000])
        if not 0 <= engine.send_data(stream, bytes(size), dice.random() < 0.3) <= size:
            raise Violated("more was accepted than there is")
    else:
        engine.send_trailers(stream, [(b"checksum", b"1")])


def give_up(dice: random.Random, engine: Engine, streams: list[Stream]) -> None:
    """Reset a stream, which nobody looks at any more."""
    engine.reset(streams.pop(dice.randrange(len(streams))), dice.randrange(14))


def manage(dice: random.Random, engine: Engine, streams: list[Stream]) -> None:
    """Do something about the connection, or a window."""
    chance = dice.random()
    if chance < 0.5:
        engine.ping(dice.choice([None, b"12345678"]))
    elif chance < 0.95:
        engine.update_window(dice.choice([None, *streams]), dice.choice([1, 1000, 2**31 - 1]))
    else:
        engine.say_goaway()


CALLS: Final = (open_stream, read, read, read, send, send, give_up, manage)


def try_blocks(dice: random.Random) -> str:
    """Decode mutated header blocks, as another library does; encode sections for it."""
    encoder, decoder, other = hpack.Encoder(), Decoder(4096, 10**6, 10**4), hpack.Decoder(10**6)
    ours, reader = Encoder(dice.choice([0, 200, 4096, 10**5])), hpack.Decoder(10**6)
    reader.max_allowed_table_size = 10**5
    for _ in range(10):
        section = tuple((dice.choice(NAMES), dice.choice(VALUES)) for _ in range(dice.randrange(8)))
        if dice.random() < 0.1:
            ours.set_max_size(dice.choice([0, 100, 4096, 10**9]))
        if tuple(reader.decode(ours.encode(section), raw=True)) != section:
            raise Violated(f"another library reads {section} differently")
        if dice.random() < 0.1:
            encoder.header_table_size = dice.choice([50, 1000]) + dice.randrange(50)
        block = encoder.encode(section, huffman=dice.random() < 0.5)
        if dice.random() < 0.3:
            block = mutate(dice, block)
        try:
            expected = [tuple(field) for field in other.decode(block, raw=True)]
        except (hpack.HPACKError, UnicodeDecodeError):
            expected = None
        try:
            fields = decoder.decode(block)
        except (HpackError, ListTooLarge) as exc:
            strict = any(text in str(exc) for text in STRICTER)
            if expected is not None and not strict:
                raise Violated(f"{block.hex()} is refused: {exc}") from None
            return "blocks, refused"
        if fields != expected:
            raise Violated(f"{block.hex()} is {fields} instead of {expected}")
    return "blocks, decoded"


ATTEMPTS: Final = (try_cuts, try_cuts, try_calls, try_calls, try_whole, try_blocks)


def main(argv: list[str] | None = None) -> int:
    """Fuzz, and print the counts."""
    options = parser(__doc__ or "").parse_args(argv)
    limit = Limit.of(options)
    counts: Counter[str] = Counter()
    attempts = violations = 0
    while not limit.reached(attempts):
        attempts += 1
        dice = random.Random(f"{options.seed}/{attempts}")
        attempt = dice.choice(ATTEMPTS)
        try:
            counts[attempt(dice)] += 1
        except Exception as exc:
            violations += 1
            print(f"VIOLATION: attempt {attempts}: {type(exc).__name__}: {exc}")
    print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    return Summary(attempts, "talks of HTTP/2", options.seed, violations).tell()


if __name__ == "__main__":
    sys.exit(main())
