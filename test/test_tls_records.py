"""What TLS does by itself in the middle: new keys, a new handshake, tickets that come late.

The server is ``openssl s_server``: what it reads from its standard input goes to the client,
save for commands, which are a letter at the start of what it reads at once. What the client
sends is on its standard output.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import random
import re
import signal
import ssl
import subprocess
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from queue import Queue

import pytest
from support import (
    ScriptedServer,
    open_descriptors,
    program,
    read_exactly,
    read_head,
    wait_until,
)

from dugong_like import (
    POLLIN,
    BodyFollowing,
    ConnectionClosed,
    HTTPConnection,
    run,
)
from dugong_like.drivers import aio

# What s_server says about itself between the bytes of the client.
CHATTER = re.compile(rb"SSL_do_handshake -> 1\n|(Read|Write) BLOCK\n")
# The version, and the command: new keys, new keys on both sides, a new handshake, one that
# asks for a certificate.
EVENTS = [("1.3", "k"), ("1.3", "K"), ("1.2", "r"), ("1.2", "R")]


@pytest.fixture(autouse=True)
def nothing_is_left_open():
    """See that each test closes what it opened, without help from the garbage collector."""
    before = open_descriptors()
    yield
    wait_until(lambda: open_descriptors() <= before)


@pytest.fixture(params=["blocking", "asyncio"])
def drive(request):
    """Run an operation, blocking or in a task."""
    if request.param == "blocking":
        return run
    return lambda op: asyncio.run(aio.run(op))


class OpenSSL:
    """A running s_server.

    Attributes:
        port: where it listens.

    """

    def __init__(self, process):
        self._process = process
        self._said = b""  # replaced as a whole, as two threads look at it
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        wait_until(lambda: re.search(rb"ACCEPT \S*:(\d+)\n", self._said) or process.poll())
        self.port = int(re.search(rb"ACCEPT \S*:(\d+)\n", self._said)[1])

    def _listen(self):
        while piece := self._process.stdout.read1(65536):
            self._said += piece

    def say(self, data):
        """Send *data*, which has digits where s_server may see a command, to the client."""
        self._process.stdin.write(data)
        self._process.stdin.flush()
        wait_until(lambda: self._has_read() or self._process.poll() is not None, 30)
        if not self._has_read():
            raise BrokenPipeError

    def _has_read(self):
        return not any(fcntl.ioctl(self._process.stdin.fileno(), termios.FIONREAD, bytes(4)))

    def command(self, letter):
        """Do what *letter* stands for."""
        self.say(letter.encode() + b"\n")

    def wait_for(self, size):
        """Wait until it has written more than *size* bytes: no fewer than it has received."""
        wait_until(lambda: len(self._said) > size, 30)

    def heard(self, start):
        """Return what the client has sent, from *start* on."""
        heard = CHATTER.sub(b"", bytes(self._said))
        return heard[heard.index(start) :] if start in heard else b""

    def uploaded(self):
        """Return the body of the request with PUT, as far as it is here."""
        head, _, rest = self.heard(b"PUT /").partition(b"\r\n\r\n")
        if b"chunked" not in head:
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return body

    def handshakes(self):
        """Return how many there were in the middle; the client must have closed by now."""
        wait_until(lambda: self._process.poll() is not None)
        self._listener.join()
        return int(re.search(rb"(\d+) server renegotiates", self._said[-2000:])[1])

    def stop(self):
        """Do nothing any more until `go_on` is called."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        """Go on after `stop`."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        """End the process."""
        self._process.kill()

    def close(self):
        """End the process, if there still is one, and give everything back."""
        self.kill()
        self._process.wait()
        self._listener.join()
        self._process.stdout.close()
        with suppress(BrokenPipeError):
            self._process.stdin.close()


@pytest.fixture
def s_server(certificate):
    """A function that starts s_server with a version of TLS."""
    openssl = program("openssl")
    servers = []

    def start(version):
        process = subprocess.Popen(
            [
                openssl, "s_server", "-accept", "127.0.0.1:0", "-naccept", "1",
                "-cert", certificate.chain, "-cert_chain", certificate.chain,
                "-key", certificate.key, f"-tls{version.replace('.', '_')}",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        servers.append(OpenSSL(process))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@contextmanager
def in_background(function, *arguments):
    """Call a function on another thread meanwhile; raise what it raises."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function, *arguments)
        yield
        future.result()


