"""Requests over HTTP/2 that end anywhere, by Ctrl-C or as their task is cancelled: nothing is left.

No stream, no operation that leads or waits, no use of the connection, no place in the pool and no
descriptor; and the next request is answered.
"""

import asyncio
import gc
import importlib
import pkgutil
from contextlib import ExitStack, aclosing
from functools import partial
from weakref import ref

import pytest
import trio
from kit import streams
from kit.cases import rest_slow
from kit.ctrl_c import ctrl_c_at_each_place
from kit.h2_server import Answer, Peer
from kit.h2_site import h2_site, site
from kit.h2_streams import PeerStream, results_of
from kit.h2_websockets import WebSocketPeer
from kit.support import ScriptedServer, open_descriptors, pattern, wait_until

import dugong_like
from dugong_like import AsyncClient, Client, Limits
from dugong_like.client import sharing
from dugong_like.connection import cancelling, connection
from dugong_like.connection.connection_view import ConnectionView
from dugong_like.connection.h2 import (
    batch,
    lock,
    opening,
    pump,
    response_reader,
    rolling_batch,
    session,
    stream,
    tunnel,
)
from dugong_like.connection.states import OPEN

pytestmark = [
    pytest.mark.timeout(600),
    # of a connection, or a stream of one, that was on its way to its caller
    pytest.mark.filterwarnings("ignore:a connection to .* was neither released nor discarded"),
    pytest.mark.filterwarnings("ignore:a stream to .* was not given back"),
    pytest.mark.filterwarnings("ignore:unclosed <(ssl|socket)"),
]
SIZE = 200_000  # bytes
UPLOAD = [b"x" * 1000] * 4


@pytest.fixture(params=["plain", "tls"])
def served(request, certificate, trusting):
    """A server, its URL, and the options of its clients; no descriptor is left at the end."""
    before = open_descriptors()
    context = None
    if request.param == "tls":
        context = certificate.server_context()
        context.set_alpn_protocols(["h2"])
    options = {} if context is None else {"ssl_context": trusting}
    with h2_site(tls=context) as server:
        scheme = "http" if context is None else "https"
        options |= {
            "base_url": f"{scheme}://localhost:{server.port}",
            "versions": ("h2",),
            "timeout": 30,
            "trust_env": False,
            "limits": Limits(max_connections=1),
        }
        yield server, options
    gc.collect()
    wait_until(lambda: open_descriptors() <= before)


def check(client):
    """Check that nothing of *client* is in use, and that its next request is answered."""
    gc.collect(1)  # what was under way is garbage, with the frames of its exception
    for counts in client.stats().values():
        assert (counts.busy, counts.waiting) == (0, 0), counts
    assert client.get("/").content == b"hello"
    with client.dispatcher.acquire(client.base_url.origin) as lease:
        assert "stream" not in repr(lease.connection)


def get(client):
    assert client.get("/").content == b"hello"


def read(client):
    with client.stream("GET", f"/chunked/{SIZE}") as response:
        assert sum(map(len, response.iter_bytes())) == SIZE


def read_a_part(client):
    with client.stream("GET", f"/chunked/{SIZE}") as response:
        next(response.iter_bytes())


def upload(client):
    assert client.post("/upload", content=UPLOAD).json()["length"] == 4_000


CALLS = [get, read_a_part, read, upload]


def modules_of(*packages):
    for each in pkgutil.walk_packages(dugong_like.__path__, "dugong_like."):
        if each.name.startswith(tuple(f"dugong_like.{package}" for package in packages)):
            yield importlib.import_module(each.name)


def press_everywhere(served, call, *modules):
    """Press Ctrl-C at each place of *call* in *modules*; return how many there were."""
    rounds = 0
    with Client(**served[1]) as client:
        get(client)
        for _ in ctrl_c_at_each_place(lambda: client, call, *modules):
            check(client)
            rounds += 1
        check(client)
    return rounds


@pytest.mark.feature("C37")
def test_ctrl_c_in_what_shares_a_connection(served):
    assert press_everywhere(served, get, sharing, session, lock, opening) > 20


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_anywhere(served, call):
    assert press_everywhere(served, call, *modules_of("client", "connection", "http.h2")) > 100


@pytest.mark.parametrize(
    "modules",
    [(sharing, opening), pytest.param(("client", "connection"), marks=pytest.mark.slow)],
    ids=["sharing", "all"],
)
def test_ctrl_c_while_the_connection_is_opened(served, modules):
    if isinstance(modules[0], str):
        modules = modules_of(*modules)
    rounds = 0
    with ExitStack() as clients:
        new = partial(Client, **served[1])
        for client in ctrl_c_at_each_place(lambda: clients.enter_context(new()), get, *modules):
            client.close()
            rounds += 1
    assert rounds > 20


