"""A pool with real connections: what servers do to idle ones, and all ways to wait on one pool."""

import asyncio
import itertools
import os
import select
import signal
import threading
import time
import traceback
from contextlib import suppress

import pytest
from kit.every_driver import DRIVERS
from kit.pooled import Clock
from kit.servers import refusing_port
from kit.silence import SOON, check, silent
from kit.support import ScriptedServer, read_head, wait_until
from kit.ways import on_own_loop

from dugong_like import (
    AnsweredEarly,
    BodyFollowing,
    ConnectFailed,
    Connector,
    HTTPConnection,
    Limits,
    Origin,
    Pool,
    PoolTimedOut,
    Timeouts,
    TLSSessions,
    run,
)
from dugong_like.client.pooled import PoolableConnection
from dugong_like.drivers import aio

pytestmark = pytest.mark.timeout(120)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def echoing(sock):
    """Answer each request by its target."""
    while head := read_head(sock):
        target = head.split(b" ")[1]
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))


def of(server, host="127.0.0.1"):
    return Origin("http", host, server.port)


def get(pool, origin, target="/", **released):
    """Return the response to a request, and whether the connection was used before."""
    lease = pool.acquire(origin)
    try:
        return lease.connection.exchange("GET", target), lease.reused
    finally:
        lease.release(**released)


def stats(pool, origin):
    return pool.stats()[str(origin)]


def wait_for_close(conn):
    """Wait until the server has closed *conn*, without a look of its own at it."""
    poller = select.poll()
    poller.register(conn.get_extra_info("fd"), select.POLLIN)
    assert poller.poll(30_000)


@pytest.mark.feature("C38")
def test_connections_are_poolable():
    conn = HTTPConnection("h.test")
    for name in (*PoolableConnection.__annotations__, *vars(PoolableConnection)):
        assert name.startswith("_") or hasattr(conn, name)


def test_connection_is_kept():
    with ScriptedServer(echoing) as server, Pool(Connector()) as pool:
        for number in range(5):
            reply, reused = get(pool, of(server), f"/{number}")
            assert reply.body == b"/%d" % number
            assert reused == (number > 0)
        assert server.connections == 1
        assert stats(pool, of(server)).reused == 4


@pytest.mark.feature("C25")
def test_idle_connection_that_the_server_has_closed_is_made_anew():
    def once(sock):
        read_head(sock)
        sock.sendall(OK)

    with ScriptedServer(once) as server, Pool(Connector()) as pool:
        for number in range(3):
            lease = pool.acquire(of(server))
            assert lease.reused == (number > 0)
            assert lease.connection.exchange("GET", "/").body == b"ok"
            wait_for_close(lease.connection)
            lease.release()
        counts = stats(pool, of(server))
        assert (counts.stale, counts.opened, counts.reused, server.connections) == (2, 3, 2, 3)


