"""Uploads: what is sent, what is sent again, and which files are refused in the middle."""

import asyncio
import errno
import hashlib
import os
import re
import socket
import sys
from base64 import b64encode
from io import BytesIO, StringIO
from pathlib import Path

import pytest
import trio
from kit.every_driver import DRIVERS
from kit.sites import Site, answer_of
from kit.steps import PACKAGE, Steps, system_calls
from kit.support import (
    ScriptedServer,
    open_descriptors,
    pattern,
    read_exactly,
    read_head,
    wait_until,
)

from dugong_like import (
    AsyncClient,
    Client,
    ConnectionClosed,
    ContentChanged,
    FileTooShort,
    InvalidOption,
    MockDispatcher,
    RateLimit,
    Response,
    Retry,
    StatusError,
    TransferError,
    TransferFileFailed,
)
from dugong_like.client.transfers import upload as upload_module
from dugong_like.client.transfers import upload_body
from dugong_like.polling.wake import co_checkpoint

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends files itself")
URL = "http://example.org/file"
BODY = pattern(300_000)
DIGEST = f"sha-256=:{b64encode(hashlib.sha256(BODY).digest()).decode()}:"
AT_ONCE = Retry(3, backoff=0, budget=None)  # which one test would leave less of to another


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(BODY)
    return path


def upload(source, mock=None, **options):
    """Upload to a dispatcher; return the result, and the requests with their bodies."""
    mock = mock or MockDispatcher()
    if not mock._rules:
        mock.add().reply(201)
    with Client(dispatcher=mock) as client:
        return client.upload(source, URL, **options), mock.calls


class Once(BytesIO):
    """A stream without positions."""

    def seekable(self):
        return False

    def tell(self):
        raise OSError("no positions")

    seek = tell


@pytest.mark.feature("E43")
def test_a_file_is_the_body(path):
    seen = []
    result, (call,) = upload(path, progress=lambda *counts: seen.append(counts))
    assert call.content == BODY
    assert call.method == "PUT"
    assert call.request.body == BODY
    assert result[:4] == (path, len(BODY), len(BODY), ())
    assert result.response.status_code == 201
    assert seen[-1] == (len(BODY), len(BODY))


@pytest.mark.parametrize("kind", ["memory", "once", "raw", "buffered", "empty"])
def test_a_file_object_is_sent_from_its_position(path, kind):
    if kind in ("memory", "once"):
        file = {"memory": BytesIO, "once": Once}[kind](BODY)
        file.read(6)
    else:
        if kind == "empty":
            path.write_bytes(BODY[:6])
        file = path.open("rb", buffering=0 if kind == "raw" else -1)
        file.seek(6)
    result, (call,) = upload(file, method="POST", rate=1e9)
    assert call.content == (b"" if kind == "empty" else BODY[6:])
    assert (call.method, result.path, result.size) == ("POST", None, len(call.content))
    file.close()


@pytest.mark.feature("E43")
@pytest.mark.parametrize("trailer", [False, True])
@pytest.mark.parametrize("kind", ["path", "memory", "once"])
def test_a_digest_is_sent(path, kind, trailer):
    source = {"path": path, "memory": BytesIO(BODY), "once": Once(BODY)}[kind]
    if kind == "once" and not trailer:
        from dugong_like import StateError

        with pytest.raises(StateError, match="trailer"):
            upload(source, digest="sha-256")
        return
    with Site({None: answer_of(201)}) as site, Client(trust_env=False, timeout=20) as client:
        place = f"http://127.0.0.1:{site.port}/"
        if trailer:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(site, "_body", with_trailers(site))
                result = client.upload(source, place, digest="sha-256", trailer=True)
        else:
            result = client.upload(source, place, digest="sha-256")
    (seen,) = site.seen
    assert seen.body == BODY
    assert result.digests == ("Repr-Digest sha-256",)
    if trailer:
        assert site.trailers == f"Repr-Digest: {DIGEST}\r\n".encode()
        assert seen.headers["trailer"] == "Repr-Digest"
        assert "repr-digest" not in seen.headers
    else:
        assert seen.headers["repr-digest"] == DIGEST
        assert seen.headers["content-length"] == str(len(BODY))


def with_trailers(site):
    """Return what reads a body in chunks, with its trailer section."""

    def line(sock):
        found = b""
        while not found.endswith(b"\r\n"):
            found += read_exactly(sock, 1)
        return found

    def read(sock, headers):
        if "expect" in headers:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        while size := int(line(sock), 16):
            body += read_exactly(sock, size)
            line(sock)
        site.trailers = b""
        while (found := line(sock)) != b"\r\n":
            site.trailers += found
        return body

    return read


# ---- what is sent again


