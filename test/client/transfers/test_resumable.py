"""Resumable uploads: where they go on, and which answers end them."""

import hashlib
import json
import threading
from base64 import b64encode
from copy import deepcopy
from io import BytesIO

import pytest
from kit.sites import Site, answer_of
from kit.support import pattern
from kit.upload_server import UploadServer

from dugong_like import (
    Client,
    ConnectionClosed,
    ConnectionTimedOut,
    ContentChanged,
    InvalidOption,
    Response,
    Retry,
    StatusError,
    TransferError,
)
from dugong_like.client.transfers import upload_body

URL = "https://example.org/file"
BODY = pattern(300_000)
AT_ONCE = Retry(3, backoff=0)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(BODY)
    return path


@pytest.fixture
def server():
    return UploadServer()


def upload(server, source, **options):
    with Client(dispatcher=server) as client:
        return client.upload(source, URL, **{"resumable": True, "retries": AT_ONCE, **options})


CREATED = [("OPTIONS", "/file"), ("PUT", "/file")]
PATCH, HEAD = ("PATCH", "/uploads/0"), ("HEAD", "/uploads/0")


@pytest.mark.feature("E44")
@pytest.mark.parametrize("kind", ["path", "memory"])
def test_an_upload_goes_on_where_the_server_stands(server, path, kind, monkeypatch):
    monkeypatch.setattr(upload_body, "PIECE", 50_000)
    server.cuts = [100_000, 0, 120_000]
    seen = []

    result = upload(
        server,
        path if kind == "path" else BytesIO(BODY),
        digest="sha-256",
        progress=lambda *counts: seen.append(counts),
    )

    assert server.files == {"/file": BODY}
    assert server.seen == [*CREATED, PATCH, HEAD, PATCH, HEAD, PATCH, HEAD, PATCH]
    assert result.response.status_code == 201
    assert result.size == len(BODY)
    assert len(BODY) <= result.sent < 2 * len(BODY)
    assert seen[-1] == (len(BODY), len(BODY))
    digest = f"sha-256=:{b64encode(hashlib.sha256(BODY).digest()).decode()}:"
    created, *appended = [each for each in server.requests if each.method in ("PUT", "PATCH")]
    assert created.headers["repr-digest"] == digest
    assert created.headers["upload-length"] == str(len(BODY))
    assert [each.headers["upload-offset"] for each in appended] == [
        "0",
        "100000",
        "100000",
        "220000",
    ]
    assert {each.headers["upload-complete"] for each in appended} == {"?1"}
    assert "repr-digest" not in appended[0].headers


def test_a_server_without_them_gets_an_ordinary_upload(server, path):
    server.supported = False
    result = upload(server, path)
    assert server.seen == CREATED
    assert server.files == {"/file": BODY}
    assert result.sent == len(BODY)
    server.seen.clear()
    server.by = {"OPTIONS": [lambda request: Response(405, request=request)]}
    upload(server, path)
    assert server.seen == CREATED


def test_an_answer_that_is_lost_is_no_loss(server, path):
    server.cuts = ["the answer"]
    result = upload(server, path)
    assert server.files == {"/file": BODY}
    assert server.seen == [*CREATED, PATCH, HEAD]
    assert result.response.request.method == "HEAD"


def test_limits_are_kept_to(server, path):
    server.limit = 'max-append-size=100000, max-size=300000, other="a,b"'
    upload(server, path)
    assert server.files == {"/file": BODY}
    assert server.seen == [*CREATED, PATCH, PATCH, PATCH]
    completes = [each.headers["upload-complete"] for each in server.requests[2:]]
    assert completes == ["?0", "?0", "?1"]


@pytest.mark.parametrize(
    ("limit", "error"),
    [("max-size=299999", "299999"), ("min-size=300001", "300001"), ("max-size=x", None)],
)
def test_a_file_beyond_the_limits_is_not_sent(server, path, limit, error):
    server.limit = limit
    if error is None:
        upload(server, path)  # the field is invalid
        return
    with pytest.raises(TransferError, match=error) as failed:
        upload(server, path)
    assert failed.value.limit == int(error)
    assert failed.value.response is not None
    assert server.seen == [("OPTIONS", "/file")]


