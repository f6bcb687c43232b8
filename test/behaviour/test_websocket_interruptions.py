"""Operations of a WebSocket that are given up at any step: nothing is lost, doubled or mixed up."""

import random
import threading

import pytest
from kit.frames import TEXT, frame, parsed, websocket
from kit.websocket_servers import serving

from dugong_like import ConnectionTimedOut, HTTPConnection, run
from dugong_like.drivers.loop import Loop
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