def digits(size, seed=0):
    """Return *size* random digits: none of them is a command of s_server."""
    return random.Random(seed).randbytes(size // 2 + 1).hex().translate(TO_DIGITS).encode()[:size]


TO_DIGITS = str.maketrans("abcdef", "012345")


def sized(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def pieces(data, count):
    step = len(data) // count + 1
    return [data[place : place + step] for place in range(0, len(data), step)]


# ---- new keys and new handshakes


@pytest.mark.parametrize(("version", "event"), EVENTS)
def test_in_the_middle_of_a_body(s_server, trusting, drive, version, event):
    server = s_server(version)
    body = digits(300_000)
    conn = HTTPConnection("localhost", server.port, trusting, timeout=20)

    def answer():
        first, *others = pieces(sized(body), 20)
        server.say(first)
        for piece in others:
            server.command(event)
            server.say(piece)

    drive(conn.co_send_request("GET", "/"))
    with in_background(answer):
        assert drive(conn.co_read_response()).length == len(body)
        assert drive(conn.co_readall()) == body
    assert not conn.response_pending()
    # What the server asked for is answered at the latest when the next request is sent.
    drive(conn.co_send_request("GET", "/again"))
    server.say(sized(b"12"))
    assert drive(conn.co_read_response()).path == "/again"
    assert drive(conn.co_readall()) == b"12"
    wait_until(lambda: server.heard(b"GET / ").count(b"GET /") == 2)
    conn.close()
    assert (server.handshakes() > 0) is (version == "1.2")


@pytest.mark.parametrize(("version", "event"), EVENTS)
def test_between_two_responses(s_server, trusting, drive, version, event):
    """The connection is idle and stays good: nothing has come that belongs to HTTP."""
    server = s_server(version)
    conn = HTTPConnection("localhost", server.port, trusting, timeout=20)
    for number in range(10):
        body = digits(1000 + number, number)
        drive(conn.co_send_request("GET", f"/{number}"))
        server.say(sized(body))
        drive(conn.co_read_response())
        assert drive(conn.co_readall()) == body
        server.command(event)
    asked = re.compile(rb"GET (\S+) .*\r\n(?:.+\r\n)*\r\n")
    expected = [b"/%d" % number for number in range(10)]
    # On a busy machine s_server forgets to print what it reads in the middle of a handshake.
    wait_until(lambda: len(asked.findall(server.heard(b"GET /"))) >= 8, 20)
    seen = asked.findall(server.heard(b"GET /"))
    assert seen == [path for path in expected if path in seen]
    conn.close()
    assert (server.handshakes() >= 8) is (version == "1.2")


@pytest.mark.parametrize(("version", "event"), EVENTS)
@pytest.mark.parametrize("length", [6_000_000, None], ids=["sized", "chunked"])
def test_during_an_upload(s_server, trusting, drive, version, event, length):
    server = s_server(version)
    body = digits(6_000_000)
    conn = HTTPConnection("localhost", server.port, trusting, timeout=20)

    def co_upload():
        yield from conn.co_send_request("PUT", "/", body=BodyFollowing(length))
        for place in range(0, len(body), 100_000):
            yield from conn.co_write(body[place : place + 100_000])
        yield from conn.co_finish()

    def disturb():
        for size in range(0, len(body), 500_000):
            server.wait_for(size)
            server.command(event)

    drive(conn.co_connect())
    with in_background(disturb):
        drive(co_upload())
    server.wait_for(len(body))
    server.say(sized(b"34"))
    assert drive(conn.co_read_response()).status == 200
    assert drive(conn.co_readall()) == b"34"
    wait_until(lambda: server.uploaded() == body)
    conn.close()
    assert (server.handshakes() > 1) is (version == "1.2")


@pytest.mark.parametrize(("version", "event"), EVENTS)
def test_while_one_thread_uploads_and_another_one_waits_for_the_response(
    s_server, trusting, version, event
):
    """The one that waits may finish a handshake that the other one waits for."""
    server = s_server(version)
    body = digits(4_000_000)
    conn = HTTPConnection("localhost", server.port, trusting, timeout=20)

    def disturb():
        for size in range(0, len(body), 200_000):
            server.wait_for(size)
            server.command(event)
        server.wait_for(len(body))
        server.say(sized(b"56"))

    def read():
        assert conn.read_response().status == 200
        assert conn.readall() == b"56"

    conn.connect()
    conn.send_request("PUT", "/", body=BodyFollowing(len(body)))
    with in_background(disturb), in_background(read):
        for place in range(0, len(body), 50_000):
            conn.write(body[place : place + 50_000])
    wait_until(lambda: server.uploaded() == body)
    conn.close()
    assert (server.handshakes() > 1) is (version == "1.2")


@pytest.mark.parametrize(("version", "event"), EVENTS)
def test_while_data_flows_both_ways_nothing_wrong_is_read(s_server, trusting, version, event):
    """OpenSSL does not take data in the middle of a new handshake: then the connection ends."""
    server = s_server(version)
    down, up = digits(3_000_000, 1), digits(3_000_000, 2)
    conn = HTTPConnection("localhost", server.port, trusting, timeout=20)
    ended = []

    def end(exc):
        ended.append(exc)
        server.kill()

    def answer():
        with suppress(OSError):
            first, *others = pieces(sized(down), 30)
            server.say(first)
            for piece in others:
                server.command(event)
                server.say(piece)

    def read():
        got = b""
        try:
            conn.read_response()
            while piece := conn.read(65536):
                got += piece
            assert got == down
        except ConnectionClosed as exc:
            end(exc)
        assert down.startswith(got)

    conn.send_request("GET", "/")
    with in_background(answer), in_background(read):
        try:
            conn.send_request("PUT", "/", body=BodyFollowing(len(up)))
            for place in range(0, len(up), 50_000):
                conn.write(up[place : place + 50_000])
        except ConnectionClosed as exc:
            end(exc)
    if version == "1.3":
        assert not ended
    if ended:
        assert up.startswith(re.split(rb"ERROR|DONE|shutting down|\n", server.uploaded())[0])
    else:
        wait_until(lambda: server.uploaded() == up)
    conn.close()


def test_handshake_that_the_reading_half_finishes_does_not_leave_the_sending_half_waiting(
    s_server, trusting
):
    server = s_server("1.2")
    conn = HTTPConnection("localhost", server.port, trusting, timeout=20)
    conn.send_request("PUT", "/", body=BodyFollowing(6))
    reading, writing = conn.co_read_response(), conn.co_write(b"123456")
    readable = next(reading)
    assert readable.mask == POLLIN
    server.command("r")
    assert readable.poll(5)
    server.stop()
    next(reading)  # begins the handshake
    need = next(writing)  # cannot send before its end
    assert need.mask == POLLIN
    server.go_on()
    while readable.poll(0.3):
        next(reading)
    start = time.monotonic()
    assert not need.poll(max(need.deadline - start, 0))  # what it waits for has been read
    assert time.monotonic() - start < 1
    run(writing, timeout=5)
    wait_until(lambda: server.uploaded() == b"123456")
    server.say(sized(b"78"))
    assert run(reading).status == 200
    assert conn.readall() == b"78"
    conn.close()


# ---- what the server of Python can do


@pytest.mark.parametrize("cut", [0, 1, 5, 60, None])
def test_tickets_that_come_late_are_nothing(certificate, trusting, drive, cut):
    """Also in two halves: before the request and after it, on an idle connection."""
    go_on = threading.Event()
    heads = []

    def handler(sock):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                server.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        tickets = outgoing.read()
        assert len(tickets) > 100
        sock.sendall(tickets[:cut])
        go_on.set()
        for _ in range(2):
            incoming.write(sock.recv(65536))
            heads.append(server.read(65536))
            server.write(sized(b"90"))
            sock.sendall((b"" if cut is None else tickets[cut:]) + outgoing.read())
            tickets = b""

    context = certificate.server_context()
    with ScriptedServer(handler) as server:
        conn = HTTPConnection("localhost", server.port, trusting, timeout=5)
        drive(conn.co_connect())
        assert go_on.wait(5)
        time.sleep(0.05)
        for path in ("/a", "/b"):
            drive(conn.co_connect())  # looks whether it is still good
            drive(conn.co_send_request("GET", path))
            assert drive(conn.co_read_response()).status == 200
            assert drive(conn.co_readall()) == b"90"
        conn.close()
    assert server.connections == 1
    assert [head.split(b" ", 2)[1] for head in heads] == [b"/a", b"/b"]


def test_certificate_asked_for_in_the_middle_of_a_body(certificate, ca, drive):
    """New tickets follow when it has been answered (RFC 8446 section 4.6)."""
    body = digits(100_000)
    wire = sized(body)
    asked = []

    def handler(sock):
        for _ in range(3):
            read_head(sock)
            sock.sendall(wire[:50_000])
            sock.verify_client_post_handshake()
            asked.append(sock.sendall(wire[50_000:]))
        sock.recv(1)

    context = certificate.server_context()
    context.verify_mode = ssl.CERT_OPTIONAL
    ca.configure_trust(context)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    client.post_handshake_auth = True
    with ScriptedServer(handler, context) as server:
        conn = HTTPConnection("localhost", server.port, client, timeout=5)
        for _ in range(3):
            drive(conn.co_send_request("GET", "/"))
            drive(conn.co_read_response())
            assert drive(conn.co_readall()) == body
        conn.close()
    assert server.connections == 1
    assert len(asked) == 3


# ---- both directions at full speed


def echo(sock):
    """Answer each PUT with its own body, sized where that was chunked and the other way round."""
    while head := read_head(sock):
        known = re.search(rb"Content-Length: (\d+)", head)
        if known:
            body = read_exactly(sock, int(known[1]))
            sock.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces(body, 3))
                + b"0\r\n\r\n"
            )
            continue
        body = b""
        while size := int(read_line(sock), 16):
            body += read_exactly(sock, size + 2)[:-2]
        assert read_line(sock) == b"\r\n"
        sock.sendall(sized(body))