def test_connection_that_was_the_last_is_closed():
    def last(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        silent(sock)

    with ScriptedServer(last) as server, Pool(Connector()) as pool:
        for _ in range(2):
            reply, reused = get(pool, of(server))
            assert (reply.body, reused) == (b"ok", False)
        assert stats(pool, of(server)).ended == {"not reusable": 2}


def unread(conn):
    conn.send_request("GET", "/")
    conn.read_response()


def unfinished(conn):
    conn.send_request("PUT", "/", body=BodyFollowing(10))
    with suppress(AnsweredEarly):  # the server answers when it has the head
        conn.write(b"a")


def abandoned(conn):
    conn.send_request("GET", "/").abandon()


def given_up(conn):
    op = conn.co_exchange("GET", "/")
    next(op)
    op.close()


def under_way(conn):
    conn.send_request("GET", "/")
    next(conn.co_read_response(), None)


@pytest.mark.parametrize("use", [unread, unfinished, abandoned, given_up, under_way])
def test_connection_with_something_under_way_is_closed(use):
    with ScriptedServer(echoing) as server, Pool(Connector()) as pool:
        get(pool, of(server))
        with pool.acquire(of(server)) as lease:
            use(lease.connection)
        assert not lease.connection.is_open()
        assert get(pool, of(server), "/next")[0].body == b"/next"
        assert sum(stats(pool, of(server)).ended.values()) == 1


def test_bytes_that_nobody_asked_for_reach_no_other_request():
    def chatty(sock):
        while read_head(sock):
            sock.sendall(OK + OK)

    with ScriptedServer(chatty) as server, Pool(Connector()) as pool:
        for number in range(5):
            assert get(pool, of(server))[0].body == b"ok"
            assert server.connections == number + 1


@pytest.mark.feature("C22")
def test_expiry_and_what_the_server_says(monkeypatch):
    ended = threading.Semaphore(0)

    def hinting(sock):
        while read_head(sock):
            sock.sendall(OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=5, max=2\r\n\r\n"))
        ended.release()

    clock = Clock(monkeypatch)
    with ScriptedServer(hinting) as server, Pool(Connector()) as pool:

        def ask():
            with pool.acquire(of(server)) as lease:
                reply = lease.connection.exchange("GET", "/")
                lease.note_keep_alive(reply.field("Keep-Alive"))
                return lease.reused

        assert [ask(), ask()] == [False, True]
        clock.now += 4.1
        assert not ask()
        assert ended.acquire(timeout=30)
        assert stats(pool, of(server)).expired == 1
        get(pool, of(server), keep_alive="max=0")
        assert ended.acquire(timeout=30)
        assert stats(pool, of(server)).ended == {"expired": 1, "max requests": 1}


@pytest.mark.feature("C23")
@pytest.mark.parametrize("driver", DRIVERS)
def test_time_limit(driver):
    pool = Pool(Connector(timeout=Timeouts(pool=SOON)), Limits(max_connections=1))
    with pool, pool.try_acquire(Origin("http", "h.test")):
        for host in ("h.test", "other.test"):
            failure = check(driver, pool.co_acquire(Origin("http", host)), "pool")
            assert isinstance(failure, PoolTimedOut)
            assert failure.origin == f"http://{host}"
            assert failure.busy == 1


def test_message_names_the_limit_as_it_was_given_however_busy_the_machine_is(monkeypatch):
    """Each look at the clock of the pool is 10 ms after the one before."""
    looks = itertools.count()
    monkeypatch.setattr(
        "dugong_like.client.pool.monotonic", lambda: time.monotonic() + 0.01 * next(looks)
    )
    origin = Origin("http", "h.test")
    with Pool(Connector(timeout=Timeouts(pool=SOON)), Limits(max_connections=1)) as pool:
        with pool.try_acquire(origin):
            with pytest.raises(PoolTimedOut, match=r"within 0\.1 s \(Timeouts\(pool=0\.1\)\): 1"):
                pool.acquire(origin)
            with pytest.raises(PoolTimedOut, match=r"within \S+ s \(deadline\): 1"):
                pool.acquire(origin, deadline=time.monotonic() + SOON)


def test_failure_to_connect_gives_the_place_back():
    pool = Pool(Connector(), Limits(max_connections=1))
    with refusing_port() as port:
        nobody = Origin("http", "127.0.0.1", port)
        for _ in range(3):
            with pytest.raises(ConnectFailed):
                get(pool, nobody)
            with pytest.raises(ConnectFailed):
                pool.warm(nobody)
    with ScriptedServer(echoing) as server, pool:
        assert get(pool, of(server))[0].body == b"/"


def test_warm():
    with ScriptedServer(echoing) as server, Pool(Connector()) as pool:
        assert pool.warm(of(server), 5) == 5
        wait_until(lambda: server.connections == 5)
        leases = [pool.try_acquire(of(server)) for _ in range(5)]
        for lease in leases:
            assert lease.reused  # the server may have closed it meanwhile
            assert lease.connection.exchange("GET", "/").body == b"/"
            lease.release()
        assert server.connections == 5


def test_new_connections_resume_the_tls_session_of_others(certificate, trusting):
    context = certificate.server_context()
    with ScriptedServer(echoing, context) as server:
        sessions = TLSSessions()
        limits = Limits(max_requests=1)
        with Pool(Connector(ssl_context=trusting, tls_sessions=sessions), limits) as pool:
            origin = Origin("https", "localhost", server.port)
            resumed = []
            for _ in range(3):
                with pool.acquire(origin) as lease:
                    assert lease.connection.exchange("GET", "/").body == b"/"
                    resumed.append(lease.connection.session_reused)
        assert resumed == [False, True, True]


# ---- threads and loops


async def ask(pool, origin, target):
    lease = await aio.run(pool.co_acquire(origin))
    try:
        return (await aio.run(lease.connection.co_exchange("GET", target))).body
    finally:
        lease.release()


def co_ask(pool, origin, target):
    lease = yield from pool.co_acquire(origin)
    try:
        return (yield from lease.connection.co_exchange("GET", target)).body
    finally:
        lease.release()


def by_threads(pool, origin, targets):
    return [run(co_ask(pool, origin, target)) for target in targets]


def by_asyncio(pool, origin, targets):
    async def main():
        return await asyncio.gather(*(ask(pool, origin, target) for target in targets))

    return asyncio.run(main())


def by_trio(pool, origin, targets):
    trio = pytest.importorskip("trio")
    from dugong_like.drivers import trio as driver

    said = {}

    async def one(target):
        said[target] = await driver.run(co_ask(pool, origin, target))

    async def main():
        async with trio.open_nursery() as nursery:
            for target in targets:
                nursery.start_soon(one, target)

    trio.run(main)
    return [said[target] for target in targets]


def by_loop(pool, origin, targets):
    return [on_own_loop(co_ask(pool, origin, target)) for target in targets]


@pytest.mark.feature("C22", "C23", "C24", "D24")
def test_threads_and_loops_share_a_pool():
    said, problems = {}, []
    pool = Pool(Connector(timeout=60), Limits(max_connections=3))

    def go(number, way):
        targets = [f"/{number}/{each}" for each in range(30)]
        try:
            said[number] = way(pool, of(server), targets) == [each.encode() for each in targets]
        except BaseException as exc:
            problems.append(exc)

    with ScriptedServer(echoing) as server, pool:
        ways = [by_threads, by_threads, by_asyncio, by_trio, by_loop, by_asyncio]
        threads = [
            threading.Thread(target=go, args=(number, way)) for number, way in enumerate(ways)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert list(said.values()) == [True] * len(ways)
        assert server.connections <= 3
        counts = stats(pool, of(server))
        assert (counts.busy, counts.waiting) == (0, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_child_process_has_connections_of_its_own():
    with ScriptedServer(echoing) as server, Pool(Connector(timeout=30)) as pool:
        assert get(pool, of(server), "/1")[0].body == b"/1"
        lease = pool.acquire(of(server))
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            try:
                reply, reused = get(pool, of(server), "/child")
                assert (reply.body, reused) == (b"/child", False)
                lease.release()
                assert get(pool, of(server), "/child")[1]
                os._exit(7)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert lease.connection.exchange("GET", "/2").body == b"/2"
        lease.release()
        assert get(pool, of(server), "/3")[1]
        assert server.connections == 2