@pytest.fixture
def no_collections():
    """Nothing is closed by the garbage collector meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def socket_of(client):
    """Return the socket of the idle connection of *client*, as a weak reference."""
    with client.dispatcher.acquire(client.base_url.origin) as lease:
        return ref(lease.connection.get_extra_info("socket"))


def is_closed(sock):
    return sock() is None or sock().fileno() == -1


def http_1_site(tls):
    """Return a server that answers "hello" over HTTP/1.1."""

    def serve(sock):
        while b"\r\n\r\n" in sock.recv(65536):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    return ScriptedServer(serve, tls)


@pytest.fixture(params=[("h2", False), ("h2", True), ("http/1.1", True)], ids=str)
def new_client(request, certificate, trusting):
    """A function that returns a client, which has an idle connection, and the socket of that."""
    protocol, has_tls = request.param
    context = None
    if has_tls:
        context = certificate.server_context()
        context.set_alpn_protocols([protocol])
    scheme = "https" if has_tls else "http"
    with (http_1_site if protocol != "h2" else partial(h2_site, site))(context) as server:

        def new():
            client = Client(
                base_url=f"{scheme}://localhost:{server.port}",
                versions=(protocol,), ssl_context=trusting if has_tls else None,
                trust_env=False,
            )  # fmt: skip
            get(client)
            return client, socket_of(client)

        yield new


@pytest.mark.feature("C37")
@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize(
    "modules",
    [
        (cancelling, connection, session, pump),
        pytest.param(("client", "connection", "http.h2", "transport"), marks=pytest.mark.slow),
    ],
    ids=["closing", "all"],
)
def test_ctrl_c_while_a_connection_is_closed(new_client, modules):
    """Its socket is closed all the same, and at once: not when its memory is collected."""
    if isinstance(modules[0], str):
        modules = modules_of(*modules)
    found = []

    def close(pair):
        pair[0].close()

    for client, sock in ctrl_c_at_each_place(new_client, close, *modules):
        client.close()
        found.append(is_closed(sock))
    assert len(found) > 20
    assert [place for place, closed in enumerate(found) if not closed] == []


# ---- tasks


async def use(client, call):
    """Do what the function of this name does."""
    if call is get:
        await client.get("/")
    elif call is upload:
        await client.post("/upload", content=UPLOAD)
    else:
        async with client.stream("GET", f"/chunked/{SIZE}") as response:
            async with aclosing(response.aiter_bytes()) as pieces:
                async for _ in pieces:
                    if call is read_a_part:
                        break


@pytest.mark.feature("C37")
@pytest.mark.parametrize("call", rest_slow(2, CALLS))
def test_asyncio_task_cancelled_after_each_number_of_turns(served, call):
    """Before the connection is there, while it is opened, and afterwards, beside another one."""

    async def main(turns, client):
        client = AsyncClient(client=client)
        other = asyncio.create_task(client.get(f"/chunked/{SIZE}"))
        task = asyncio.create_task(use(client, call))
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled = task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len((await other).content) == SIZE
        return cancelled

    check_all(served, lambda *given: asyncio.run(main(*given)))


@pytest.mark.feature("C37")
@pytest.mark.parametrize("call", rest_slow(2, CALLS))
def test_trio_task_cancelled_after_each_number_of_turns(served, call):
    async def main(turns, client):
        client = AsyncClient(client=client)
        sizes = []

        async def get_another():
            sizes.append(len((await client.get(f"/chunked/{SIZE}")).content))

        async def be_cancelled():
            with scope:
                await use(client, call)

        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(get_another)
            nursery.start_soon(be_cancelled)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            scope.cancel()
        assert sizes == [SIZE]
        return scope.cancelled_caught

    check_all(served, lambda *given: trio.run(main, *given))


def check_all(served, run):
    """Call *run* with each number of turns of a loop: with a new client, and with a used one."""
    for turns in (*range(12), 15, 20, 30, 50):
        with Client(**served[1]) as client:
            cancelled = [run(turns, client) for _ in range(2)]
            check(client)
        if turns == 0:
            assert cancelled == [True, True]


# ---- what is given up by a call, without a socket


def answered(request):
    """Answer with as many bytes as the path says; to others never."""
    size = request[":path"][1:]
    return Answer(body=pattern(int(size))) if size.isdecimal() else None


class Ended:
    """Something on a connection that is used without a socket, and what gives it up."""

    def __init__(self, monkeypatch, make=Peer):
        self.stream = PeerStream(answered, make)
        self.conn = streams.connection(monkeypatch, self.stream, versions=("h2",))
        if make is Peer:
            results_of(self.stream, self.conn.co_exchange("GET", "/3"))

    def is_left(self):
        """Return True if others cannot go on as before, or a stream is not reset."""
        shared = self.conn._session.shared
        pump = shared.pump
        if shared.reading.locked() or shared.sending.locked() or not pump.is_free():
            return True
        return shared.state is OPEN and bool(pump.engine.streams or pump._of_stream)


class RollingBatchEnded(Ended):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.batch = self.conn.beside(ConnectionView).rolling_batch()
        for path in ("/never", "/5", "/also"):
            self.batch.add("GET", path, None, None)
        for size in (5, 100_000):  # the second one waits for a window
            self.batch.add("PUT", "/never", None, bytes(size))
        self.going = self.batch.co_some()
        next(self.going)

    def __call__(self):
        self.batch.end()


class BatchClosed(Ended):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.going = self.conn.co_exchange_all([("GET", "/3"), ("GET", "/never"), ("GET", "/4")])
        next(self.going)

    def __call__(self):
        self.going.close()


class ReadingClosed(Ended):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.exchange = results_of(self.stream, self.conn.co_send_request("GET", "/3"))[0]

    def __call__(self):
        try:
            results_of(self.stream, self.conn.co_read_response())
        finally:
            self.exchange.abandon()


class TunnelClosed(Ended):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch, WebSocketPeer)
        self.websocket = results_of(self.stream, self.conn.co_websocket("/chat"))[0]

    def __call__(self):
        self.websocket.abort()


@pytest.mark.parametrize("kind", [RollingBatchEnded, BatchClosed, ReadingClosed, TunnelClosed])
def test_ctrl_c_while_something_is_given_up(monkeypatch, kind):
    modules = (batch, lock, pump, response_reader, rolling_batch, stream, tunnel)
    rounds = 0
    for ended in ctrl_c_at_each_place(lambda: kind(monkeypatch), lambda one: one(), *modules):
        assert not ended.is_left(), rounds
        ended.conn.disconnect()
        rounds += 1
    assert rounds > 5
