"""What a trace and timings are told of an HTTP/2 connection."""

import pytest
from kit.h2_server import Answer, h2_server

from dugong_like import BodyFollowing, HTTPConnection, InvalidResponse, StreamReset

EVENTS = [
    *("send_connection_init.started", "send_connection_init.complete"),
    *("receive_remote_settings.started", "send_request_headers.started"),
    *("send_request_headers.complete", "send_request_body.started"),
    *("send_request_body.complete", "receive_response_headers.started"),
    *("receive_remote_settings.complete", "receive_response_headers.complete"),
    *("receive_response_body.started", "receive_response_body.complete"),
    *("response_closed.started", "response_closed.complete"),
]


def told(app=None, **options):
    """Return a server, a connection, and a list of what its trace is told."""
    events = []
    server = h2_server() if app is None else h2_server(app)
    conn = HTTPConnection(
        "127.0.0.1",
        server.port,
        versions=("h2",),
        timeout=20,
        trace=lambda *event: events.append(event),
        **options,
    )
    return server, conn, events


def names(events):
    return [name.removeprefix("http2.") for name, _ in events if name.startswith("http2.")]


@pytest.mark.feature("C9")
@pytest.mark.parametrize("whole", [True, False])
def test_events_of_an_exchange(whole):
    server, conn, events = told()
    with server, conn:
        if whole:
            reply = conn.exchange("GET", "/?token=a", {"X-A": "b"})
        else:
            conn.send_request("GET", "/?token=a", {"X-A": "b"})
            reply = conn.read_response()
            conn.readall()
        got = names(events)
        assert [name for name in got if name != "receive_remote_settings.complete"] == [
            name for name in EVENTS if name != "receive_remote_settings.complete"
        ]
        assert got.count("receive_remote_settings.complete") == 1
        facts = dict(events)
        sent = facts["http2.send_request_headers.started"]
        assert (sent["method"], sent["target"]) == ("GET", "/?token=[masked]")
        assert ("X-A", "b") in sent["headers"]
        head = facts["http2.receive_response_headers.complete"]
        assert head["return_value"].status == head["status"] == reply.status
        assert (head["http_version"], head["stream_id"]) == ("2", 1)
        assert ("content-length", "5") in head["headers"]
        assert facts["http2.receive_remote_settings.complete"]["return_value"].max_frame_size
    assert events[-1][0] == "connection.close"


def test_the_bytes_are_the_same_without_a_trace():
    server, conn, _ = told()
    with server, conn:
        conn.exchange("PUT", "/echo", None, b"x" * 10)
        plain = HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=20)
        with plain:
            plain.exchange("PUT", "/echo", None, b"x" * 10)
    one, other = ([(e.fields, e.body) for e in peer.requests] for peer in server.peers)
    assert one == other


def test_events_of_several_exchanges_have_their_streams():
    server, conn, events = told()
    with server, conn:
        one, other = (conn.send_request("GET", f"/bytes/{size}") for size in (1, 2))
        assert [other.read_response().length, one.read_response().length] == [2, 1]
        assert [other.read(), one.read()] == [b"\0\1", b"\0"]
        closed = [info for name, info in events if name == "http2.response_closed.complete"]
    assert [info["stream_id"] for info in closed] == [3, 1]


def test_a_body_that_follows_interim_responses_and_trailers():
    app = lambda request: Answer(  # noqa: E731 - it is one
        body=b"x", informational=[[(":status", "103")]], trailers=[("x-t", "1")]
    )
    server, conn, events = told(app)
    with server, conn:
        conn.send_request("PUT", "/", body=BodyFollowing())
        conn.write(b"ab")
        conn.write(b"cd")
        conn.finish()
        conn.read_response()
        conn.readall()
    got = names(events)
    assert got.count("send_request_body.started") == got.count("send_request_body.complete") == 1
    assert got.index("informational") < got.index("receive_response_headers.complete")
    assert dict(events)["http2.trailers"]["headers"] == [("x-t", "1")]


@pytest.mark.parametrize("whole", [True, False])
def test_what_fails(whole):
    server, conn, events = told()
    with server, conn:
        with pytest.raises(StreamReset):
            if whole:
                conn.exchange("GET", "/reset/2")
            else:
                conn.send_request("GET", "/reset/2")
                conn.read_response()
                conn.readall()
        name, info = events[-1]
        assert name == "http2.receive_response_body.failed"
        assert isinstance(info["exception"], StreamReset)


def test_a_trace_that_raises_ends_the_operation_and_the_connection():
    def trace(name, info):
        if name == "http2.send_request_headers.complete":
            raise InvalidResponse("of mine")

    with h2_server() as server:
        conn = HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=20, trace=trace)
        with conn:
            with pytest.raises(InvalidResponse, match="of mine"):
                conn.exchange("GET", "/")
            assert not conn.is_open()


def test_timings():
    with h2_server() as server:
        options = {"versions": ("h2",), "timeout": 20, "timings": True}
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            first, second = conn.exchange("GET", "/"), conn.exchange("GET", "/")
            assert first.timings.connect > 0
            assert 0 < first.timings.first_byte <= first.timings.total
            assert second.timings.connect is None
            assert conn.get_extra_info("timings") is second.timings
