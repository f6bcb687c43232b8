"""No interruption leaves a lock taken: Ctrl-C wherever Python looks for it, and at each wait.

Each row is a call, in memory, and the locks that it takes. They are free after each interruption,
for another thread too, and whoever waited for them comes next.
"""

import ast
import asyncio
import itertools
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from types import SimpleNamespace

import pytest
import trio
from kit.ctrl_c import ctrl_c_at_each_place
from kit.frames import TEXT, frame, websocket
from kit.streams import END, WOULD_BLOCK, ScriptedStream, connection, finish

import dugong_like
from dugong_like import (
    BodyFollowing,
    DugongError,
    NetworkStream,
    Request,
    SharedPipeline,
    tls_context,
)
from dugong_like.connection import connection as connections
from dugong_like.connection import operations, shared, shared_pipeline, websocket_pump
from dugong_like.connection import websocket as websockets
from dugong_like.connection.h1 import (
    body_reader,
    early_response,
    exclusive,
    receiver,
    reconnect,
    sender,
    session,
)
from dugong_like.connection.h2 import opening
from dugong_like.connection.states import NEW, OPEN, UPGRADED
from dugong_like.polling import fair_lock, holding
from dugong_like.polling.fair_lock import FairLock
from dugong_like.polling.wake import Wake
from dugong_like.transport.tls import alpn
from dugong_like.transport.upgraded import duplex

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
H1 = (
    *(sender, receiver, session, exclusive, holding, body_reader, early_response, reconnect),
    operations,
)


@pytest.fixture(scope="module")
def other():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def check_free(locks, other):
    """Check that another thread can take each of *locks*."""

    def take(lock):
        taken = lock.acquire(False)
        if taken:
            lock.release()
        return taken

    assert [other.submit(take, lock).result(100) for lock in locks] == [True] * len(locks)


class Conn:
    """A connection over HTTP/1.1 to a script, where each piece is late."""

    def __init__(self, monkeypatch, *incoming, rooms=(), body=None):
        self.stream = ScriptedStream([WOULD_BLOCK, *incoming], rooms=list(rooms))
        others = [ScriptedStream([WOULD_BLOCK, OK]) for _ in range(3)]
        self.conn = connection(monkeypatch, self.stream, *others)
        self.conn.connect()
        self.exchange = finish(self.conn.co_send_request("GET", "/")) if incoming else None

    @property
    def shared(self):
        return self.conn._session.shared

    def locks(self):
        peeking = self.shared.peeking
        found = [self.shared.sending, self.shared.reading, self.conn._exchanges.lock]
        return found if peeking is None else [*found, peeking]


class Socket:
    """A `NetworkStream`."""

    def __init__(self):
        rooms = [2, WOULD_BLOCK, 9]
        self.stream = NetworkStream(ScriptedStream([WOULD_BLOCK, b"ab", END], rooms=rooms))

    def locks(self):
        return [self.stream.in_use.reading, self.stream.in_use.sending]


class Frames:
    """A `WebSocket`."""

    def __init__(self):
        self.websocket, stream = websocket(None, frame(TEXT, "Hello"))
        stream.rooms = [3, None, 9]
        self.stream = stream

    def locks(self):
        ws = self.websocket
        in_use = self.stream.in_use
        return [ws._receiving, ws._order.lock, ws._lock, in_use.reading, in_use.sending]


class Turns:
    """A `FairLock`, and one that has waited for it before the call."""

    def __init__(self):
        self.fair = FairLock()

    def co_work(self):
        with Wake() as wake:
            wake.set()
            yield wake.need()

    def co_beside(self):
        """Hold the lock while another one comes, who has it then."""
        following = self.fair.co_holding(self.co_work())

        def co_meet():
            next(following)
            assert self.fair.waiting
            yield from self.co_work()

        self.following = following
        yield from self.fair.co_holding(co_meet())
        yield from following

    def co_behind(self):
        """Wait for one that gives up."""
        first = self.fair.co_holding(self.co_work())
        next(first)
        going = self.fair.co_holding(self.co_work())
        try:
            next(going)
        finally:
            first.close()
        yield from going

    def check(self):
        following = getattr(self, "following", None)
        if following is not None and following.gi_frame is not None:
            if self.fair.waiting or self.fair.lock.locked():
                finish(following)
            following.close()
        assert not self.fair.waiting

    def locks(self):
        return [self.fair.lock]


