"""Downloads: what is asked for, what is used of the answers, and what is left afterwards."""

import errno
import hashlib
import json
import math
import os
import resource
import signal
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import pytest
from kit.file_site import FileSite
from kit.support import pattern

from dugong_like import (
    BodyTooLarge,
    Client,
    ConnectFailed,
    ConnectionClosed,
    ContentChanged,
    DigestMismatch,
    InvalidResponse,
    PartInUse,
    RateLimit,
    Response,
    Retry,
    StatusError,
    TransferFileFailed,
    UnusableRange,
    run,
)
from dugong_like.client.transfers import destination as destination_module
from dugong_like.client.transfers import download as download_module
from dugong_like.client.transfers import downloading
from dugong_like.client.transfers import part as part_module
from dugong_like.client.transfers import ranges as ranges_module
from dugong_like.polling.wake import Wake

URL = "http://example.org/file"
BODY = pattern(300_000)
NEW = pattern(200_000)[::-1]
SHA = hashlib.sha256(BODY).hexdigest()
AT_ONCE = Retry(5, backoff=0, budget=None)


@pytest.fixture(autouse=True)
def storage(monkeypatch):
    """Have no storage to wait for; return what would have been waited for."""
    waited = []
    monkeypatch.setattr(os, "fsync", waited.append)
    monkeypatch.setattr(os, "fdatasync", waited.append, raising=False)
    return waited


@pytest.fixture
def site():
    return FileSite(BODY)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def download(site, target, retries=AT_ONCE, client=None, **options):
    with Client(dispatcher=site, **(client or {})) as downloading:
        return downloading.download(URL, target, retries=retries, **options)


def left(path):
    return sorted(os.listdir(path.parent))


def broken_off(site, path, at=100_000):
    """Have an earlier run leave *at* bytes."""
    site.cuts = [at]
    with pytest.raises(ConnectionClosed) as failed:
        download(site, path, retries=0)
    assert left(path) == ["file.part", "file.part.json"]
    assert (path.parent / "file.part").read_bytes() == site.body[:at]
    site.asked.clear()
    return failed.value


@pytest.mark.feature("E41")
def test_a_file_is_there_when_it_is_complete(site, path):
    seen = []

    result = download(site, path, progress=lambda *counts: seen.append((*counts, path.exists())))

    assert path.read_bytes() == BODY
    assert left(path) == ["file"]
    assert result[:5] == (path, len(BODY), len(BODY), 0, ())
    assert result.response.status_code == 200
    assert seen[0] == (0, len(BODY), False)
    assert seen[-1] == (len(BODY), len(BODY), False)
    assert site.asked == [(None, None)]
    assert site.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.feature("E41")
def test_the_next_run_goes_on(site, path):
    path.write_bytes(b"old")
    error = broken_off_beside(site, path)
    assert "100000 bytes are in" in error.__notes__[0]

    result = download(site, path, sha256=SHA)

    assert site.asked == [("bytes=100000-", '"1"')]
    assert result[1:5] == (len(BODY), 200_000, 100_000, ("sha256",))
    assert path.read_bytes() == BODY
    assert left(path) == ["file"]


def broken_off_beside(site, path):
    site.cuts = [100_000]
    with pytest.raises(ConnectionClosed) as failed:
        download(site, path, retries=0)
    assert path.read_bytes() == b"old"
    site.asked.clear()
    return failed.value


@pytest.mark.parametrize("ranges", [1, 4])
def test_a_lost_connection_is_not_the_end(site, path, ranges, monkeypatch):
    monkeypatch.setattr(ranges_module, "LEAST", 20_000)
    monkeypatch.setattr(download_module, "LEAST", 20_000)
    monkeypatch.setattr(ranges_module, "WORTH", math.inf)  # nothing is taken over
    site.cuts = [1, 10_000, 0, 30_000]

    result = download(site, path, ranges=ranges, sha256=SHA)

    assert path.read_bytes() == BODY
    assert result.received == len(BODY)
    if ranges == 1:
        assert [wanted for wanted, _ in site.asked] == [
            None, "bytes=1-", "bytes=10001-", "bytes=10001-", "bytes=40001-",
        ]  # fmt: skip
    assert all(stream.closed or not stream._rest for stream in site.streams)


