"""Answers of pipelines that are read in pieces."""

import io

import pytest
from kit.every_driver import DRIVERS
from kit.support import ScriptedServer, pattern, read_head

from dugong_like import (
    AnswerStream,
    BodyTooLarge,
    Budget,
    HTTPConnection,
    NotAnswered,
    Pipeline,
    Request,
    ScriptedTransport,
    StateError,
)


def answer(body, *fields, status=200):
    lines = "".join(f"{field}\r\n" for field in fields)
    head = f"HTTP/1.1 {status} Reason\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def gets(count):
    return [Request(target=f"/{number}") for number in range(count)]


def serve(sock):
    """Answer with as many bytes as the target says."""
    while head := read_head(sock):
        sock.sendall(answer(pattern(int(head.split(b" ")[1][1:]))))


SIZES = [0, 1, 1000, 300_000, 0, 70_000, 5, 2_000_000, 0]


def co_pieces(stream):
    data = b""
    while piece := (yield from stream.co_read(10_000)):
        data += piece
    return data


def co_into(stream):
    buffer, data = bytearray(10_000), b""
    while count := (yield from stream.co_readinto(buffer)):
        data += buffer[:count]
    return data


def co_file(stream):
    file = io.BytesIO()
    count = yield from stream.co_recv_to_file(file)
    assert count == len(file.getvalue())
    return file.getvalue()


def co_whole(stream):
    return (yield from stream.co_readall())


@pytest.mark.parametrize("driver", DRIVERS)
def test_bodies_are_read_in_any_way_under_every_driver(driver):
    ways = [co_pieces, co_into, co_file, co_whole]

    def co_all(pipeline):
        bodies = []
        while (stream := (yield from pipeline.co_next_stream())) is not None:
            assert stream.response.status == 200
            assert not stream.ended or not stream.response.length
            bodies.append((yield from ways[len(bodies) % 4](stream)))
            assert stream.ended
            assert (yield from stream.co_readall()) == b""
        return bodies

    with ScriptedServer(serve) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            for _ in range(4):
                pipeline = Pipeline(conn, [Request(target=f"/{size}") for size in SIZES])
                bodies = driver(co_all(pipeline))
                assert bodies == [pattern(size) for size in SIZES]
                ways = ways[1:] + ways[:1]


def test_what_is_not_read_is_skipped():
    with ScriptedServer(serve) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            pipeline = Pipeline(conn, [Request(target=f"/{size}") for size in (100_000, 7, 9, 3)])
            first = pipeline.next_stream()
            assert first.read(10) == pattern(100_000)[:10]
            assert pipeline.next().body == pattern(7)
            assert first.ended
            assert first.read(10) == b""
            second = pipeline.next_stream()
            assert pipeline.next_stream().readall() == pattern(3)
            assert second.readall() == b""
            assert pipeline.next_stream() is None


def test_uploads_go_on_while_a_body_is_read(start):
    """Neither the buffers of the server nor ours hold what is under way here."""
    with HTTPConnection("127.0.0.1", start("uvicorn-h11").port, timeout=60) as conn:
        pipeline = Pipeline(conn, depth=20)
        for _ in range(5):
            pipeline.add(Request(target="/bytes/3000000"))
            pipeline.add(Request("PUT", "/upload", body=bytes(1_000_000)))
        sizes = []
        while (stream := pipeline.next_stream()) is not None:
            size = 0
            while piece := stream.read(65536):
                size += len(piece)
            sizes.append(size)
        assert sizes[::2] == [3_000_000] * 5


@pytest.mark.reliability(41)
def test_body_that_was_cut_is_an_error_and_can_be_asked_for_again():
    cut = answer(b"a") + answer(b"whole")[:-2]
    transport = ScriptedTransport([cut], [answer(b"whole"), answer(b"c")])
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, gets(3))
        assert pipeline.next_stream().readall() == b"a"
        stream = pipeline.next_stream()
        assert stream.read(10) == b"who"
        with pytest.raises(StateError, match="has not ended"):
            stream.repeat()
        with pytest.raises(NotAnswered) as caught:
            stream.read(10)
        assert caught.value.request_sent == "yes"
        assert caught.value.response.status == 200
        assert stream.ended
        stream.repeat()
        again = pipeline.next_stream()
        assert again.request is stream.request
        assert again.readall() == b"whole"
        assert pipeline.next().body == b"c"
        assert pipeline.next() is None