@pytest.mark.parametrize("kind", ["path", "memory", "once"])
def test_a_lost_connection_sends_it_again_if_that_is_possible(path, kind):
    source = {"path": path, "memory": BytesIO(BODY), "once": Once(BODY)}[kind]
    mock = MockDispatcher()
    lost = ConnectionClosed("lost", request_sent="maybe")
    mock.add().fail(lost).fail(lost).reply(201)
    if kind == "once":
        with pytest.raises(ConnectionClosed):
            upload(source, mock, retry=AT_ONCE)
        return
    result, calls = upload(source, mock, retry=AT_ONCE)
    assert [call.content for call in calls] == [BODY] * 3
    assert (result.size, result.sent) == (len(BODY), 3 * len(BODY))


@pytest.mark.parametrize(
    ("options", "sent", "count"),
    [
        ({}, "maybe", 2),
        ({"method": "POST"}, "maybe", 1),
        ({"method": "POST"}, "no", 2),
        ({"if_none_match": "*"}, "maybe", 1),
        ({"if_none_match": "*"}, "no", 2),
        ({"if_match": '"1"'}, "maybe", 1),
        ({"retry": None}, "no", 1),
    ],
)
def test_only_safe_requests_are_repeated(path, options, sent, count):
    mock = MockDispatcher()
    mock.add().fail(ConnectionClosed("lost", request_sent=sent)).reply(201)
    options = {"retry": AT_ONCE, **options}
    if count == 1:
        with pytest.raises(ConnectionClosed):
            upload(path, mock, **options)
    else:
        upload(path, mock, **options)
    assert len(mock.calls) == count


def test_conditions_are_fields(path):
    _, (call,) = upload(path, if_match='"1"')
    assert call.request.headers["if-match"] == '"1"'
    _, (call,) = upload(path, if_none_match="*")
    assert call.request.headers["if-none-match"] == "*"
    mock = MockDispatcher()
    mock.add().reply(412, content=b"exists")
    with pytest.raises(StatusError, match=f"PUT {URL}: .* 412") as failed:
        upload(path, mock, if_none_match="*")
    assert failed.value.response.text == "exists"


def test_a_redirect_takes_the_file_along(path):
    mock = MockDispatcher()
    mock.add().reply(307, {"Location": "/other"}).reply(201)
    result, calls = upload(path, mock)
    assert [call.content for call in calls] == [BODY] * 2
    assert str(result.response.url) == "http://example.org/other"


@pytest.mark.parametrize(("method", "status"), [("PUT", 303), ("POST", 302), ("POST", 303)])
def test_a_redirect_that_comes_early_and_takes_no_file_along_is_no_success(
    monkeypatch, path, method, status
):
    monkeypatch.setattr(upload_module, "CONTINUE_TIME", 60)  # so that it comes before the file

    def early(sock):
        while head := read_head(sock):
            is_first = head.startswith(f"{method} / ".encode())
            sock.sendall(answer_of(status, "Location: /other") if is_first else answer_of(200))

    with ScriptedServer(early) as server, Client(trust_env=False, timeout=60) as client:
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(TransferError, match="200 before it had everything") as failed:
            client.upload(path, url, method=method, expect100=True)
    assert failed.value.request_sent == "yes"


def test_a_redirect_behind_the_whole_file_may_be_a_success(path):
    mock = MockDispatcher()
    mock.add().reply(303, {"Location": "/stored"}).reply(200)
    result, calls = upload(path, mock)
    assert [call.content for call in calls] == [BODY, b""]
    assert result.sent == len(BODY)


# ---- files that change


@pytest.mark.feature("E43")
@pytest.mark.parametrize("change", ["longer", "shorter", "same size"])
@pytest.mark.parametrize("way", ["read", "system"])
def test_a_file_that_changes_meanwhile_is_an_error(path, change, way, monkeypatch):
    monkeypatch.setattr(upload_body, "STEP", 100_000)

    def write(count, _):
        if count >= 100_000:
            if change == "shorter":
                os.truncate(path, 150_000)
            elif change == "longer":
                with path.open("ab") as file:
                    file.write(b"more")
            else:
                os.utime(path, ns=(1, count))

    taken = []

    def take(sock, seen):
        taken.append(seen)
        sock.sendall(answer_of(201))
        return True

    with Site({None: take}) as site, Client(trust_env=False, timeout=20) as client:
        options = {"rate": 1e9} if way == "read" else {}
        with pytest.raises((ContentChanged, FileTooShort)) as failed:
            client.upload(
                path, f"http://127.0.0.1:{site.port}/", progress=write, retry=None, **options
            )
    if isinstance(failed.value, ContentChanged):
        assert str(failed.value).startswith(f"PUT http://127.0.0.1:{site.port}/: '{path}': ")
        assert failed.value.path == str(path)
    if way == "system":
        assert taken == []  # the server did not get a whole body