def test_an_empty_file(server, path):
    path.write_bytes(b"")
    upload(server, path)
    assert server.files == {"/file": b""}


# ---- answers


def answer(status, **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda request: Response(status, headers, request=request)


def lost(_):
    return ConnectionClosed("lost", request_sent="maybe")


@pytest.mark.parametrize(
    ("by", "seen"),
    [
        ({"PATCH": [answer(500)]}, [PATCH, HEAD, PATCH]),
        ({"PATCH": [answer(503), lost]}, [PATCH, HEAD, PATCH, HEAD, PATCH]),
        ({"PATCH": [answer(409, upload_offset="0")]}, [PATCH, PATCH]),
        ({"PATCH": [answer(200)]}, [PATCH, HEAD, PATCH]),  # complete, it does not say
        ({"PATCH": [lost], "HEAD": [lost, answer(500)]}, [PATCH, HEAD, HEAD, HEAD, PATCH]),
    ],
)
def test_failures_of_the_server_are_no_end(server, path, by, seen):
    server.by = deepcopy(by)
    upload(server, path)
    assert server.files == {"/file": BODY}
    assert server.seen == CREATED + seen


@pytest.mark.parametrize(
    ("by", "error"),
    [
        ({"PUT": [answer(403)]}, StatusError),
        ({"PUT": [answer(500)]}, StatusError),
        ({"PUT": [answer(201)]}, TransferError),
        ({"PUT": [answer(201, location="http://example.org/1")]}, TransferError),
        ({"PUT": [answer(201, location="ftp://example.org/1")]}, TransferError),
        ({"PUT": [answer(201, location="wss://example.org/1")]}, TransferError),
        ({"PATCH": [answer(400)]}, StatusError),
        ({"PATCH": [answer(409)]}, StatusError),
        ({"PATCH": [answer(422, upload_complete="?1")]}, StatusError),
        ({"PATCH": [answer(500, upload_complete="?1")]}, StatusError),
        ({"PATCH": [answer(409, upload_offset="300001")]}, TransferError),
        ({"PATCH": [lost], "HEAD": [answer(204)]}, TransferError),
        ({"PATCH": [lost], "HEAD": [answer(204, upload_offset="x")]}, TransferError),
        ({"PATCH": [lost] * 9}, ConnectionClosed),
        ({"PATCH": [answer(409, upload_offset="0")] * 9}, StatusError),
        ({"PATCH": [lambda _: ConnectionTimedOut("x")]}, ConnectionTimedOut),
    ],
)
def test_refusals_are_the_end(server, path, by, error):
    server.by = {"OPTIONS": [None], **deepcopy(by)}
    with pytest.raises(error) as failed:
        upload(server, path, retry=None)
    assert str(failed.value).startswith(("PUT https", "PATCH https", "HEAD https"))
    assert server.files == {}
    assert len(server.seen) < 12


@pytest.mark.parametrize(
    ("by", "first"),
    [
        ({"PATCH": [lost], "HEAD": [answer(404)]}, [PATCH, HEAD]),
        ({"PATCH": [answer(410)]}, [PATCH]),
        ({"PATCH": [answer(500)], "HEAD": [lost, answer(404)]}, [PATCH, HEAD, HEAD]),
    ],
)
@pytest.mark.parametrize("recorded", [True, False])
def test_an_upload_that_the_server_has_forgotten_begins_anew(server, path, by, first, recorded):
    server.by = deepcopy(by)
    upload(server, path, record=recorded)
    assert server.files == {"/file": BODY}
    assert server.seen == [*CREATED, *first, ("PUT", "/file"), ("PATCH", "/uploads/1")]
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_uploads_that_are_always_forgotten_are_an_error(server, path):
    server.by = {"PATCH": [answer(404)] * 9}
    with pytest.raises(StatusError, match=f"^PUT {URL}: .* 404 to PATCH of the upload"):
        upload(server, path, retries=Retry(20, backoff=0))
    assert server.seen.count(("PUT", "/file")) == 4


@pytest.mark.parametrize("options", [{"method": "POST"}, {"if_match": '"1"'}])
def test_what_may_have_been_done_does_not_begin_anew(server, path, options):
    server.by = {"PATCH": [lost], "HEAD": [answer(404)]}
    with pytest.raises(StatusError, match="404 to HEAD of the upload"):
        upload(server, path, **options)
    assert len(server.uploads) == 1


def test_the_server_must_not_lose_bytes(server, path):
    server.cuts = [100_000, 0]
    server.by = {"HEAD": [None, answer(204, upload_offset="99999")]}
    with pytest.raises(TransferError, match="has 99999 bytes, of 300000, where it had 100000"):
        upload(server, path)


def test_a_file_that_changes_between_two_requests_is_an_error(server, path):
    def change(request):
        path.write_bytes(BODY + b"more")
        return lost(request)

    server.by = {"PATCH": [change]}
    with pytest.raises(ContentChanged):
        upload(server, path)
    assert server.files == {}


def test_another_origin_gets_no_secrets(server, path):
    server.place = "https://other.example.net"
    with Client(dispatcher=server) as client:
        client.upload(
            path,
            URL,
            resumable=True,
            auth=("user", "secret"),
            headers={"X-Api-Key": "secret", "Content-Type": "text/x"},
        )
    created, appended = server.requests[1:]
    assert created.headers["content-type"] == "text/x"
    assert created.headers["x-api-key"] == "secret"
    assert appended.url.host == "other.example.net"
    assert "x-api-key" not in appended.headers
    assert "authorization" not in appended.headers


class Once(BytesIO):
    """A stream without positions."""

    def seekable(self):
        return False

    def tell(self):
        raise OSError("no positions")


def test_arguments(server, path):
    with pytest.raises(InvalidOption, match="positions"):
        upload(server, Once(BODY))
    with Client(dispatcher=server) as client:
        with pytest.raises(InvalidOption, match="trailer"):
            client.co_upload(path, URL, resumable=True, digest="sha-256", trailer=True)
        for options in ({"resumable": "yes"}, {"retries": None}):
            with pytest.raises(TypeError):
                client.co_upload(path, URL, **options)
    assert server.seen == []


@pytest.mark.feature("E44")
@pytest.mark.parametrize("same", [True, False])
def test_over_a_connection_with_104(path, same):
    """The server takes 100,000 bytes, and then closes the connection without an answer."""
    have, lock = bytearray(), threading.Lock()
    cuts = [100_000]

    def options(sock, seen):
        sock.sendall(answer_of(204, "Accept-Patch: application/partial-upload"))
        return True

    def create(sock, seen):
        place = "/u/1" if same else "/u/2"
        interim = "HTTP/1.1 104 Upload Resumption Supported\r\nUpload-Draft-Interop-Version: 8\r\n"
        other = "HTTP/1.1 104 Other\r\nUpload-Draft-Interop-Version: 7\r\nLocation: /u/7\r\n\r\n"
        sock.sendall(f"{other}{interim}Location: {place}\r\n\r\n".encode())
        sock.sendall(answer_of(201, "Location: /u/1"))
        return True

    def resource(sock, seen):
        with lock:
            if seen.method == "PATCH":
                assert int(seen.headers["upload-offset"]) == len(have)
                have.extend(seen.body[: cuts[0] if cuts else None])
                if cuts:
                    cuts.clear()
                    return False
                sock.sendall(answer_of(200, "Upload-Complete: ?1", body=json.dumps(1).encode()))
            else:
                lines = [f"Upload-Offset: {len(have)}", "Upload-Complete: ?0"]
                sock.sendall(answer_of(204, *lines).replace(b"Content-Length: 0\r\n", b""))
            return True

    def target(sock, seen):
        return options(sock, seen) if seen.method == "OPTIONS" else create(sock, seen)

    with Site({"/file": target, "/u/1": resource}) as site:
        with Client(trust_env=False, timeout=20) as client:
            place = f"http://127.0.0.1:{site.port}/file"
            if not same:
                with pytest.raises(TransferError, match="Location"):
                    client.upload(path, place, resumable=True)
                return
            result = client.upload(path, place, resumable=True, retries=AT_ONCE)
    assert bytes(have) == BODY
    assert result.response.json() == 1
    assert [seen.method for seen in site.seen] == ["OPTIONS", "PUT", "PATCH", "HEAD", "PATCH"]
