"""Bodies that are written in steps, each to its stream, in memory."""

import pytest
from kit.h2_site import h2_site
from kit.h2_streams import bodies_of, results_of
from kit.streams import finish

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ExcessBodyData,
    Exchange,
    HTTPConnection,
    InvalidRequest,
    StateError,
)

TEXT = b"0123456789" * 3


def going_on(stream, operation):
    return results_of(stream, operation)[0]


def opened(conn, stream, count, length=None):
    """Send the heads of *count* requests."""
    return [
        going_on(stream, conn.co_send_request("PUT", "/echo", None, BodyFollowing(length)))
        for _ in range(count)
    ]


def co_reply(exchange):
    yield from exchange.co_read_response()
    return (yield from exchange.co_readall())


def test_requests_are_sent_while_bodies_are_written(open_to):
    """And the calls of the connection are about the last one."""
    conn, stream = open_to()
    first, second = opened(conn, stream, 2, 3)
    assert bodies_of(stream, conn.co_exchange("GET", "/")) == [b"hello"]
    going_on(stream, conn.co_write(b"two"))
    assert (first.body_owed, second.body_owed, conn.body_owed) == (3, None, None)
    going_on(stream, first.co_write(b"one"))
    for expected in (b"one", b"two"):
        assert going_on(stream, conn.co_read_response()).status == 200
        assert going_on(stream, conn.co_readall()) == expected
    assert (conn.renewals, conn.response_pending()) == (0, False)


def test_a_thread_does_not_wait_for_a_response_whose_body_it_has_to_write():
    """Whichever request was sent last."""
    with h2_site() as server:
        options = {"versions": ("h2",), "timeout": 20}
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            first = conn.send_request("PUT", "/echo", body=BodyFollowing(3))
            second = conn.send_request("PUT", "/echo", body=b"two")
            with pytest.raises(StateError, match="0 of 3 bytes of the body written"):
                conn.read_response()
            assert (second.read_response().status, second.read()) == (200, b"two")
            first.write(b"one")
            assert (conn.read_response().status, conn.read()) == (200, b"one")


def test_what_is_wrong_is_about_one_body(open_to):
    conn, stream = open_to()
    plain = going_on(stream, conn.co_send_request("GET", "/"))
    large, small, kept = opened(conn, stream, 3, 3)
    with pytest.raises(StateError, match="GET /> announced none"):
        finish(plain.co_write(b"x"))
    with pytest.raises(StateError, match="has not been sent"):
        finish(Exchange("PUT", "/").co_write(b"x"))
    with pytest.raises(TypeError):
        finish(kept.co_write("text"))
    with pytest.raises(TypeError):
        finish(kept.co_finish(5))
    with pytest.raises(TypeError):
        finish(kept.co_sendfile("name"))
    with pytest.raises(InvalidRequest, match="PUT http://script.test/echo: ") as failure:
        finish(kept.co_finish({"Host": "no"}))
    assert failure.value.url
    with pytest.raises(ExcessBodyData, match="4 bytes of body data where 3"):
        finish(large.co_write(b"1234"))
    with pytest.raises(StateError, match="3 bytes are missing"):
        finish(small.co_finish())
    for each in (large, small):
        with pytest.raises(StateError, match="there is no body to write"):
            finish(each.co_write(b"1"))
    going_on(stream, kept.co_write(b"abc"))
    assert going_on(stream, co_reply(kept)) == b"abc"
    assert conn.renewals == 0


def test_abort_is_about_one_body(open_to):
    conn, stream = open_to()
    first, second, third = opened(conn, stream, 3)
    conn.abort_body(first)
    second.abandon()
    assert [each.body_owed for each in (first, second)] == [None, None]
    going_on(stream, third.co_write(TEXT))
    going_on(stream, third.co_finish())
    conn.abort_body(third)  # it is complete
    assert going_on(stream, co_reply(third)) == TEXT
    assert sorted(stream.peer._gone) == [first.stream_id, second.stream_id]
    assert conn.renewals == 0