class Opened:
    """The connecting of a session for HTTP/2, and one that waits for it."""

    def __init__(self):
        shared = SimpleNamespace(
            state=NEW,
            is_elsewhere=False,
            observer=None,
            timeout=None,
            timeouts=SimpleNamespace(total=None),
        )

        def co_open():
            yield from fair_lock_work()
            shared.state = OPEN

        shared.open = co_open
        self.shared = shared
        self.opening = opening.Opening(shared)

    def co_open(self):
        with suppress(opening.Retired):
            yield from self.opening.co_ready()

    def co_beside(self):
        first = self.co_open()
        next(first)
        self.following = self.co_open()
        next(self.following)
        yield from first
        yield from self.following

    def check(self):
        following = getattr(self, "following", None)
        if following is not None and following.gi_frame is not None:
            finish(following)  # it connects itself, or is connected
            assert self.shared.state is OPEN

    def locks(self):
        return [self.opening._lock]


def fair_lock_work():
    with Wake() as wake:
        wake.set()
        yield wake.need()


def pipelined(monkeypatch):
    case = Conn(monkeypatch)
    case.ready = Wake()
    monkeypatch.setattr(ScriptedStream, "fd", case.ready.fd)  # one that epoll takes
    case.pipeline = SharedPipeline(case.conn)
    case.stream.incoming = [WOULD_BLOCK, OK]
    case.locks = lambda: [case.pipeline._driving.lock, case.pipeline._lock]
    return case


def co_submit(case):
    pending = yield from case.pipeline.co_submit(Request("GET", "/"))
    return (yield from pending.co_result())


def new(monkeypatch):
    case = Conn(monkeypatch)
    case.stream.incoming = [WOULD_BLOCK, OK]
    return case


def asked(monkeypatch):
    return Conn(monkeypatch, OK[:-1], WOULD_BLOCK, OK[-1:])


def co_read_all(case):
    yield from case.conn.co_read_response()
    return (yield from case.conn.co_readall())


def co_read_in_turn(case):
    yield from case.exchange.co_read_response()
    return (yield from case.exchange.co_readall())


def slow(monkeypatch):
    case = new(monkeypatch)
    case.stream.rooms = [5, WOULD_BLOCK, 1000]
    return case


def co_await(case):
    """Do what a task of asyncio does, without its loop."""

    class Once:
        def __init__(self, need):
            self.need = need

        def __await__(self):
            yield self.need

    async def wait(need):
        await Once(need)

    class Run(Once):
        def __await__(self):
            return (yield from self.need)

    async def go():
        return await case.conn.exchange_by(wait, Run, "GET", "/")

    return (yield from go().__await__())


OPERATIONS = {
    "send": (new, lambda case: case.conn.co_send_request("GET", "/"), H1),
    "send slowly": (slow, lambda case: case.conn.co_send_request("GET", "/"), H1),
    "read": (asked, co_read_all, H1),
    "read in turn": (asked, co_read_in_turn, H1),
    "exchange of a task": (new, co_await, (operations,)),
    "several": (new, lambda case: case.conn.co_exchange_all([("GET", "/")]), (operations, sender)),
    "NetworkStream.read": (lambda _: Socket(), lambda case: case.stream.co_read(9), (duplex,)),
    "NetworkStream.write": (
        lambda _: Socket(),
        lambda case: case.stream.co_write(b"abcd"),
        (duplex,),
    ),
    "NetworkStream.write_eof": (
        lambda _: Socket(),
        lambda case: case.stream.co_write_eof(),
        (duplex,),
    ),
    "WebSocket.recv": (
        lambda _: Frames(),
        lambda case: case.websocket.co_recv(),
        (websockets, websocket_pump),
    ),
    "WebSocket.recv_piece": (
        lambda _: Frames(),
        lambda case: case.websocket.co_recv_piece(),
        (websockets, websocket_pump),
    ),
    "WebSocket.send": (
        lambda _: Frames(),
        lambda case: case.websocket.co_send("x"),
        (websockets, websocket_pump),
    ),
    "FairLock": (lambda _: Turns(), Turns.co_beside, (fair_lock,)),
    "FairLock, waiting": (lambda _: Turns(), Turns.co_behind, (fair_lock,)),
    "connect for HTTP/2": (lambda _: Opened(), Opened.co_beside, (opening,)),
    "SharedPipeline": (pipelined, co_submit, (shared_pipeline, fair_lock, holding)),
}


