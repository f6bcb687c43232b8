"""Operations of a WebSocket that are given up at any step: nothing is lost, doubled or mixed up."""

import random
import threading

import pytest
from kit.ctrl_c import ctrl_c_at_each_place
from kit.frames import BINARY, CONT, TEXT, frame, parsed, websocket
from kit.websocket_servers import serving

from dugong_like import ConnectionTimedOut, HTTPConnection, WebSocketClosed, run
from dugong_like.connection import websocket_pump
from dugong_like.drivers.loop import Loop
from dugong_like.http.websocket import frames
from dugong_like.polling.wake import co_sleep


def given_up(op, step):
    """Run *op* for so many steps; return whether it came to its end, and its result."""
    try:
        for _ in range(step):
            next(op)
    except StopIteration as end:
        return True, end.value
    finally:
        op.close()
    return False, None


def test_each_step_of_receiving_and_sending():
    """In memory: every cut of the bytes both ways, every step at which it is given up."""
    wire = frame(TEXT, "one") + frame(TEXT, "t", fin=False) + frame(0, "wo")
    for cut in range(1, len(wire)):
        for step in range(1, 6):
            ws, stream = websocket(wire[:cut], None, wire[cut:])
            stream.rooms = [1, None, 2, None, 1, None]
            got, op = [], None
            for _ in range(50):
                ended, message = given_up(ws.co_recv() if op is None else op, step)
                got += [message] if ended else []
                if len(got) == 2:
                    break
                op = None
            assert got == ["one", "two"], (cut, step)
            given_up(ws.co_send("a"), step)
            given_up(ws.co_send("b"), step)
            stream.rooms = []
            run(ws.co_send("c"))
            assert [payload for _, payload, _, _ in parsed(stream.sent)] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("seed", range(3))
def test_random_steps_of_many_operations_in_one_loop(seed):
    choose = random.Random(seed)
    count = 150

    def co_sender(ws, name):
        for number in range(count):
            yield from ws.co_send(f"{name} {number} " + "x" * choose.choice([0, 10, 70_000]))

    def co_receiver(ws, got):
        while len(got) < 2 * count:
            try:
                got.append((yield from ws.co_recv(timeout=choose.choice([0, 0.0005, 0.01, None]))))
            except ConnectionTimedOut as exc:
                assert exc.phase == "read"

    def co_pinger(ws, got):
        while len(got) < 2 * count:
            try:
                assert (yield from ws.co_ping(timeout=choose.choice([0, 0.001, 60]))) > 0
            except ConnectionTimedOut as exc:
                assert exc.phase == "pong"
            yield from co_sleep(0.002)

    with serving() as port, Loop() as loop:
        ws = loop.run(HTTPConnection("127.0.0.1", port, timeout=60).co_websocket())
        got = []
        tasks = [loop.spawn(co_sender(ws, name)) for name in "ab"]
        tasks += [loop.spawn(co_receiver(ws, got)), loop.spawn(co_pinger(ws, got))]
        loop.run_all()
        for task in tasks:
            task.result()
        loop.run(ws.co_close())
    assert ws.close_code == 1000
    for name in "ab":
        numbers = [int(text.split()[1]) for text in got if text[0] == name]
        assert numbers == list(range(count))


FRAGMENTS = frame(BINARY, b"a", fin=False) + frame(CONT, b"b" * 70_000, fin=False)
MESSAGES = FRAGMENTS + frame(CONT, b"c") + frame(TEXT, "next")


@pytest.mark.parametrize("has_come", [False, True], ids=["received", "taken"])
@pytest.mark.parametrize("receive", ["co_recv", "co_recv_piece"])
def test_ctrl_c_in_the_middle_of_a_message_leaves_no_part_that_looks_whole(receive, has_come):
    """Messages that had come are received, or the first of them is lost, and the WebSocket too."""

    def make():
        ws, _ = websocket(MESSAGES)
        if has_come:
            ws._frames.receive(MESSAGES)
        return ws

    for ws in ctrl_c_at_each_place(make, lambda ws: run(getattr(ws, receive)()), frames):
        assert not ws._stream.is_open
        got = []
        with pytest.raises(WebSocketClosed, match="KeyboardInterrupt"):
            while True:
                got.append(run(ws.co_recv()))
        assert got == [b"a" + b"b" * 70_000 + b"c", "next"][: len(got)]


def test_ctrl_c_of_the_one_that_sends_ends_those_that_wait_for_it():
    """Whatever it has counted until then of what is not sent."""

    def make():
        ws, stream = websocket()
        stream.rooms = [None, None]
        first, second = ws.co_send("first"), ws.co_send("second")
        next(first)
        next(second)
        first.close()
        return ws, second

    ends = set()
    for _, second in ctrl_c_at_each_place(
        make, lambda made: run(made[0].co_send("third")), websocket_pump
    ):
        try:
            for _ in range(100):  # each wait ends at once here
                next(second)
            ends.add("never")
        except StopIteration:
            ends.add("sent")
        except WebSocketClosed as exc:
            assert "KeyboardInterrupt" in str(exc)
            ends.add("lost")
        finally:
            second.close()
    assert ends == {"sent", "lost"}


@pytest.mark.slow
def test_random_time_limits_in_threads():
    count = 300
    with serving() as port:
        conn = HTTPConnection("127.0.0.1", port, timeout=60)
        with conn.websocket() as ws:
            got = []

            def receive():
                choose = random.Random(1)
                while len(got) < 2 * count:
                    try:
                        got.append(ws.recv(timeout=choose.choice([0, 0.0005, 0.01, None])))
                    except ConnectionTimedOut as exc:
                        assert exc.phase == "read"

            def send(name):
                choose = random.Random(2)
                for number in range(count):
                    ws.send(f"{name} {number} " + "x" * choose.choice([0, 10, 70_000]))

            def ping():
                choose = random.Random(3)
                while len(got) < 2 * count:
                    try:
                        ws.ping(timeout=choose.choice([0, 0.001, 60]))
                    except ConnectionTimedOut as exc:
                        assert exc.phase == "pong"

            threads = [threading.Thread(target=receive), threading.Thread(target=ping)]
            threads += [threading.Thread(target=send, args=(name,)) for name in "ab"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(100)
        assert ws.close_code == 1000
    for name in "ab":
        assert [int(text.split()[1]) for text in got if text[0] == name] == list(range(count))
