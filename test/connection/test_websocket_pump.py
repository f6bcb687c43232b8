"""Moving the bytes of a WebSocket: both directions, several operations, life and its end.

In memory: the test resumes the operations, and says what arrives and what is taken.
"""

import socket
import time

import pytest
from kit.frames import BINARY, CONT, PING, PONG, TEXT, close, close_codes, frame, parsed, websocket
from kit.streams import finish

from dugong_like import (
    POLLIN,
    ConnectionClosed,
    ConnectionTimedOut,
    PollNeeded,
    WebSocketClosed,
    within,
)
from dugong_like.connection import websocket_pump
from dugong_like.connection.websocket import WebSocket
from dugong_like.connection.websocket_pump import MAX_AHEAD, MAX_REPLIES
from dugong_like.transport.tcp import TCPStream
from dugong_like.transport.upgraded.network_stream import NetworkStream


def begun(op):
    """Make the first step of *op*, which waits then."""
    return next(op)


def ended(op):
    """Make the next step of *op*, which ends with it, and return its result."""
    with pytest.raises(StopIteration) as end:
        next(op)
    return end.value.value


def test_a_message_in_pieces_of_the_network():
    wire = frame(TEXT, "Hello")
    for cut in range(1, len(wire)):
        ws, stream = websocket(wire[:cut], None, wire[cut:])
        assert finish(ws.co_recv()) == "Hello"
        assert set(stream.waits) <= {"r"}


def test_interrupting_loses_nothing():
    wire = frame(TEXT, "one") + frame(TEXT, "two")
    for cut in range(1, len(wire)):
        ws, stream = websocket(wire[:cut])
        got = []
        for _ in range(2):
            op = ws.co_recv()
            try:
                begun(op)
            except StopIteration as end:
                got.append(end.value)
            op.close()
        stream.incoming.append(wire[cut:])
        while len(got) < 2:
            got.append(finish(ws.co_recv()))
        assert got == ["one", "two"]


def test_a_ping_is_answered_by_whoever_receives():
    ws, stream = websocket(frame(PING, b"1") + frame(TEXT, "x"))

    assert finish(ws.co_recv()) == "x"
    assert parsed(stream.sent) == []  # it has what it wanted; what is queued is sent next
    finish(ws.co_send("y"))
    assert [payload for _, payload, _, _ in parsed(stream.sent)] == [b"1", b"y"]

    ws, stream = websocket(frame(PING, b"1"))
    begun(ws.co_recv())
    assert parsed(stream.sent) == [(PONG, b"1", True, False)]


def test_an_answer_that_nobody_takes_is_sent_later():
    ws, stream = websocket(frame(PING, b"1"))
    stream.rooms = [3] + [None] * 9
    op = ws.co_recv()
    begun(op)
    assert stream.waits == ["rw"]
    stream.incoming.append(frame(TEXT, "x"))
    assert ended(op) == "x"  # the rest of the pong does not keep it
    stream.rooms = []
    finish(ws.co_send("y"))

    assert [payload for _, payload, _, _ in parsed(stream.sent)] == [b"1", b"y"]


def test_a_send_that_waits_also_receives():
    """A server may take nothing before it has got rid of its own messages."""
    ws, stream = websocket(frame(PING, b"1") + frame(TEXT, "x"))
    stream.rooms = [None] * 3
    finish(ws.co_send("y" * 10))

    assert "rw" in stream.waits
    assert [payload for _, payload, _, _ in parsed(stream.sent)] == [b"y" * 10, b"1"]
    assert finish(ws.co_recv()) == "x"


def test_a_send_that_is_given_up_is_sent_by_the_next_operation():
    ws, stream = websocket()
    stream.rooms = [3] + [None] * 9
    op = ws.co_send("first")
    begun(op)
    op.close()
    stream.rooms = []
    stream.incoming.append(frame(TEXT, "x"))

    assert finish(ws.co_recv()) == "x"
    finish(ws.co_send("second"))
    assert [payload for _, payload, _, _ in parsed(stream.sent)] == [b"first", b"second"]


def test_two_senders_wait_one_for_the_stream_and_one_for_a_flag():
    ws, stream = websocket()
    stream.rooms = [None, 3, None, None, None]
    first, second = ws.co_send("first"), ws.co_send("second")
    begun(first)
    begun(second)
    assert stream.waits == ["rw", "f"]
    while stream.rooms:
        next(first)
    for op in (first, second):
        finish(op)

    assert [payload for _, payload, _, _ in parsed(stream.sent)] == [b"first", b"second"]