def test_without_a_validator_a_lost_connection_begins_anew(path):
    site = FileSite(BODY, etag=None)
    site.cuts = [100_000, 200_000]

    result = download(site, path)

    assert site.asked == [(None, None)] * 3
    assert path.read_bytes() == BODY
    assert result.received == 600_000
    assert left(path) == ["file"]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_strong_validator_nothing_is_left(path, etag):
    site = FileSite(BODY, etag)
    site.cuts = [100_000]
    with pytest.raises(ConnectionClosed):
        download(site, path, retries=0)
    assert left(path) == []


def test_the_failures_are_counted_between_two_successes(site, path, monkeypatch):
    monkeypatch.setattr("dugong_like.client.transfers.budget.PROGRESS", 50_000)
    site.cuts = [0, 50_000, 0, 60_000, 10_000, 10_000, 10_000]

    with pytest.raises(ConnectionClosed):
        download(site, path, retries=Retry(2, backoff=0))

    assert len(site.asked) == 6
    assert (path.parent / "file.part").read_bytes() == BODY[:130_000]
    assert download(site, path).resumed_from == 130_000


def test_a_limit_of_the_program_is_no_failure_of_the_connection(site, path):
    from dugong_like import ConnectionTimedOut

    for phase in ("", "total", "pool"):
        site.asked.clear()
        site.by = [lambda _, phase=phase: ConnectionTimedOut("x", request_sent="yes", phase=phase)]
        with pytest.raises(ConnectionTimedOut):
            download(site, path)
        assert len(site.asked) == 1


@pytest.mark.parametrize("begun", [True, False])
def test_a_connection_that_is_refused_later_is_tried_again(site, path, begun):
    site.cuts = [10]
    site.by = [None] * begun + [lambda _: ConnectFailed("no", request_sent="no")] * 2

    if begun:
        download(site, path)
        assert path.read_bytes() == BODY
    else:
        with pytest.raises(ConnectFailed):
            download(site, path)


# ---- other versions


def test_another_version_begins_anew(site, path):
    broken_off(site, path)
    site.body, site.etag = NEW, '"2"'

    result = download(site, path)

    assert site.asked == [("bytes=100000-", '"1"')]
    assert path.read_bytes() == NEW
    assert (result.resumed_from, result.received) == (0, len(NEW))
    assert left(path) == ["file"]


def test_a_part_that_the_server_calls_the_whole_is_not_taken_for_it(site, path):
    broken_off(site, path)
    site.by = [lambda request: site.answer(request, 200, BODY[100_000:])]

    result = download(site, path)

    assert path.read_bytes() == BODY
    assert (result.resumed_from, result.received) == (0, len(BODY))


@pytest.mark.parametrize("name", ["n" * 255, "\u00fc" * 127, "n" * 245])
def test_a_long_name_has_a_part_all_the_same(site, path, name):
    target = path.with_name(name)
    site.cuts = [100_000]
    with pytest.raises(ConnectionClosed):
        download(site, target, retries=0)
    assert [each[-5:] for each in left(path)] == [".part", ".json"]

    result = download(site, target)

    assert result.resumed_from == 100_000
    assert left(path) == [name]


@pytest.mark.parametrize("suffix", [".part", ".part.json"])
def test_what_is_in_the_place_of_a_part_is_named(site, path, suffix):
    other = path.with_name(f"{path.name}{suffix}")
    other.mkdir()
    with pytest.raises(IsADirectoryError) as failed:
        download(site, path)
    assert failed.value.filename == str(other)
    other.rmdir()
    other.symlink_to(path.parent / "precious")
    with pytest.raises(OSError, match="a symbolic link, which no download has left") as failed:
        download(site, path)
    assert failed.value.filename == str(other)
    assert os.listdir(path.parent) == [other.name]


def test_a_file_that_was_opened_for_reading_is_refused(site, path):
    path.write_bytes(b"old")
    with path.open("rb") as file, pytest.raises(ValueError, match="was not opened for writing"):
        download(site, file)
    assert site.asked == []


def test_a_version_that_changes_meanwhile_begins_anew(site, path):
    site.cuts = [100_000]

    def change(request):
        site.body, site.etag = NEW, '"2"'
        return site.usual(request)

    site.by = [None, change]
    download(site, path, sha256=hashlib.sha256(NEW).hexdigest())
    assert path.read_bytes() == NEW