@pytest.mark.parametrize("what", OPERATIONS)
def test_ctrl_c_leaves_no_lock_taken(monkeypatch, other, what):
    make, op, modules = OPERATIONS[what]
    count = 0
    for case in ctrl_c_at_each_place(
        lambda: make(monkeypatch), lambda case: finish(op(case)), *modules
    ):
        count += 1
        if hasattr(case, "check"):
            case.check()
        check_free(case.locks(), other)
    assert count >= 5


@pytest.mark.parametrize(
    "how", [GeneratorExit, asyncio.CancelledError, trio.Cancelled, KeyboardInterrupt]
)
def test_an_operation_that_is_given_up_leaves_no_lock_taken(monkeypatch, other, how):
    """At each of its waits, as a cancelled task does it, or Ctrl-C while the loop waits."""
    for make, op, _ in OPERATIONS.values():
        for steps in itertools.count(1):
            case = make(monkeypatch)
            going = op(case)
            try:
                try:
                    for _ in range(steps):
                        next(going)
                except StopIteration:
                    break
                with suppress(how, DugongError):
                    going.throw(how._create() if how is trio.Cancelled else how())
            finally:
                going.close()
                del going
            if hasattr(case, "check"):
                case.check()
            check_free(case.locks(), other)


class Watched:
    """A lock, and a flag of one that waits until it is free and has to be told."""

    def __init__(self):
        self._lock = Lock()
        self.locked = self._lock.locked
        self.acquire = self._lock.acquire
        self.was_taken = self.is_told = False

    def release(self):
        self.was_taken, self.is_told = True, False
        self._lock.release()

    def set(self):
        self.is_told = not self.locked()


def reads(monkeypatch):
    case = asked(monkeypatch)
    case.watched = case.shared.reading = Watched()
    case.shared.turn_waits = (case.watched,)
    return case


def has_received(monkeypatch):
    case = reads(monkeypatch)
    while case.conn._session.receiver.buffer.fill(case.shared.stream) is None:
        pass
    return case


def upgraded(monkeypatch):
    case = reads(monkeypatch)
    case.shared.state = UPGRADED
    return case


def batched(monkeypatch):
    case = new(monkeypatch)
    case.watched = case.shared.reading = Watched()
    case.shared.turn_waits = (case.watched,)
    return case


def sends(make):
    def made(monkeypatch):
        case = make(monkeypatch)
        case.watched = case.shared.sending = Watched()
        case.shared.reader_waits = case.watched
        return case

    return made


def uploads(rooms):
    def made(monkeypatch):
        case = new(monkeypatch)
        finish(case.conn.co_send_request("PUT", "/", body=BodyFollowing(4)))
        case.stream.rooms = list(rooms)
        return case

    return sends(made)


def hand_over(case):
    buffer = case.conn._session.receiver.buffer
    body_reader.hand_over(case.shared, buffer, case.shared.stream, None)


def messages(direction):
    def made(_):
        case = Frames()
        case.watched = Watched()
        setattr(case.websocket._stream.in_use, direction, case.watched)
        case.websocket._waiting = [case.watched]
        return case

    return made


USES = {
    "WebSocket.recv": (messages("reading"), lambda case: finish(case.websocket.co_recv())),
    "WebSocket.send": (messages("sending"), lambda case: case.websocket._flush_now()),
    "co": (reads, lambda case: finish(co_read_all(case))),
    "block": (reads, lambda case: case.conn._session.receiver.block(lambda _: 1, None)),
    "in turn": (reads, lambda case: finish(co_read_in_turn(case))),
    "peek": (reads, lambda case: exclusive.peek(case.shared, int)),
    "gathering": (reads, lambda case: case.conn._session.gathering(1)),
    "take_replies": (has_received, lambda case: case.conn._session.take_replies(9)),
    "reply": (
        reads,
        lambda case: finish(case.conn._session.co_exclusive_reply(case.exchange)),
    ),
    "batch": (batched, lambda case: finish(case.conn.co_exchange_all([("GET", "/")]))),
    "hand_over": (upgraded, hand_over),
    "request": (sends(new), lambda case: finish(case.conn.co_send_request("GET", "/"))),
    "request, slowly": (sends(slow), lambda case: finish(case.conn.co_send_request("GET", "/"))),
    "write": (uploads([]), lambda case: finish(case.conn.co_write(b"abcd"))),
    "write, slowly": (uploads([2, None]), lambda case: finish(case.conn.co_write(b"abcd"))),
}