def test_those_behind_a_body_that_was_cut_are_answered():
    transport = ScriptedTransport([answer(b"whole")[:-2]], [answer(b"b"), answer(b"c")])
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, gets(3))
        with pytest.raises(NotAnswered):
            pipeline.next_stream().readall()
        assert [each.body for each in pipeline] == [b"b", b"c"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_rest_that_nobody_wants_may_be_lost(method):
    transport = ScriptedTransport([answer(b"whole")[:-2]], [answer(b"b"), answer(b"c")])
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, [Request(method), *gets(2)])
        assert pipeline.next_stream().read(2) == b"wh"
        assert [each.body for each in pipeline] == [b"b", b"c"]


class Full(io.RawIOBase):
    """A disk that is full after some bytes."""

    def __init__(self, room):
        self.room = room

    def writable(self):
        return True

    def write(self, data):
        if not self.room:
            raise OSError(28, "No space left on device")
        count = min(len(data), self.room)
        self.room -= count
        return count


def test_file_that_cannot_be_written_leaves_the_rest_to_be_read():
    with ScriptedServer(serve) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            pipeline = Pipeline(conn, [Request(target="/100000"), Request(target="/3")])
            stream = pipeline.next_stream()
            with pytest.raises(OSError, match="No space"):
                stream.recv_to_file(Full(1000))
            assert not stream.ended
            assert stream.readall() == pattern(100_000)[1000:]
            assert pipeline.next().body == pattern(3)


def test_answer_that_has_arrived_as_a_whole_is_read_in_the_same_way():
    wire = b"".join(answer(body) for body in (b"a", b"hello", b"world", b"", b"file", b"x"))
    with HTTPConnection("example.org", transport=ScriptedTransport([wire])) as conn:
        pipeline = Pipeline(conn, gets(6))
        assert pipeline.next().body == b"a"
        assert pipeline.next().body == b"hello"  # those behind it are ready, too
        stream = pipeline.next_stream()
        assert [stream.read(0), stream.read(3), stream.read(), stream.read(3)] == [
            b"", b"wor", b"ld", b""
        ]  # fmt: skip
        assert pipeline.next_stream().readall() == b""
        file = io.BytesIO()
        assert pipeline.next_stream().recv_to_file(file) == 4
        assert file.getvalue() == b"file"
        buffer = bytearray(5)
        last = pipeline.next_stream()
        assert last.readinto(buffer) == 1
        assert last.ended
        assert pipeline.next_stream() is None


def test_answers_that_ask_for_it_are_asked_again():
    no = answer(b"no", "Retry-After: 0", status=503)
    script = [no, answer(b"1"), answer(b"0"), answer(b"2")]
    with HTTPConnection("example.org", transport=ScriptedTransport(script)) as conn:
        pipeline = Pipeline(conn, gets(3), depth=2, statuses={503})
        bodies = []
        while (stream := pipeline.next_stream()) is not None:
            assert isinstance(stream, AnswerStream)
            bodies.append(stream.readall())
    assert sorted(bodies) == [b"0", b"1", b"2"]
    assert stream is None


def test_a_budget_holds_for_what_is_read():
    transport = ScriptedTransport([answer(bytes(100)), answer(b"b")])
    with HTTPConnection("example.org", transport=transport, budget=Budget(max_body=50)) as conn:
        pipeline = Pipeline(conn, gets(2))
        stream = pipeline.next_stream()
        with pytest.raises(BodyTooLarge):
            stream.readall()
        stream.discard()
        assert pipeline.next().body == b"b"