def test_a_version_that_changes_each_time_is_an_error(site, path):
    def lie(request):
        answer = site.answer(request, 206, b"x", ("Content-Range", "bytes 5-5/300000"))
        site.cuts = [1000]
        return answer

    site.cuts = [1000]
    site.by = [None, lie] * 10
    with pytest.raises(
        ContentChanged, match=r"GET http://example.org/file: .*\(3 times\)"
    ) as failed:
        download(site, path, retries=Retry(100, backoff=0))
    assert failed.value.path == f"{path}.part"
    assert failed.value.retryable


WRONG = {
    "another place": ("bytes 99999-299999/300000", '"1"'),
    "more than asked for": ("bytes 0-299999/300000", '"1"'),
    "another size": ("bytes 100000-299999/300001", '"1"'),
    "behind the size": ("bytes 100000-300000/*", '"1"'),
    "another tag": ("bytes 100000-299999/300000", '"2"'),
    "a weak tag": ("bytes 100000-299999/300000", 'W/"1"'),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_other_bytes_than_asked_for_are_not_used(site, path, wrong):
    broken_off(site, path)
    place, etag = WRONG[wrong]

    def lie(request):
        answer = site.answer(request, 206, b"#" * 200_000, ("Content-Range", place))
        answer.headers.set("ETag", etag)
        return answer

    site.by = [lie]
    download(site, path, sha256=SHA)
    assert [wanted for wanted, _ in site.asked] == ["bytes=100000-", None]
    assert path.read_bytes() == BODY


UNUSABLE = {
    "no place": [],
    "nonsense": [("Content-Range", "bytes 100000-")],
    "backwards": [("Content-Range", "bytes 299999-100000/300000")],
    "another unit": [("Content-Range", "items 100000-299999/300000")],
    "another length": [("Content-Range", "bytes 100000-200000/300000")],
}


@pytest.mark.parametrize("fields", UNUSABLE.values(), ids=list(UNUSABLE))
def test_a_part_that_does_not_say_which_it_is_is_an_error(site, path, fields):
    broken_off(site, path)
    site.by = [lambda request: site.answer(request, 206, b"#" * 200_000, *fields)]

    with pytest.raises(UnusableRange) as failed:
        download(site, path)

    assert failed.value.offset == 100_000
    assert failed.value.limit == 300_000
    assert (path.parent / "file.part").read_bytes() == BODY[:100_000]
    download(site, path, sha256=SHA)


def test_a_part_that_nobody_asked_for_is_an_error(site, path):
    place = ("Content-Range", "bytes 0-9/10")
    site.by = [lambda request: site.answer(request, 206, b"#" * 10, place)]
    with pytest.raises(UnusableRange, match="nobody has asked for"):
        download(site, path)
    assert left(path) == []


def test_a_body_of_unknown_length_must_not_go_on_behind_its_range(site, path):
    broken_off(site, path)
    site.measured = False
    place = ("Content-Range", "bytes 100000-299999/300000")
    site.by = [lambda request: site.answer(request, 206, BODY[100_000:] + b"more", place)]
    with pytest.raises(UnusableRange, match="more bytes"):
        download(site, path)
    assert not path.exists()


def test_a_server_may_send_less_than_asked_for(site, path):
    broken_off(site, path)
    site.most = 50_000
    download(site, path, sha256=SHA)
    assert len(site.asked) == 4
    path.unlink()
    broken_off(site, path)
    with pytest.raises(UnusableRange, match="not all that is missing"):
        download(site, path, retries=0)


def test_a_server_without_ranges_sends_all(site, path):
    site.ranges = False
    site.cuts = [100_000, 200_000]
    result = download(site, path)
    assert path.read_bytes() == BODY
    assert result.received == 600_000


def test_a_size_that_nobody_knows_is_learned_at_the_end(site, path):
    site.measured = False
    site.cuts = [100_000]
    seen = set()
    site.by = [
        None,
        lambda request: site.answer(
            request, 206, BODY[100_000:200_000], ("Content-Range", "bytes 100000-199999/*")
        ),
    ]
    download(site, path, sha256=SHA, progress=lambda _, total: seen.add(total))
    assert [wanted for wanted, _ in site.asked] == [None, "bytes=100000-", "bytes=200000-"]
    assert seen == {None, 300_000}


@pytest.mark.parametrize(
    ("place", "again"),
    [("bytes */300000", False), ("bytes */300001", True), ("bytes */*", True), (None, True)],
)
def test_a_complete_part_is_asked_about(site, path, place, again):
    site.cuts = [300_000]
    with pytest.raises(ConnectionClosed):  # after the last byte
        download(site, path, retries=0)
    site.asked.clear()
    fields = [] if place is None else [("Content-Range", place)]
    site.by = [lambda request: site.answer(request, 416, b"", *fields)]

    result = download(site, path, sha256=SHA)

    assert [wanted for wanted, _ in site.asked] == ["bytes=300000-"] + [None] * again
    assert result.received == 300_000 * again
    assert result.resumed_from == 300_000 * (not again)
    assert path.read_bytes() == BODY


def test_an_empty_file(path):
    for ranges in (1, 8):
        site = FileSite(b"")
        assert download(site, path, ranges=ranges).size == 0
        assert path.read_bytes() == b""
        assert left(path) == ["file"]


# ---- statuses


@pytest.mark.parametrize("status", [204, 304, 404, 503])
def test_a_status_that_is_no_download_is_an_error_with_its_response(site, path, status):
    path.write_bytes(b"old")
    site.by = [lambda request: site.answer(request, status, b"not here")]

    with pytest.raises(StatusError, match=f"GET {URL}: the server answered {status}") as failed:
        download(site, path)

    assert failed.value.response.status_code == status
    if status > 400:
        assert failed.value.response.text == "not here"
    assert failed.value.response.is_closed
    assert path.read_bytes() == b"old"
    assert left(path) == ["file"]


def test_an_error_in_between_keeps_what_is_there(site, path):
    broken_off(site, path)
    site.by = [lambda request: site.answer(request, 404, b"")]
    with pytest.raises(StatusError):
        download(site, path)
    assert download(site, path).resumed_from == 100_000


def test_redirects_and_retries_are_those_of_the_client(site, path):
    def redirect(request):
        return Response(302, {"Location": "/other"}, request=request)

    site.by = [redirect, lambda request: Response(503, request=request)]
    result = download(site, path, client={"retry": AT_ONCE})
    assert str(result.response.url) == "http://example.org/other"
    assert len(result.response.history) == 1


# ---- digests


def structured(algorithm, data):
    digest = hashlib.new(algorithm.replace("-", ""), data).digest()
    return f"{algorithm}=:{b64encode(digest).decode()}:"


MD5 = b64encode(hashlib.md5(BODY).digest()).decode()
DIGESTS = {
    "Repr-Digest": structured("sha-256", BODY),
    "Content-Digest": structured("sha-512", BODY),
    "Content-MD5": MD5,
}


@pytest.mark.feature("E42")
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize(
    ("field", "place", "cut"),
    [
        *((field, "fields", cut) for field in DIGESTS for cut in (None, 100_000)),
        ("Repr-Digest", "trailers", None),
        ("Content-Digest", "trailers", None),
    ],
)
def test_digests_are_verified(site, path, field, place, right, cut):
    setattr(site, place, [(field, DIGESTS[field])])
    site.cuts = [cut]
    if cut:
        site.by = [None, lambda request: without(field, site.usual(request))]
    if not right:
        site.body = b"!" + BODY[1:]

    if right:
        (verified,) = download(site, path).digests
        assert verified.startswith(field)
        assert path.read_bytes() == BODY
    else:
        with pytest.raises(DigestMismatch, match=f"than {field} says") as failed:
            download(site, path)
        assert failed.value.expected != failed.value.actual
        assert failed.value.offset == 300_000
        assert left(path) == []


def without(field, response):
    response.headers.remove(field)
    return response


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("place", ["fields", "trailers"])
def test_the_digest_of_a_part_is_that_of_the_part(site, path, right, place):
    broken_off(site, path)
    data = BODY[100_000:] if right else BODY
    setattr(site, place, [("Content-Digest", structured("sha-256", data)), ("Content-MD5", "AAAA")])
    if right:
        download(site, path)
        assert path.read_bytes() == BODY
    else:
        with pytest.raises(DigestMismatch):
            download(site, path)
        assert left(path) == []


@pytest.mark.parametrize("given", [SHA, SHA.upper(), bytes.fromhex(SHA)])
def test_a_digest_is_given(site, path, given):
    assert download(site, path, sha256=given).digests == ("sha256",)
    site.body = NEW
    with pytest.raises(DigestMismatch) as failed:
        download(site, path, sha256=given)
    assert failed.value.expected.hex() == SHA
    assert path.read_bytes() == BODY


def test_the_digest_of_an_old_version_is_not_that_of_the_new_one(site, path):
    site.fields = [("Repr-Digest", structured("sha-256", BODY))]
    site.cuts = [100_000]

    def change(request):
        site.body, site.etag, site.fields = NEW, '"2"', []
        return site.usual(request)

    site.by = [None, change]
    assert download(site, path).digests == ()
    assert path.read_bytes() == NEW


# ---- several ranges


@pytest.fixture
def small(monkeypatch):
    """Have small files split."""
    monkeypatch.setattr(ranges_module, "LEAST", 20_000)
    monkeypatch.setattr(download_module, "LEAST", 20_000)
    monkeypatch.setattr(ranges_module, "WORTH", math.inf)  # nothing is taken over


@pytest.mark.feature("E41")
def test_several_ranges_arrive_at_the_same_time(site, path, small):
    result = download(site, path, ranges=4, sha256=SHA)
    assert path.read_bytes() == BODY
    assert site.asked == [
        ("bytes=0-19999", None),
        ("bytes=20000-74999", '"1"'),  # by the connection of the first one
        ("bytes=75000-149999", '"1"'),
        ("bytes=150000-224999", '"1"'),
        ("bytes=225000-299999", '"1"'),
    ]
    assert result.received == len(BODY)


@pytest.mark.parametrize("cut", [None, 10_000])
def test_a_range_that_is_done_takes_over_half_of_what_a_slow_one_has_left(
    site, path, small, monkeypatch, cut
):
    """The slow one ends where the other one has begun, or goes on if its connection is lost."""
    monkeypatch.setattr(ranges_module, "WORTH", 0.0)
    released = Wake()
    site.cuts = [None, None, cut]

    def by_slow(request):
        response = site.usual(request)
        site.streams[-1].co_wait = released.co_wait
        return response

    def by_the_other(request):
        released.set()
        return site.usual(request)

    site.by = [None, None, by_slow, by_the_other]
    with released:
        result = download(site, path, ranges=2, sha256=SHA)
    assert path.read_bytes() == BODY
    asked = [wanted for wanted, _ in site.asked]
    assert asked[:4] == [
        "bytes=0-19999", "bytes=20000-149999", "bytes=150000-299999", "bytes=225000-299999",
    ]  # fmt: skip
    assert result.received < len(BODY) + 75_000
    assert all(stream.closed or not stream._rest for stream in site.streams)


def test_what_is_missing_in_between_is_asked_for_by_the_next_run(site, path, small):
    site.cuts = [None, 30_000, 40_000, 0]
    with pytest.raises(ConnectionClosed):
        download(site, path, ranges=4, retries=0)
    record = (path.parent / "file.part.json").read_text().splitlines()
    there = json.loads(record[-1])
    site.asked.clear()

    result = download(site, path, sha256=SHA)

    assert result.resumed_from == sum(end - begin for begin, end in there) > 0
    assert result.received == len(BODY) - result.resumed_from
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("kind", ["no ranges", "no validator", "small", "another version"])
def test_ranges_are_of_use_or_not(site, path, small, kind):
    if kind == "no ranges":
        site.ranges = False
    elif kind == "no validator":
        site.etag = 'W/"1"'
    elif kind == "small":
        site.body = BODY[:39_999]
    else:
        site.by = [None, None, lambda request: site.answer(request, 200, BODY)]

    result = download(site, path, ranges=4)

    assert path.read_bytes() == site.body
    expected = {"no ranges": 1, "no validator": 2, "small": 2}
    if kind in expected:
        assert len(site.asked) == expected[kind]
    assert result.size == len(site.body)


# ---- the file


@pytest.mark.parametrize("resume", [True, False])
def test_an_existing_file_keeps_its_permissions(site, path, resume):
    path.write_bytes(b"old")
    path.chmod(0o640)
    download(site, path, resume=resume)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_bytes() == BODY


def test_a_new_file_has_the_permissions_that_the_umask_leaves(site, path):
    before = os.umask(0o027)
    try:
        download(site, path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_links_are_followed(site, path):
    (path.parent / "below").mkdir()
    path.symlink_to("below/target")
    download(site, str(path))
    assert path.is_symlink()
    assert os.listdir(path.parent / "below") == ["target"]
    assert path.read_bytes() == BODY


def test_without_resume_nothing_is_left(site, path):
    site.cuts = [100_000]
    with pytest.raises(ConnectionClosed):
        download(site, path, retries=0, resume=False)
    assert left(path) == []
    site.cuts = [100_000]
    assert download(site, path, resume=False).received == 300_000
    assert left(path) == ["file"]


def test_one_run_at_a_time(site, path):
    with Client(dispatcher=site) as client:
        first = client.co_download(URL, path)
        site.waits = True
        while left(path) == []:  # until there is a response
            next(first)
        with pytest.raises(PartInUse) as failed:
            client.download(URL, path)
        assert failed.value.path == f"{path}.part"
        first.close()
        client.download(URL, path)
        assert left(path) == ["file"]


# ---- files that come at once


class AtOnce:
    """A server whose bodies come with their heads."""

    def __init__(self, body=b"small", fields=(), status=200):
        self.body, self.fields, self.status = body, fields, status

    def co_dispatch(self, request):
        return Response(self.status, [*self.fields], content=self.body, request=request)
        yield

    def co_close(self):
        return
        yield


@pytest.fixture
def no_parts(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("there is a part")

    monkeypatch.setattr(downloading, "open_part", fail)


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("options", [{}, {"resume": False}, {"fsync": False}])
def test_a_file_that_comes_at_once_needs_no_part(path, no_parts, storage, old, options):
    if old is not None:
        path.write_bytes(old)
    shown = []
    fields = [("Repr-Digest", structured("sha-256", b"small"))]
    sha256 = hashlib.sha256(b"small").hexdigest()
    result = download(
        AtOnce(fields=fields), path, sha256=sha256, progress=lambda *at: shown.append(at), **options
    )
    assert path.read_bytes() == b"small"
    assert left(path) == ["file"]
    assert result[:5] == (path, 5, 5, 0, ("sha256", "Repr-Digest sha-256"))
    assert shown == [(0, 5), (5, 5)]
    assert len(storage) == (0 if options.get("fsync") is False else 2)  # the file, its folder


def test_bytes_that_come_at_once_reach_the_storage_before_they_have_their_name(
    path, no_parts, monkeypatch
):
    names = []
    monkeypatch.setattr(os, "fsync", lambda _: names.append(left(path)))
    download(AtOnce(), path)
    assert [[name for name in seen if name == "file"] for seen in names] == [[], ["file"]]


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("body", [b"small", BODY])
def test_a_file_that_is_overwritten_reaches_the_storage_before_its_copy_is_removed(
    path, monkeypatch, body, resume
):
    """It has another name, which keeps it: so it is not replaced."""
    path.write_bytes(b"old")
    (path.parent / "other").hardlink_to(path)
    waited = []

    def note(number):
        seen = os.fstat(number).st_ino == path.stat().st_ino and path.read_bytes() == body
        waited.append((seen, (path.parent / "file.part").exists()))

    monkeypatch.setattr(os, "fsync", note)
    site = AtOnce(body) if body == b"small" else FileSite(body)
    download(site, path, resume=resume)

    has_part = resume and body == BODY
    assert (True, has_part) in waited
    assert (path.parent / "other").read_bytes() == body
    assert left(path) == ["file", "other"]
    waited.clear()
    download(site, path, resume=resume, fsync=False)
    assert not [each for each in waited if each[0]]


@pytest.mark.parametrize("old", [None, b"old"])
def test_wrong_bytes_that_come_at_once_change_nothing(path, no_parts, old):
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(DigestMismatch) as failed:
        download(AtOnce(), path, sha256=SHA)
    assert (failed.value.path, failed.value.url) == (str(path), URL)
    with pytest.raises(DigestMismatch):
        download(AtOnce(fields=[("Content-Digest", structured("sha-256", b"other"))]), path)
    with pytest.raises(BodyTooLarge):
        download(AtOnce(), path, client={"max_body": 4})
    assert left(path) == ([] if old is None else ["file"])
    assert old is None or path.read_bytes() == old


def test_a_file_that_comes_at_once_and_cannot_be_written(path, no_parts, monkeypatch):
    def fail(number, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(destination_module, "write_all", fail)
    with pytest.raises(TransferFileFailed) as failed:
        download(AtOnce(), path)
    assert (failed.value.errno, failed.value.path, failed.value.limit) == (
        errno.ENOSPC,
        str(path),
        5,
    )
    assert "No space left" in str(failed.value)
    assert left(path) == []


@pytest.mark.parametrize("retries", [0, AT_ONCE])
def test_a_small_file_whose_connection_is_lost_is_received_once_more(site, path, retries):
    site.body = BODY[:60_000]
    site.cuts = [40_000]
    if retries == 0:
        with pytest.raises(ConnectionClosed):
            download(site, path, retries=0)
        assert left(path) == []
        return
    result = download(site, path, retries=retries)
    assert (result.size, path.read_bytes(), left(path)) == (60_000, site.body, ["file"])
    assert [asked for asked, _ in site.asked] == [None, None]


def test_a_file_needs_a_part_if_it_is_not_small(site, path, monkeypatch):
    opened = []
    open_part = downloading.open_part
    monkeypatch.setattr(
        downloading, "open_part", lambda *args, **more: opened.append(1) or open_part(*args, **more)
    )
    for size, parts in ((downloading.SMALL, 0), (downloading.SMALL + 1, 1)):
        site.body = BODY[:size]
        download(site, path)
        assert (len(opened), path.read_bytes() == site.body) == (parts, True)


def test_a_part_of_an_earlier_run_is_dropped_when_the_file_comes_at_once(site, path):
    broken_off(site, path)
    assert download(AtOnce(), path).resumed_from == 0
    assert (left(path), path.read_bytes()) == (["file"], b"small")


def test_a_refusal_that_comes_at_once_leaves_nothing(path):
    with pytest.raises(StatusError) as failed:
        download(AtOnce(b"why not", status=404), path)
    assert failed.value.response.content == b"why not"
    assert left(path) == []


def test_what_is_written_reaches_the_storage_first(site, path, storage, monkeypatch):
    monkeypatch.setattr(part_module, "CHECKPOINT", 100_000)
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda *args: (storage.append("name"), replace(*args)))
    download(site, path)
    assert len(storage) > 4
    assert storage[-2] == "name"  # the folder is the last
    storage.clear()
    download(site, path, fsync=False)
    assert storage.count("name") == 1
    assert len(storage) <= 2  # the record, before other bytes than before may come


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("posix_fallocate", errno.ENOSPC),
        ("ftruncate", errno.ENOSPC),
        ("ftruncate", errno.EIO),
    ],
)
def test_a_file_that_cannot_be_written(site, path, monkeypatch, number, call):
    site.body = pattern(2 << 20)
    site.cuts = [100_000]
    with pytest.raises(ConnectionClosed):
        download(site, path, retries=0)

    def fail(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch, pytest.raises((TransferFileFailed, OSError)) as failed:
        patch.setattr(os, call, fail)
        download(site, path)
    assert failed.value.errno == number
    assert str(path) in str(failed.value)
    assert not path.exists()
    assert download(site, path).resumed_from == 100_000


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="there are no such limits")
@pytest.mark.parametrize("preallocate", [True, False])
def test_no_room(site, path, preallocate):
    site.body = pattern(2 << 20)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(TransferFileFailed) as failed:
            download(site, path, preallocate=preallocate)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error = failed.value
    assert error.errno == errno.EFBIG
    assert error.limit == 2 << 20
    assert str(error).startswith(f"GET {URL}: '{path}.part': {os.strerror(errno.EFBIG)}")
    assert not path.exists()
    there = 0 if preallocate else 1 << 20
    assert error.offset == there
    assert download(site, path).resumed_from == there


def test_zeros_become_holes(site, path):
    site.body = pattern(100_000) + bytes(4 << 20) + pattern(100_000) + bytes(1 << 20)
    site.cuts = [1 << 20]
    download(site, path, sparse=True, sha256=hashlib.sha256(site.body).hexdigest())
    assert path.read_bytes() == site.body
    assert path.stat().st_size == len(site.body)
    assert path.stat().st_blocks * 512 < 1 << 20


def test_a_rate_is_kept_to(site, path):
    class Counting(RateLimit):
        spent = 0

        def spend(self, count):
            self.spent += count
            super().spend(count)

    rate = Counting(1e9)
    download(site, path, rate=rate)
    assert path.read_bytes() == BODY
    assert rate.spent == len(BODY)
    assert download(site, path, rate=1e9).received == len(BODY)


def test_the_limit_of_the_client_holds(site, path):
    for measured in (True, False):
        site.measured = measured
        with pytest.raises(BodyTooLarge, match="100000"):
            download(site, path, client={"max_body": 100_000})
    assert not path.exists()


def test_secrets_are_not_written_down(site, path):
    site.cuts = [100_000]
    with Client(dispatcher=site) as client, pytest.raises(ConnectionClosed) as failed:
        client.download(f"{URL}?token=secret", path, retries=0)
    assert "secret" not in (path.parent / "file.part.json").read_text()
    assert "secret" not in str(failed.value)


def test_the_part_of_another_url_is_not_used(site, path):
    broken_off(site, path)
    with Client(dispatcher=site) as client:
        assert client.download(f"{URL}2", path).resumed_from == 0
    assert path.read_bytes() == BODY


# ---- file objects


class Pipe(BytesIO):
    """A stream without positions."""

    def seekable(self):
        return False

    def tell(self):
        raise OSError("no positions")

    seek = truncate = tell


@pytest.mark.parametrize("kind", ["memory", "file", "buffered", "appended", "pipe"])
def test_a_file_object_is_written_from_its_position(site, tmp_path, kind):
    site.cuts = [100_000, 50_000]
    site.fields = [("Repr-Digest", structured("sha-256", BODY))]
    place = tmp_path / "target"
    place.write_bytes(b"before")
    if kind == "memory":
        file = BytesIO()
        file.write(b"before")
    elif kind == "pipe":
        file = Pipe()
        file.write(b"before")
    else:
        mode = {"file": ("r+b", 0), "buffered": ("r+b", -1), "appended": ("ab", -1)}[kind]
        file = place.open(*mode)
        file.seek(6)

    result = download(site, file)

    assert result[:5] == (None, 300_000, 300_000, 0, ("Repr-Digest sha-256",))
    written = file.getvalue() if kind in ("memory", "pipe") else place.read_bytes()
    assert written == b"before" + BODY
    file.close()


@pytest.mark.parametrize("kind", [BytesIO, Pipe])
def test_a_file_object_goes_back_if_it_can(site, kind):
    site.cuts = [100_000]

    def change(request):
        site.body, site.etag = NEW, '"2"'
        return site.usual(request)

    site.by = [None, change]
    file = kind()
    if kind is Pipe:
        with pytest.raises(ContentChanged, match="cannot go back"):
            download(site, file)
    else:
        download(site, file)
        assert file.getvalue() == NEW


# ---- the operation


def test_a_download_that_is_given_up_goes_on_later(site, path):
    from dugong_like.polling.wake import Wake

    class Waiting:
        def __init__(self, inner):
            self.inner, self.given = inner, 0

        def co_read(self, size):
            self.given += 1
            if self.given == 3:
                with Wake("test") as wake:
                    yield from wake.co_wait()
            return (yield from self.inner.co_read(size))

        def trailers(self):
            return []

        def close(self):
            self.inner.close()

    def wait(request):
        answer = site.usual(request)
        return Response.streamed(200, answer.headers, Waiting(site.streams[-1]), request=request)

    site.by = [wait]
    with Client(dispatcher=site) as client:
        going = client.co_download(URL, path)
        next(going)
        going.close()
        assert site.streams[0].closed
        there = (path.parent / "file.part").stat().st_size
        assert 0 < there < 300_000
        assert run(client.co_download(URL, path)).resumed_from == there


def test_an_invalid_response_keeps_what_is_there(site, path):
    broken_off(site, path)
    site.by = [lambda _: InvalidResponse("no HTTP")]
    with pytest.raises(InvalidResponse):
        download(site, path)
    assert download(site, path).resumed_from == 100_000