def read_line(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        line += sock.recv(1)
    return line


SECONDS = 3.5


@pytest.mark.slow
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_two_threads_at_full_speed_over_one_connection(certificate, trusting, version):
    context = certificate.server_context()
    context.maximum_version = version
    source = random.Random(7).randbytes(2_000_000)
    sent, received = hashlib.sha256(), hashlib.sha256()
    under_way = Queue(16)
    counts = [0, 0]

    def write():
        until = time.monotonic() + SECONDS
        chance = random.Random(8)
        try:
            while time.monotonic() < until:
                size = chance.choice([1, 100, 5000, 65536, 400_000])
                start = chance.randrange(len(source) - size)
                length = size if chance.random() < 0.5 else None
                conn.send_request("PUT", f"/{counts[0]}", body=BodyFollowing(length))
                under_way.put((start, size))
                body = memoryview(source)[start : start + size]
                for piece in pieces(body, chance.choice([1, 2, 7])):
                    conn.write(piece)
                    sent.update(piece)
                conn.finish()
                counts[0] += 1
        finally:
            under_way.put(None)

    def read():
        while item := under_way.get():
            start, size = item
            response = conn.read_response()
            assert (response.status, response.path) == (200, f"/{counts[1]}")
            body = conn.readall()
            assert body == source[start : start + size]
            received.update(body)
            counts[1] += 1

    with ScriptedServer(echo, context) as server:
        with HTTPConnection("localhost", server.port, trusting, timeout=20) as conn:
            conn.connect()
            with in_background(write):
                read()
            assert conn.get_ssl_cipher()[1] == version.name.replace("_", ".")
    assert server.connections == 1
    assert counts[0] == counts[1] > 50
    assert sent.digest() == received.digest()


# ---- the same for as long as one likes

ROOT = Path(__file__).resolve().parent.parent


def soak(*options):
    done = subprocess.run(
        [sys.executable, str(ROOT / "contrib" / "soak.py"), *options],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("way", [[], ["--two-threads"]], ids=["one thread", "two threads"])
@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["http", "https"])
def test_soak_finds_every_body_right_and_nothing_that_leaks(way, tls):
    status, out, err = soak("--requests", "2500", *way, *tls)

    assert (status, err) == (0, "")
    assert re.match(r"2500 requests in .* KiB more memory, (\d+) descriptors, \1 before\n", out)


def test_soak_ends_in_time_and_fails_if_more_memory_is_taken_than_allowed():
    status, out, err = soak("--minutes", "0.01", "--max-growth", "-1")

    assert status == 1
    assert err == "memory has grown by more than -1 MiB since the warm-up\n"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        # The writer may see the answer first.
        (sized(b"12"), "(2 bytes instead of|ConnectionClosed: the server answered)"),
        (b"", "ConnectionClosed: "),
    ],
)
@pytest.mark.parametrize("work", ["one_after_the_other", "on_two_threads"])
def test_soak_fails_at_a_wrong_body(monkeypatch, capsys, answer, problem, work):
    spec = importlib.util.spec_from_file_location("soak", ROOT / "contrib" / "soak.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)

    def wrong(sock):
        read_head(sock)
        sock.sendall(answer)
        while answer and sock.recv(65536):
            pass

    with ScriptedServer(wrong) as server:
        monkeypatch.setattr(program, "server", lambda tls: nullcontext((server.port, None)))
        two_threads = ["--two-threads"] if work == "on_two_threads" else []
        assert program.main(["--requests", "10", *two_threads]) == 1
    assert re.match(rf"after 0 requests: .*{problem}", capsys.readouterr().err)
