"""contrib/torture/pool.py: a fixed part of it, and that it finds what is wrong."""

import random
import threading

import pytest
from kit.support import ScriptedServer, read_head

from contrib.torture import pool
from contrib.torture.faulty.stage import Violation
from contrib.torture.program import Limit, Summary
from dugong_like import HTTPConnection, Response
from dugong_like.client.lease import Lease
from dugong_like.polling.wake import co_checkpoint

pytestmark = [
    pytest.mark.usefixtures("nothing_is_left_open"),
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:a connection to .* was neither released nor discarded"),
]

ALL_BUT_LOOP = [name for name in pool.DRIVERS if name != "loop"]


@pytest.fixture(autouse=True, scope="module")
def loops_are_there():
    """Some keep descriptors of their own, from their first use on."""
    pytest.importorskip("trio")
    pytest.importorskip("gevent")
    for driver in pool.DRIVERS.values():
        driver([co_checkpoint()])


@pytest.mark.feature("C23", "C46", "E8")
@pytest.mark.parametrize("driver", pool.DRIVERS)
def test_no_place_is_lost_whatever_is_given_up(driver):
    attempts = pool.play(driver, Limit(count=300), random.Random(1))

    assert attempts.done == sum(attempts.outcomes.values()) >= 300
    assert {"answered", "given up", "used"} <= set(attempts.outcomes)


@pytest.mark.parametrize(
    "driver",
    ["loop", *(pytest.param(name, marks=pytest.mark.slow) for name in ALL_BUT_LOOP)],
)
def test_no_stream_is_lost_whatever_is_given_up(driver):
    pytest.importorskip("h2")
    count = 200 if driver == "loop" else 1200

    attempts = pool.play(driver, Limit(count=count), random.Random(5), http2=True)

    assert attempts.done == sum(attempts.outcomes.values()) >= count
    assert {"answered", "given up", "used"} <= set(attempts.outcomes)


def test_a_place_that_is_lost_is_found(monkeypatch, capsys):
    kept = []
    monkeypatch.setattr(Lease, "release", lambda lease, keep_alive=None: kept.append(lease))
    monkeypatch.setattr(pool, "WORKERS", 1)
    monkeypatch.setattr(pool, "CONNECTIONS", 400)

    status = pool.main(["--count", "40", "loop"])
    for lease in kept:
        lease.discard()

    assert status == 1
    out = capsys.readouterr().out
    assert "are in use by nobody" in out
    summary = Summary.parse(out.splitlines()[-1])
    assert summary.violations >= 1
    assert summary == (0, "acquisitions given up anywhere", 1, summary.violations)


def test_a_wrong_body_is_found(monkeypatch):
    whole = Response.co_read

    def co_half(response):
        body = yield from whole(response)
        return body[: len(body) // 2]

    monkeypatch.setattr(Response, "co_read", co_half)

    with pytest.raises(Violation, match="a wrong body"):
        pool.play("loop", Limit(count=100), random.Random(1))


def test_a_connection_that_stays_open_is_found(monkeypatch):
    kept = []

    def keep(conn):
        kept.append(conn)

    monkeypatch.setattr(HTTPConnection, "close", keep)

    with pytest.raises(Violation, match="connections are open behind the end of the client"):
        pool.play("loop", Limit(count=100), random.Random(1))

    monkeypatch.undo()
    for conn in kept:
        conn.close()


def test_a_connection_that_was_open_before_is_none_of_them():
    with (
        ScriptedServer(read_head) as server,
        HTTPConnection("127.0.0.1", server.port) as conn,
    ):
        conn.connect()
        pool.play("loop", Limit(count=20), random.Random(1))
        assert conn.is_open()


def test_what_the_server_does_not_take_is_found(monkeypatch):
    def answer(server, target):
        raise ValueError(f"what is {target}?")

    monkeypatch.setattr(pool.Server, "_answer", answer)

    with pytest.raises(Violation, match=r"(?s)the server: .* what is /"):
        pool.play("loop", Limit(count=100), random.Random(1))


def test_what_the_server_finds_out_at_the_end_is_found(monkeypatch):
    ends = threading.Event()
    handle, end_connections = pool.Server.handle, pool.Listening.end_connections

    def late(server):
        handle(server)
        ends.wait(60)
        raise ValueError("something is left")

    def end(server):
        ends.set()
        end_connections(server)

    monkeypatch.setattr(pool, "WAYS", ("usual",))  # it closes none
    monkeypatch.setattr(pool.Server, "handle", late)
    monkeypatch.setattr(pool.Listening, "end_connections", end)

    with pytest.raises(Violation, match=r"(?s)the server: .* something is left"):
        pool.play("loop", Limit(count=40), random.Random(1))


@pytest.mark.parametrize("driver", ["loop", "trio"])  # one of which raises a group
def test_what_no_attempt_should_raise_is_found(monkeypatch, capsys, driver):
    def co_fail(*_):
        yield from ()
        raise RuntimeError("what is this?")

    monkeypatch.setattr(pool.Attempts, "_co_request", co_fail)

    assert pool.main(["--count", "40", driver]) == 1
    out = capsys.readouterr().out
    assert "RuntimeError: what is this?" in out
    assert Summary.parse(out.splitlines()[-1]).violations == 1


def test_drivers_that_there_are_not(capsys):
    with pytest.raises(SystemExit):
        pool.main(["fibers"])
    assert "threads, asyncio, trio, gevent, loop" in capsys.readouterr().err
