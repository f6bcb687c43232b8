"""Arguments of transfers: what is wrong is said before anything is opened or sent."""

import os
from io import BytesIO, StringIO

import pytest
from kit.file_site import FileSite

from dugong_like import Client, InvalidOption, InvalidRequest, Retry, Timeouts
from dugong_like.client.transfers.options import MOST_RANGES

URL = "http://example.org/file"
WRONG = [
    ({"chunk_size": 5}, TypeError, "the system moves the bytes"),
    ({"content": b""}, TypeError, "no argument 'content'"),
    ({"stream": True}, TypeError, "no argument 'stream'"),
    ({"max_body": 5}, TypeError, "argument of the client"),
    ({"threads": 5}, TypeError, "called ranges"),
    ({"ranges": 0}, InvalidOption, "ranges"),
    ({"ranges": MOST_RANGES + 1}, InvalidOption, "ranges"),
    ({"ranges": "2"}, TypeError, "ranges"),
    ({"sha256": "abc"}, ValueError, "sha256"),
    ({"sha256": "z" * 64}, ValueError, "sha256"),
    ({"sha256": b"x"}, ValueError, "sha256"),
    ({"sha256": 5}, TypeError, "sha256"),
    ({"progress": 5}, TypeError, "progress"),
    ({"rate": 0}, InvalidOption, "rate cannot be 0"),
    ({"rate": "5"}, TypeError, "rate"),
    ({"rate": True}, TypeError, "rate"),
    ({"retries": -1}, InvalidOption, "retries"),
    ({"retries": None}, TypeError, "retries"),
    ({"resume": "yes"}, TypeError, "resume"),
    ({"sparse": None}, TypeError, "sparse"),
    ({"preallocate": 2}, TypeError, "preallocate"),
    ({"fsync": "no"}, TypeError, "fsync"),
    ({"headers": {"Range": "bytes=0-5"}}, InvalidOption, "Range"),
    ({"headers": {"If-Range": '"1"'}}, InvalidOption, "Range"),
    ({"timeout": "x"}, TypeError, "timeout"),
]


@pytest.fixture
def client():
    with Client(dispatcher=FileSite(b"x" * 10)) as client:
        yield client


@pytest.mark.parametrize(("options", "error", "text"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_arguments_are_refused_before_anything_happens(
    client, tmp_path, options, error, text
):
    with pytest.raises(error, match=text):
        client.co_download(URL, tmp_path / "x", **options)
    assert os.listdir(tmp_path) == []
    assert client.dispatcher.asked == []


@pytest.mark.parametrize(
    ("target", "error"),
    [("", ValueError), ("a\0b", ValueError), (5, TypeError), (StringIO(), TypeError)],
)
def test_wrong_targets_are_refused(client, target, error):
    with pytest.raises(error):
        client.co_download(URL, target)


def test_some_options_are_for_paths(client):
    for options in ({"ranges": 2}, {"sparse": True}):
        with pytest.raises(InvalidOption, match="path"):
            client.co_download(URL, BytesIO(), **options)
    with pytest.raises(InvalidRequest):
        client.co_download("nonsense", BytesIO())


@pytest.mark.skipif(os.name == "nt", reason="devices of POSIX")
def test_targets_that_cannot_be_replaced(client, tmp_path):
    with pytest.raises(InvalidOption, match=f"target: {os.devnull!r} is no regular file"):
        client.download(URL, os.devnull)
    with pytest.raises(IsADirectoryError):
        client.download(URL, tmp_path)
    with pytest.raises(FileNotFoundError) as failed:
        client.download(URL, tmp_path / "missing" / "x")
    assert failed.value.filename == str(tmp_path / "missing" / "x")
    assert client.dispatcher.asked == []


def test_the_options_of_a_request_are_those_of_the_request(client, tmp_path):
    target = tmp_path / "x"
    for path in (target, str(target), os.fsencode(target)):
        result = client.download(
            URL,
            path,
            params={"a": "b"},
            headers={"Accept-Encoding": "gzip", "X-Own": "1"},
            timeout=Timeouts(stall=5, total=100),
            retry=Retry(1),
            auth=("user", "password"),
        )
        assert result.path == target
    request = client.dispatcher.requests[-1]
    assert str(request.url) == f"{URL}?a=b"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["authorization"].startswith("Basic ")
    assert 0 < request.total <= 100
