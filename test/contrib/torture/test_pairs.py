"""Two who use one connection, and a server that answers early, closes or vanishes by chance.

Each response has to belong to its request, whole, or be one of the library's errors.
"""

import asyncio
import random
import re
import threading
import time

import pytest
from kit.support import ScriptedServer, read_exactly, read_head

from dugong_like import BodyFollowing, ConnectionClosed, HTTPConnection, StateError, both, run
from dugong_like.drivers import aio

ROUNDS = 40
MOST_REQUESTS = 15


def misbehaving(seed):
    """Return a handler that answers with the request line, and breaks down now and then."""
    dice = random.Random(seed)

    def read_body(sock, head):
        if length := re.search(rb"Content-Length: (\d+)", head):
            read_exactly(sock, int(length[1]))
            return
        while size := int(read_line(sock), 16):
            read_exactly(sock, size + 2)
        read_exactly(sock, 2)

    def read_line(sock):
        line = b""
        while not line.endswith(b"\r\n"):
            line += read_exactly(sock, 1)
        return line

    def handler(sock):
        while head := read_head(sock):
            line = b" ".join(head.split()[:2])
            body = line * dice.choice([0, 1, 10, 1000, 20_000])
            sized = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            fate = dice.random()
            if fate < 0.05:
                return
            if fate < 0.15:  # early, if there is a body
                sock.sendall(
                    b"HTTP/1.1 413 No\r\nX-Line: %s\r\nConnection: close\r\n" % line + sized
                )
                until = time.monotonic() + dice.choice([0, 0.02])
                while time.monotonic() < until and sock.recv(65536):
                    pass
                return
            if line.startswith(b"PUT"):
                read_body(sock, head)
            sock.sendall(dice.choice([b"", b"HTTP/1.1 103 Hints\r\n\r\n"]))
            start = b"HTTP/1.1 200 OK\r\nX-Line: %s\r\n" % line
            if fate < 0.5:
                sock.sendall(start + sized)
            elif fate < 0.9:
                chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
                sock.sendall(start + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
            else:
                sock.sendall(start + b"Connection: close\r\n\r\n" + body)
                return

    return handler


class Talk:
    """What is sent over one connection, and what came back."""

    def __init__(self, conn, dice):
        self.conn = conn
        self.dice = dice
        self.requests = [
            (dice.choice(["GET", "PUT"]), f"/{dice.getrandbits(32)}")
            for _ in range(dice.randint(1, MOST_REQUESTS))
        ]
        self.sent = 0
        self.ended = False  # does the sender go on?
        self.lost = False  # did the reader see the end of the connection?
        self.answered = 0

    def co_send(self):
        try:
            for method, path in self.requests:
                if method == "GET":
                    yield from self.conn.co_send_request(method, path)
                else:
                    yield from self.co_put(path)
                self.sent += 1
        except (ConnectionClosed, StateError) as exc:
            if isinstance(exc, StateError) and not self.ended:
                raise
        finally:
            self.ended = True

    def co_put(self, path):
        size = self.dice.choice([0, 1, 1000, 1_000_000])
        length = self.dice.choice([size, None])
        yield from self.conn.co_send_request("PUT", path, body=BodyFollowing(length))
        for start in range(0, size, 100_000):
            yield from self.conn.co_write(bytes(min(100_000, size - start)))
        yield from self.conn.co_finish()

    def co_take(self):
        """Read the responses that are pending."""
        try:
            while not self.lost and self.conn.response_pending():
                response = yield from self.conn.co_read_response()
                line = "{} {}".format(*self.requests[self.answered])
                assert f"{response.method} {response.path}" == line
                assert response.headers["X-Line"] == line
                body = yield from self.conn.co_readall()
                assert body == line.encode() * (len(body) // len(line))
                assert response.length in {len(body), None}
                self.answered += 1
        except ConnectionClosed:
            self.lost = self.ended = True


def on_two_threads(talk):
    problems = []

    def write():
        try:
            run(talk.co_send())
        except BaseException as exc:
            problems.append(exc)

    writer = threading.Thread(target=write)
    writer.start()
    while not talk.ended:
        run(talk.co_take())
        time.sleep(0)
    if writer.is_alive():  # the reader has seen the end: let the writer see it as well
        talk.conn.disconnect()
    writer.join(20)
    assert not writer.is_alive()
    assert not problems


def as_two_generators(talk):
    run(both(talk.co_send(), talk.co_take()))


def as_two_tasks(talk):
    async def main():
        await asyncio.gather(aio.run(talk.co_send()), aio.run(talk.co_take()))

    asyncio.run(main())


@pytest.mark.reliability(40, 43)
@pytest.mark.feature("B13", "B49")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("way", [on_two_threads, as_two_generators, as_two_tasks])
@pytest.mark.parametrize("seed", range(3))
def test_responses_belong_to_their_requests_whatever_happens(seed, way, tls, certificate, trusting):
    dice = random.Random(seed)
    context = certificate.server_context() if tls else None
    answered = 0
    with ScriptedServer(misbehaving(seed), context) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trusting if tls else None, timeout=20)
        with conn:
            for _ in range(ROUNDS):
                talk = Talk(conn, dice)
                conn.connect()
                way(talk)
                run(talk.co_take())
                answered += talk.answered
                conn.reset()
    assert answered > ROUNDS