def test_the_waiting_one_takes_over_when_the_first_is_closed():
    ws, stream = websocket()
    receiver, pinger = ws.co_recv(), ws.co_ping(b"1")
    begun(receiver)
    need = begun(pinger)
    assert stream.waits == ["r", "f"]
    assert not need.poll(0)
    receiver.close()
    assert need.poll(0)
    next(pinger)
    assert stream.waits[-1] == "r"
    stream.incoming.append(frame(PONG, b"1"))

    assert ended(pinger) >= 0


def test_the_one_that_waits_for_a_flag_gets_what_the_other_received():
    ws, stream = websocket()
    receiver, pinger = ws.co_recv(), ws.co_ping(b"1")
    begun(receiver)
    need = begun(pinger)
    stream.incoming.append(frame(PONG, b"1"))
    next(receiver)

    assert need.poll(0)
    assert ended(pinger) >= 0


def steps_until_all_wait(ops):
    """Resume those of *ops* whose flags are set, each a waiting operation and its wait; count."""
    for count in range(100):
        ready = [op for op, need in ops.items() if need.source is not None and need.poll(0)]
        if not ready:
            return count
        ops[ready[0]] = next(ready[0])
    raise AssertionError("they wake each other")


def test_operations_that_can_do_nothing_do_not_wake_each_other():
    """One holds reading and one holds writing, and each has a flag: the other one may help."""
    for begin in (
        lambda ws: [ws.co_recv(), ws.co_send("x")],
        lambda ws: [ws.co_send("x"), ws.co_recv()],
        lambda ws: [ws.co_recv(), ws.co_send("x"), ws.co_ping(b"1"), ws.co_send("y")],
        lambda ws: [ws.co_ping(b"1"), ws.co_send("x"), ws.co_recv()],
        lambda ws: [ws.co_recv(), ws.co_send("x"), ws.co_close()],
    ):
        ws, stream = websocket()
        stream.rooms = [None] * 1000  # the server takes nothing
        ops = {op: begun(op) for op in begin(ws)}
        for resumed, byte in zip([*ops], frame(TEXT, "Hello"), strict=False):
            steps_until_all_wait(ops)
            stream.incoming.append(bytes([byte]))
            ops[resumed] = next(resumed)  # it may take the byte, and looks for others
            assert steps_until_all_wait(ops) <= 2 * len(ops)
            ops[resumed] = next(resumed)  # for nothing
            assert steps_until_all_wait(ops) == 0
        for op in ops:
            op.close()


def test_operations_on_a_socket_that_can_do_nothing_do_not_wake_each_other():
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        ws = WebSocket(NetworkStream(TCPStream(ours)))
        ops = {op: begun(op) for op in (ws.co_recv(), ws.co_send(bytes(30_000_000)))}
        theirs.sendall(frame(TEXT, "Hello")[:1])

        assert 1 <= steps_until_all_wait(ops) <= 4
        assert [need.poll(0) for need in ops.values()] == [False, False]
        for op in ops:
            op.close()
        ws._stream.drop()


def test_one_that_finds_all_sent_by_another_thread_does_not_keep_others_from_sending(monkeypatch):
    ws, stream = websocket()
    op = ws.co_recv()
    begin_writing = websocket_pump._Use.begin_writing

    def begin_late(use):
        monkeypatch.undo()
        ws._flush_now()  # of the other thread
        return begin_writing(use)

    with ws._lock:
        ws._frames.send_ping(b"1")
    monkeypatch.setattr(websocket_pump._Use, "begin_writing", begin_late)
    begun(op)

    assert [payload for _, payload, _, _ in parsed(stream.sent)] == [b"1"]
    assert not stream.in_use.sending.locked()
    op.close()