@pytest.mark.parametrize("window", [1, 7, 1000])
@pytest.mark.parametrize("end", ["write", "finish", "trailers"])
def test_an_operation_that_is_closed_at_any_step_gives_up_its_body_only(open_to, window, end):
    """Others are written and read meanwhile, and afterwards."""

    def co_all(exchange):
        yield from exchange.co_write(TEXT)
        if end != "write":
            yield from exchange.co_finish({"X-Sum": "1"} if end == "trailers" else None)
        return (yield from co_reply(exchange))

    steps = 0
    while True:
        conn, stream = open_to(settings={"initial_window_size": window})
        exchanges = opened(conn, stream, 3, len(TEXT) if end == "write" else None)
        closed, *others = map(co_all, exchanges)
        try:
            for _ in range(steps):
                next(closed)
                stream.arrive()
                conn.is_open()  # takes what has come, and sends what waits for a window
        except StopIteration as result:
            assert result.value == TEXT
            break
        closed.close()
        assert results_of(stream, *others) == [TEXT, TEXT]
        exchanges[0].abandon()
        assert exchanges[0].body_owed is None
        assert conn.renewals == 0
        assert not conn._session.shared.pump.engine.streams
        steps += 1
    assert steps


def test_bodies_end_with_their_connection(open_to):
    conn, stream = open_to(settings={"initial_window_size": 5})
    waiting, idle = opened(conn, stream, 2)
    going = waiting.co_write(TEXT)
    next(going)
    conn.disconnect()
    with pytest.raises(ConnectionClosed):
        finish(going)
    for each in (waiting, idle):
        assert each.body_owed is None
        with pytest.raises((ConnectionClosed, StateError)):
            finish(each.co_write(b"x"))


@pytest.mark.parametrize(("length", "end"), [
    *((11, "write"), (None, "write"), (None, "finish"), (None, "trailers")),
])  # fmt: skip
def test_an_operation_that_never_begins_has_changed_nothing(open_to, length, end):
    """As an interruption may come behind the check and before the first step."""
    conn, stream = open_to()
    (exchange,) = opened(conn, stream, 1, length)
    going_on(stream, exchange.co_write(b"one "))
    owed, writer = exchange.body_owed, exchange.writer
    if end == "write":
        never = writer.begin(writer.write, memoryview(b"two, all"[: length and 7]))
    else:
        never = writer.begin(writer.finish, b"X-Sum: 1\r\n" if end == "trailers" else b"")
    assert exchange.body_owed == owed
    never.close()
    assert exchange.body_owed == owed
    going_on(stream, exchange.co_write(b"another"))
    going_on(stream, exchange.co_finish())
    assert going_on(stream, co_reply(exchange)) == b"one another"
    assert not stream.peer.requests[-1].trailers


@pytest.mark.parametrize("first", ["write", "finish", "trailers"])
@pytest.mark.parametrize("second", ["write", "finish", "trailers"])
def test_one_of_two_operations_at_once_is_refused(open_to, first, second):
    """Also if both are checked before one of them begins, as by two threads."""
    conn, stream = open_to(settings={"initial_window_size": 5})
    (exchange,) = opened(conn, stream, 1)
    writer = exchange.writer
    steps = {
        "write": (writer.write, memoryview(TEXT)),
        "finish": (writer.finish, b""),
        "trailers": (writer.finish, b"X-Sum: 1\r\n"),
    }
    one, other = (writer.begin(*steps[name]) for name in (first, second))
    if first != "write":
        stream.room = 0  # it has to wait
    next(one)
    with pytest.raises(StateError, match="another operation is sending"):
        next(other)
    stream.room = 1 << 30
    results_of(stream, one)
    if first == "write":
        going_on(stream, exchange.co_finish())
    assert going_on(stream, co_reply(exchange)) == (TEXT if first == "write" else b"")
    assert conn.renewals == 0
