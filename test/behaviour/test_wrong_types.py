"""Arguments of a wrong type are refused by name, at once, and harm nothing."""

import asyncio

import pytest
from kit.ways import on_asyncio

from dugong_like import (
    AsyncConnection,
    BodyFollowing,
    HTTPConnection,
    Pipeline,
    Request,
    ScriptedStream,
    ScriptedTransport,
    run,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = "sesame"


def connected():
    """Return a connection that is open, and its stream."""
    stream = ScriptedStream([OK])
    conn = HTTPConnection("script.test", transport=ScriptedTransport(stream))
    conn.connect()
    return conn, stream


OPERATIONS = [
    ("request", lambda conn: conn.co_send("x")),
    ("request", lambda conn: conn.co_send(None)),
    ("request", lambda conn: conn.co_send(("GET", "/"))),
    ("method", lambda conn: conn.co_send_request(5, "/")),
    ("method", lambda conn: conn.co_send_request(b"GET", "/")),
    ("path", lambda conn: conn.co_send_request("GET", None)),
    ("path", lambda conn: conn.co_send_request("GET", b"/x")),
    ("headers", lambda conn: conn.co_send_request("GET", "/", 5)),
    ("headers", lambda conn: conn.co_send_request("GET", "/", "A: b")),
    ("headers", lambda conn: conn.co_send_request("GET", "/", [5])),
    ("headers", lambda conn: conn.co_send_request("GET", "/", [("A", "b", "c")])),
    ("body", lambda conn: conn.co_send_request("PUT", "/", None, 5)),
    ("requests", lambda conn: conn.co_send_requests(5)),
    ("requests[0]", lambda conn: conn.co_send_requests(["GET"])),
    ("requests[1]", lambda conn: conn.co_send_requests([("GET", "/"), Request("GET", "/")])),
    ("requests[0]", lambda conn: conn.co_send_requests([("GET",)])),
    ("requests[0]", lambda conn: conn.co_send_requests([("GET", "/", None, None, True)])),
    ("method", lambda conn: conn.co_send_requests([(5, "/")])),
    ("buf", lambda conn: conn.co_write("x")),
    ("trailers", lambda conn: conn.co_finish(5)),
    ("len_", lambda conn: conn.co_read("5")),
    ("len_", lambda conn: conn.co_read(1.5)),
    ("buf", lambda conn: conn.co_readinto(5)),
    ("size", lambda conn: conn.co_read_raw("5")),
    ("request", lambda conn: Pipeline(conn, ["GET"]).co_next()),
    ("request", lambda conn: Pipeline(conn, [None]).co_run()),
]
OBJECTS = [
    ("method", lambda conn: Request(5, "/")),
    ("target", lambda conn: Request("GET", 5)),
    ("target", lambda conn: Request("GET", b"/x")),
    ("headers", lambda conn: Request("GET", "/", 5)),
    ("body", lambda conn: Request("PUT", "/", None, 5)),
    ("body", lambda conn: Request("PUT", "/", None, "text")),
    ("request", lambda conn: conn.request("x")),
    ("on_response", lambda conn: conn.request(Request(), 5)),
    ("on_body", lambda conn: conn.request(Request(), on_body=5)),
    ("on_done", lambda conn: conn.request(Request(), on_done=5)),
    ("thread", lambda conn: conn.request(Request()).activate(5)),
    ("conn", lambda conn: Pipeline(5)),
    ("requests", lambda conn: Pipeline(conn, 5)),
    ("depth", lambda conn: Pipeline(conn, depth="8")),
    ("request", lambda conn: Pipeline(conn).add("GET")),
    ("connection", lambda conn: AsyncConnection("h", 1)),
    ("run", lambda conn: AsyncConnection(conn, 1)),
    ("place", lambda conn: HTTPConnection.to(5)),
    ("length", lambda conn: BodyFollowing("5")),
]


def waiting(op):
    return run(op)


def stepping(op):
    """Resume *op* until it ends, as a loop without any waits does."""
    while True:
        try:
            next(op)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("drive", [waiting, stepping, on_asyncio])
@pytest.mark.parametrize(("name", "call"), OPERATIONS)
def test_operations_refuse_wrong_types_and_the_connection_is_as_it_was(drive, name, call):
    conn, stream = connected()
    with pytest.raises(TypeError) as caught:
        drive(call(conn))

    assert name in str(caught.value)
    assert stream.sent == b""
    conn.send_request("GET", "/")
    assert conn.read_response().status == 200
    assert conn.readall() == b"ok"


@pytest.mark.parametrize(("name", "call"), OBJECTS)
def test_objects_of_wrong_types_are_not_made(name, call):
    conn, stream = connected()
    with pytest.raises(TypeError) as caught:
        call(conn)

    assert name in str(caught.value)
    assert stream.sent == b""
    conn.send_request("GET", "/")
    assert conn.read_response().status == 200
    assert conn.readall() == b"ok"


def test_what_is_changed_to_a_wrong_type_is_refused_when_it_is_sent():
    conn, stream = connected()
    for name, value in (("method", 5), ("target", b"/"), ("headers", 5), ("body", 5)):
        for body in (b"x", iter([b"x"])):
            request = Request("PUT", "/", None, body)
            setattr(request, name, value)
            with pytest.raises(TypeError):
                conn.send(request)
    assert stream.sent == b""
    conn.send_request("GET", "/")
    assert conn.read_response().status == 200


def test_an_asynchronous_connection_refuses_what_is_no_request():
    conn, stream = connected()

    async def main():
        await AsyncConnection(conn).send("x")

    with pytest.raises(TypeError, match="request is a Request"):
        asyncio.run(main())
    assert stream.sent == b""
    assert conn.is_open()