def test_a_file_that_changes_at_the_very_end_is_an_error(path):
    def late(request):
        with path.open("ab") as file:
            file.write(b"more")
        return Response(201, request=request)

    mock = MockDispatcher()
    mock.add().by(late)
    with pytest.raises(ContentChanged) as failed:
        upload(path, mock)
    assert "answered 201" in failed.value.__notes__[0]
    assert failed.value.response.status_code == 201


def test_a_file_that_changes_between_two_attempts_is_an_error(path):
    def change(request):
        with path.open("ab") as file:
            file.write(b"more")
        raise ConnectionClosed("lost", request_sent="maybe")

    mock = MockDispatcher()
    mock.add().by(change).reply(201)
    with pytest.raises(ContentChanged):
        upload(path, mock, retry=AT_ONCE)
    assert len(mock.calls) == 1


def test_a_file_that_cannot_be_read(path):
    class Broken(BytesIO):
        def readinto(self, buffer):
            raise OSError(5, "Input/output error")

        read = read1 = readinto

    with pytest.raises(TransferFileFailed, match=f"PUT {URL}: the file cannot be read") as failed:
        upload(Broken(BODY))
    assert failed.value.errno == 5


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="there is no /proc")
def test_a_file_that_is_made_while_it_is_read():
    result, (call,) = upload("/proc/self/limits")
    assert b"Max open files" in call.content
    assert result.size == len(call.content)


# ---- answers


def test_an_answer_before_everything_was_sent_is_no_success(path):
    path.write_bytes(pattern(20 << 20))
    for status in (200, 413):

        def early(sock, status=status):
            read_head(sock)
            sock.sendall(answer_of(status, body=b"enough"))
            while sock.recv(65536):
                pass

        with ScriptedServer(early) as server, Client(trust_env=False, timeout=20) as client:
            error = StatusError if status == 413 else TransferError
            for expect100 in (True, False):
                with pytest.raises(error, match=str(status)):
                    client.upload(
                        path, f"http://127.0.0.1:{server.port}/", retry=None, expect100=expect100
                    )


@pytest.mark.parametrize(
    ("size", "given", "asks"),
    [(10, None, False), (1 << 20, None, True), (1 << 20, False, False), (10, True, True)],
)
def test_large_files_are_announced(path, size, given, asks):
    path.write_bytes(pattern(size))
    heads, bodies = [], []

    def take(sock):
        head = read_head(sock)
        heads.append(head)
        if b"100-continue" in head.lower():
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        bodies.append(read_exactly(sock, size))
        sock.sendall(answer_of(201))

    from kit.support import ScriptedServer

    options = {} if given is None else {"expect100": given}
    with ScriptedServer(take) as server, Client(trust_env=False, timeout=20) as client:
        client.upload(path, f"http://127.0.0.1:{server.port}/", **options)
    assert (b"100-continue" in heads[0].lower()) is asks
    assert bodies == [pattern(size)]


# ---- over connections


@pytest.mark.feature("E43")
@pytest.mark.parametrize("driver", DRIVERS)
def test_under_every_driver(driver, path, monkeypatch):
    monkeypatch.setattr(upload_module, "ASK_FIRST", 1 << 40)
    monkeypatch.setattr(upload_body, "STEP", 100_000)
    driver(co_checkpoint())  # opens what it keeps open for itself
    before = open_descriptors()
    with Site({None: answer_of(201)}) as site, Client(trust_env=False, timeout=20) as client:
        place = f"http://127.0.0.1:{site.port}/"
        seen = []
        result = driver(client.co_upload(path, place, progress=lambda *counts: seen.append(counts)))
        assert (result.size, result.sent) == (len(BODY), len(BODY))
        assert [count for count, _ in seen] == [100_000, 200_000, 300_000]
        driver(client.co_upload(path, place, rate=RateLimit(1e9)))
        assert [each.body for each in site.seen] == [BODY] * 2
    wait_until(lambda: open_descriptors() <= before)