def test_ctrl_c_lets_nobody_wait_for_what_is_free(monkeypatch):
    """An operation that waits for its turn hears that it has come, wherever the other one ends."""
    missed = []
    for what, (make, call) in USES.items():
        count = 0
        for case in ctrl_c_at_each_place(
            partial(make, monkeypatch), call, *H1, shared, fair_lock, websocket_pump, websockets
        ):
            count += case.watched.was_taken
            if case.watched.was_taken and not case.watched.is_told:
                missed.append(what)
            assert not case.watched.locked()
        assert count, what
    assert missed == []


class Blocking(Conn):
    """A connection whose blocking calls wait in no system call."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr("dugong_like.connection.connection.run", finish)
        super().__init__(monkeypatch)
        self.stream.incoming = [OK] * 3
        self.stream.is_idle = lambda: True  # the response arrives when it is looked for

    def exchange_again(self):
        again = self.conn.exchange("GET", "/")
        assert again.body == b"ok"


def test_ctrl_c_in_an_exchange_leaves_no_lock_taken_and_no_descriptor_open(monkeypatch, other):
    count = 0
    for case in ctrl_c_at_each_place(
        lambda: Blocking(monkeypatch), lambda case: case.conn.exchange("GET", "/"), connections, *H1
    ):
        count += 1
        check_free([case.conn._exchanges.lock], other)
        shared = case.shared
        case.exchange_again()
        is_same = case.conn._session.shared is shared
        del shared
        assert is_same or case.stream.closed, count
        case.conn.disconnect()
        assert case.stream.closed, count
    assert count > 10


def test_ctrl_c_in_a_peek_leaves_no_lock_taken(monkeypatch, other):
    for case in ctrl_c_at_each_place(
        lambda: Conn(monkeypatch), lambda case: exclusive.peek(case.shared, int), exclusive, holding
    ):
        assert case.shared.peeking is None or len(case.locks()) == 4
        check_free(case.locks(), other)


def test_ctrl_c_while_tls_is_offered_leaves_no_lock_taken_and_the_context_as_it_was(other):
    given = tls_context(alpn=("imap",))

    def offered(context, *protocols):
        ends = ssl.MemoryBIO(), ssl.MemoryBIO()
        made = []
        alpn.offering(
            context, protocols, lambda: made.append(context.wrap_bio(*ends, server_hostname="h"))
        )
        with suppress(ssl.SSLWantReadError):
            made[0].do_handshake()
        return ends[1].read()

    for context in ctrl_c_at_each_place(
        lambda: given, lambda context: offered(context, "h2"), alpn
    ):
        check_free([alpn._lock], other)
        hello = offered(context)
        assert b"imap" in hello
        assert b"\x02h2" not in hello


# Files with locks that are taken in another way, and why that loses none.
TAKEN_OTHERWISE = {
    "connection/h1/session.py": "`exchanging` says so, and the next exchange begins a new session",
    "connection/h2/pump.py": "what ends a section from outside ends the session",
    "transport/connect/helper_threads.py": "it is no lock: a bell, which is rung by the release",
}


def test_locks_are_taken_in_one_step_with_noting_that():
    """By a ``with`` block of the lock itself, or by ``map``; see `FairLock`."""
    root = Path(dugong_like.__file__).parent
    otherwise = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "acquire"
    }
    assert otherwise == set(TAKEN_OTHERWISE)


# Where it is written out how a lock is held that is not waited for, and why no function of
# polling/holding.py, or of `FairLock`, does it.
WRITTEN_OUT = {
    "connection/h1/receiver.py": {
        "block": "each call of a blocking read counts",
        "co": "each call of a read counts",
        "_co_in_turn": "it waits for its turn where others are refused",
    },
    "connection/h1/sender.py": {
        "begin": "the lock may go to the operation that sends the rest",
        "request": "as with begin; each call of a request counts",
    },
    "connection/operations.py": {
        "_co_exchange": "each call of an exchange counts",
        "exchange_by": "it is a coroutine; each call of an exchange counts",
    },
    "connection/h2/opening.py": {"co_open": "it waits if another one has it"},
    "connection/websocket.py": {
        "_co_recv": "each call of a message counts",
        "_co_recv_piece": "as with _co_recv",
        "co_next_event": "as with _co_recv",
        "_send_now": "each call of a message counts",
        "co_begin_fragments": "`Fragments` gives it back",
    },
    "connection/websocket_pump.py": {
        "_flush_now": "each call of a message counts",
        "begin_reading": "`_Use` notes and gives back two",
        "begin_writing": "as with begin_reading",
    },
    "transport/upgraded/duplex.py": {"_co_exclusive": "each call of a read counts"},
    "polling/fair_lock.py": {"co_holding": "it is waited for", "hand_on": "it goes to another one"},
    "polling/holding.py": dict.fromkeys(("holding", "holding_if_free", "co_holding"), "the home"),
}
# They give back in another function, or something that nobody waits for.
NOTHING_AFTER = {"co_begin_fragments", "begin_reading", "begin_writing", "hand_on", "_receiving"}


def is_taking(node):
    """Return True for ``(held,) = map(lock.acquire, NOT_BLOCKING)``."""
    return isinstance(node, ast.Assign) and ", NOT_BLOCKING)" in ast.unparse(node.value)


def faults(function):
    """Yield what *function*, which takes a lock, does in another way than holding.py."""
    for block in ast.walk(function):
        if not isinstance(block, ast.Try) or not block.finalbody:
            continue
        if not any(is_taking(node) for part in block.body for node in ast.walk(part)):
            continue
        taken = next(node for part in block.body for node in ast.walk(part) if is_taking(node))
        held, lock = ast.unparse(taken.targets[0])[1:-2], ast.unparse(taken.value.args[0])
        first = block.body[0]
        if not (is_taking(first) or isinstance(first, ast.While | ast.If)):
            yield f"{ast.unparse(first)} comes before the lock is taken"
        end = block.finalbody[-1]
        if len(block.finalbody) != 1 or ast.unparse(end.test) != held or end.orelse:
            yield f"the end is not: if {held}"
        release = lock.replace(".acquire", ".release()")
        text = [ast.unparse(node) for node in end.body]
        if lock.split(".")[-2] in NOTHING_AFTER:
            if text != [release]:
                yield f"the end is not {release}"
            continue
        giving = end.body[-1]
        if not isinstance(giving, ast.Try) or giving.finalbody or len(giving.handlers) != 1:
            yield "nothing is done once more after Ctrl-C"
            continue
        [handler] = giving.handlers
        *again, last = handler.body
        released, after = giving.body
        after = after.body[0] if isinstance(after, ast.If) else after
        if ast.unparse(released) != release:
            yield f"{ast.unparse(released)} comes before {release}"
        if ast.unparse(handler.type) != "BaseException" or ast.unparse(last) != "raise":
            yield "an interruption is not raised again"
        if [ast.unparse(node) for node in again] != [ast.unparse(after)]:
            yield f"{ast.unparse(after)} is not done once more"


def test_all_places_hold_a_lock_in_the_same_way():
    root = Path(dugong_like.__file__).parent
    found, wrong = {}, []
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if any(map(is_taking, ast.walk(node))):
                name = path.relative_to(root).as_posix()
                found.setdefault(name, set()).add(node.name)
                if node.name not in NOTHING_AFTER:
                    wrong += [f"{name}, {node.name}: {fault}" for fault in faults(node)]
    assert wrong == []
    assert found == {name: set(places) for name, places in WRITTEN_OUT.items()}


def test_the_check_of_those_places_finds_what_is_wrong():
    right = ast.unparse(ast.parse(Path(holding.__file__).read_text()))
    calls = ["lock.release()", "after()"]
    for old, new in {
        "\n                ".join(calls): "\n                ".join(calls[::-1]),
        "except BaseException:": "except Exception:",
        "                after()\n                raise": "                raise",
        "after()\n                raise": "after()",
        "if held:": "if True:",
    }.items():
        assert old in right
        text = right.replace(old, new)
        functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
        assert len([node for node in functions if list(faults(node))]) == 3, old