def test_while_nobody_wants_messages_only_some_are_received():
    big = frame(BINARY, bytes(MAX_AHEAD // 4))
    ws, stream = websocket(*[big] * 30, frame(PONG, b"1"))
    pinger = ws.co_ping(b"1", 60)
    need = begun(pinger)
    while not stream.waits:
        need = next(pinger)  # it lets others run meanwhile
    assert stream.waits == ["f"]
    assert len(stream.incoming) > 20
    for _ in range(30):
        finish(ws.co_recv())
    assert need.poll(0)

    assert finish(pinger) >= 0


@pytest.mark.reliability(71)
def test_pings_whose_answers_nobody_takes_are_not_received_for_ever():
    flood = frame(PING, b"x" * 125) * 512
    ws, stream = websocket(*[flood] * 100)
    stream.rooms = [None] * 1000
    op = ws.co_recv()
    begun(op)
    assert stream.waits == ["wf"]
    assert ws._replies < MAX_REPLIES + 2 * len(flood)
    assert len(stream.incoming) > 90
    op.close()


def test_a_long_stream_of_small_messages_lets_others_run():
    ws, _ = websocket(frame(TEXT, "x") * 20_000)
    checkpoints = 0
    for _ in range(2000):
        op = ws.co_recv()
        try:
            begun(op)
            checkpoints += 1
        except StopIteration:
            pass
        op.close()

    assert checkpoints >= 3


# ---- life


class Clock:
    """Replaces `time` of the pump."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(websocket_pump, "time", self)

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_whoever_waits_pings_after_a_while(clock):
    ws, stream = websocket(ping_interval=20, ping_timeout=30)
    op = ws.co_recv()
    assert begun(op).deadline == 1020
    clock.now = 1019.0
    assert next(op).deadline == 1020
    assert not stream.sent
    clock.now = 1020.0
    assert next(op).deadline == 1050
    assert [opcode for opcode, *_ in parsed(stream.sent)] == [PING]
    stream.incoming.append(frame(PONG, b"another"))  # anything is a sign of life
    clock.now = 1040.0
    assert next(op).deadline == 1060
    clock.now = 1060.0
    assert next(op).deadline == 1090
    clock.now = 1090.0
    with pytest.raises(ConnectionTimedOut, match="not even the answer to a ping") as caught:
        next(op)

    assert caught.value.phase == "pong"
    assert not stream.is_open
    assert ws.close_code == 1006
    with pytest.raises(WebSocketClosed, match="given up"):
        finish(ws.co_recv())


def test_a_part_of_a_message_is_a_sign_of_life(clock):
    ws, stream = websocket()
    op = ws.co_recv()
    for byte in frame(TEXT, "x" * 50):
        stream.incoming.append(bytes([byte]))
        clock.now += 15
        try:
            next(op)
        except StopIteration:
            break
    assert not stream.sent


def test_nobody_waits_nobody_pings(clock):
    ws, stream = websocket(frame(TEXT, "x"), frame(TEXT, "y"))
    assert finish(ws.co_recv()) == "x"
    clock.now += 10_000
    assert finish(ws.co_recv()) == "y"  # it had come meanwhile
    clock.now += 10_000
    op = ws.co_recv()
    begun(op)
    assert [opcode for opcode, *_ in parsed(stream.sent)] == [PING]
    stream.incoming.append(frame(TEXT, "z"))
    assert ended(op) == "z"


def test_a_wait_is_made_again_only_when_its_deadline_has_come(clock):
    ws, stream = websocket(ping_interval=20, ping_timeout=30)
    bare = PollNeeded(1_000_000, POLLIN)
    stream.recv_need = lambda: bare
    op = ws.co_recv()
    first = begun(op)
    assert (first, first.deadline) == (bare, 1020)
    for clock.now in (1001.0, 1019.0):
        stream.incoming.append(frame(TEXT, "x"))
        assert ended(op) == "x"
        op = ws.co_recv()
        assert begun(op) is first
    clock.now = 1020.0  # that is one second after the last message
    assert next(op).deadline == 1039
    assert not stream.sent
    clock.now = 1025.0
    stream.incoming.append(frame(TEXT, "y"))
    assert ended(op) == "y"
    op = ws.co_recv()
    assert begun(op).deadline == 1045
    clock.now = 1045.0
    assert next(op).deadline == 1075
    assert [opcode for opcode, *_ in parsed(stream.sent)] == [PING]
    op.close()


def test_a_wait_without_pings_has_no_deadline(clock):
    ws, stream = websocket(ping_interval=None)
    for bare in (PollNeeded(1_000_000, POLLIN), PollNeeded(1_000_001, POLLIN)):
        stream.recv_need = lambda bare=bare: bare
        op = ws.co_recv()
        assert begun(op) is bare
        clock.now += 1000
        stream.incoming.append(frame(TEXT, "x"))
        assert ended(op) == "x"


def test_no_pings_if_none_are_wanted(clock):
    for options in ({"ping_interval": None}, {"ping_timeout": None}):
        ws, stream = websocket(**options)
        op = ws.co_recv()
        begun(op)
        clock.now += 1000
        next(op)
        clock.now += 1000
        next(op)
        assert bool(stream.sent) is ("ping_timeout" in options)
        op.close()


def test_the_deadline_of_the_caller_counts_as_well(clock):
    ws, _ = websocket()
    op = ws._co_pump(lambda: False, 1005, wants=True)
    assert begun(op).deadline == 1005
    clock.now = 1005.0

    assert ended(op) is False


# ---- the end


def test_messages_before_the_close_frame_are_returned():
    ws, stream = websocket(frame(TEXT, "x") + close(1001, "bye"), b"")
    assert finish(ws.co_recv()) == "x"
    with pytest.raises(WebSocketClosed, match="1001 'bye'") as caught:
        finish(ws.co_recv())

    assert (caught.value.code, caught.value.reason) == (1001, "bye")
    assert close_codes(stream.sent) == [1001]
    assert not stream.is_open


def test_the_server_closes_first_if_it_does_so_soon():
    """RFC 6455 section 7.1.1."""
    ws, stream = websocket(close(1000))
    op = ws.co_recv()
    begun(op)
    assert stream.is_open
    stream.incoming.append(b"")
    with pytest.raises(WebSocketClosed):
        next(op)


def test_it_is_not_waited_for_long(clock):
    ws, stream = websocket(close(1000))
    op = ws.co_recv()
    assert begun(op).deadline == 1002
    clock.now = 1002.0
    with pytest.raises(WebSocketClosed):
        next(op)
    assert not stream.is_open


def test_loss_is_1006():
    for end in (b"", ConnectionClosed("connection lost: reset")):
        ws, stream = websocket(frame(TEXT, "x", fin=False), end)
        with pytest.raises(WebSocketClosed) as caught:
            finish(ws.co_recv())
        assert caught.value.code == 1006
        assert caught.value.retryable
        assert not stream.is_open


def test_a_close_frame_is_found_if_the_server_takes_no_more():
    ws, stream = websocket(close(1008, "no"), b"")
    stream.rooms = [ConnectionClosed("broken pipe")]
    with pytest.raises(WebSocketClosed, match="1008 'no'"):
        finish(ws.co_send("x"))


def test_a_server_that_takes_no_more_and_says_nothing(clock, monkeypatch):
    monkeypatch.setattr("dugong_like.connection.websocket.time", clock)
    ws, stream = websocket(ping_interval=None)
    stream.rooms = [ConnectionClosed("broken pipe")]
    op = ws.co_send("x")
    assert begun(op).deadline == 1002
    clock.now = 1002.0
    with pytest.raises(WebSocketClosed, match="the connection was lost: broken pipe"):
        next(op)
    assert not stream.is_open


@pytest.mark.parametrize("where", ["recv", "send"])
def test_ctrl_c_in_the_middle_of_a_system_call_ends_it(where):
    """How much was moved is unknown then, and the next bytes could be taken for others."""
    ws, stream = websocket(KeyboardInterrupt()) if where == "recv" else websocket()
    stream.rooms = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        finish(ws.co_recv() if where == "recv" else ws.co_send("x"))
    with pytest.raises(WebSocketClosed, match="interrupted by KeyboardInterrupt"):
        finish(ws.co_recv())
    assert not stream.is_open


def test_ctrl_c_while_waiting_loses_nothing():
    ws, stream = websocket(frame(TEXT, "x")[:2])
    op = ws.co_recv()
    begun(op)
    with pytest.raises(KeyboardInterrupt):
        op.throw(KeyboardInterrupt())
    stream.incoming.append(frame(TEXT, "x")[2:])

    assert finish(ws.co_recv()) == "x"


def test_a_time_limit_around_it_loses_nothing():
    ws, stream = websocket()
    with pytest.raises(ConnectionTimedOut):
        finish(within(time.monotonic() - 1, ws.co_recv()))
    stream.incoming.append(frame(TEXT, "x", fin=False) + frame(CONT, "y"))

    assert finish(ws.co_recv()) == "xy"