@pytest.mark.parametrize("way", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_coroutines(way, path):
    with Site({None: answer_of(201)}) as site:

        async def main():
            async with AsyncClient(trust_env=False, timeout=20) as client:
                return await client.upload(path, f"http://127.0.0.1:{site.port}/")

        result = way(main) if way is trio.run else way(main())
    assert result.size == len(BODY)
    assert site.seen[0].body == BODY


# ---- arguments


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"content": b""}, TypeError),
        ({"digest": "md5"}, InvalidOption),
        ({"digest": 5}, TypeError),
        ({"trailer": True}, InvalidOption),
        ({"trailer": "yes", "digest": "sha-256"}, TypeError),
        ({"expect100": "yes"}, TypeError),
        ({"if_match": 5}, TypeError),
        ({"if_match": "1"}, InvalidOption),
        ({"if_none_match": '"1", 2'}, InvalidOption),
        ({"progress": 5}, TypeError),
        ({"rate": "x"}, TypeError),
        ({"method": 5}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_before_anything_happens(path, options, error):
    mock = MockDispatcher()
    with Client(dispatcher=mock) as client, pytest.raises(error):
        client.co_upload(path, URL, **options)
    assert mock.calls == []


def test_wrong_sources(tmp_path):
    with Client(dispatcher=MockDispatcher()) as client:
        for source, error in (("", ValueError), (5, TypeError), (StringIO(), TypeError)):
            with pytest.raises(error):
                client.co_upload(source, URL)
        with pytest.raises(FileNotFoundError):
            client.upload(tmp_path / "missing", URL)
        with (tmp_path / "w").open("wb") as file:
            with pytest.raises(ValueError, match="w' was not opened for reading"):
                client.co_upload(file, URL)
        for name, message in (
            ("filename", "it is called source"),
            ("chunk_size", "there is no argument 'chunk_size', as the system"),
        ):
            with pytest.raises(TypeError, match=message):
                client.co_upload(tmp_path, URL, **{name: 5})
        with pytest.raises(InvalidOption, match="^PUT .*: rate cannot be 0|^rate cannot be 0"):
            client.co_upload(tmp_path, URL, rate=0)
        for source in (tmp_path, os.devnull):
            named = re.escape(f"source: {str(source)!r} is no regular file")
            with pytest.raises(InvalidOption, match=named):
                client.upload(source, URL)


# What one PUT of 1 MB over HTTP/1.1 costs on a connection that is there: the system calls but for
# sendfile, bytecodes, and calls of functions.
SENT = ["poll", "send", "fstat", "poll", "fstat", "poll", "recv_into", "fstat"]
COSTS = {
    "upload": (["stat", "open", "fstat", *SENT], 6486, 274),
    "put": (
        ["tell", "fstat", "seek", "poll", "send", "poll", "seek", "poll", "recv_into"],
        5600,
        229,
    ),
}


@linux
def test_a_file_of_1_mb_costs_few_steps_and_system_calls(monkeypatch, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(1_000_000))
    peers, sent = [], []

    def sendfile(_out, _in, _offset, count):
        # The peer is in this thread, and takes all at once: nothing depends on how fast it is.
        if not peers:
            peers.append(listener.accept()[0])
        read_head(peers[0])
        sent.append(count)
        peers[0].sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        return count

    def put():
        with path.open("rb") as file:
            assert client.put(address, content=file).status_code == 201

    monkeypatch.setattr(os, "sendfile", sendfile, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listener, Client() as client:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/large"
        # 1 MB asks for no 100 (Continue).
        for name, send in (("upload", lambda: client.upload(path, address)), ("put", put)):
            calls, codes, frames = COSTS[name]
            for _ in range(12):  # until Python has seen the types
                send()
            # Every other one lets other operations have their turn first, which is more.
            assert min((system_calls(send, of=PACKAGE) for _ in range(2)), key=len) == calls, name
            steps = []
            for _ in range(2):
                with Steps(of=PACKAGE) as counted:
                    send()
                steps.append((counted.codes, counted.frames))
            assert min(steps)[0] <= codes * 1.12, (name, steps)
            assert min(steps)[1] <= frames * 1.12, (name, steps)
        assert sent == [1_000_000] * 32
        peers[0].close()


@linux
@pytest.mark.parametrize("way", ["upload", "put"])
@pytest.mark.parametrize("blocks", [False, True])
def test_a_file_that_fails_while_the_system_sends_it_is_an_error(monkeypatch, path, way, blocks):
    failures = {
        "shrinks": (FileTooShort, ContentChanged),
        "is unreadable": (OSError, TransferFileFailed),
    }
    now = {"failure": "", "calls": 0}
    sendfile = os.sendfile

    def failing(out, file, offset, count):
        now["calls"] += 1
        if blocks and now["calls"] == 1:
            return sendfile(out, file, offset, 1000)
        if blocks and now["calls"] == 2:
            raise BlockingIOError
        if now["failure"] == "shrinks":
            os.truncate(path, offset)
            return sendfile(out, file, offset, count)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def handler(sock):
        read_head(sock)
        while sock.recv(65536):
            pass

    monkeypatch.setattr(os, "sendfile", failing, raising=False)
    for failure, errors in failures.items():
        now.update(failure=failure, calls=0)
        path.write_bytes(BODY)
        with ScriptedServer(handler) as server, Client() as client:
            url = f"http://127.0.0.1:{server.port}/"
            with pytest.raises(errors) as caught:
                if way == "upload":
                    client.upload(path, url)
                else:
                    with path.open("rb") as file:
                        client.put(url, content=file)
            assert now["calls"] == (3 if blocks else 1), (failure, caught.value)
            assert not any(one.idle or one.busy for one in client.stats().values()), failure
