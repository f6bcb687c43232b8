"""The clock of the machine is set while the library works: by an hour, to and fro, at each look.

Waits and limits are by a clock that is never set. That of the day is for what others have said in
terms of it: expiry of cookies and tokens, dates of servers. No step of it may lose a byte, take an
old version for a new one, or wait for longer than was allowed.
"""

import itertools
import time
from email.utils import formatdate

import pytest
from kit.file_site import FileSite
from kit.memory_site import MemorySite
from kit.sites import answer_of
from kit.support import pattern
from kit.sync_pair import pair_of, tree_of
from kit.sync_server import Store
from kit.upload_server import UploadServer

from dugong_like import Client, ConnectionClosed, Cookies, Limits, Response, Retry
from dugong_like.client.layers.cookies import CookieLayer
from dugong_like.client.layers.retry import RetryLayer
from dugong_like.http.validators import strong_validator
from dugong_like.transport.tls.sessions import TLSSessions

HOUR = 3600
NOON = 1_796_040_000
BODY = pattern(300_000)
URL = "https://a.test/file"
AT_ONCE = Retry(9, backoff=0, budget=None)


@pytest.fixture
def steps(monkeypatch):
    """Have the clock of the day differ by an hour from look to look; return how often it was."""
    looks = itertools.count()
    wall, wall_ns = time.time, time.time_ns

    def step():
        return (0, HOUR, -HOUR)[next(looks) % 3]

    def stepping():
        return wall() + step()

    monkeypatch.setattr(time, "time", stepping)
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + step() * 10**9)
    for layer in (RetryLayer, CookieLayer):  # their arguments have the clock by default
        init = layer.__init__
        changed = tuple(stepping if each is wall else each for each in init.__defaults__ or ())
        monkeypatch.setattr(init, "__defaults__", changed or None)
        named = {
            name: stepping if each is wall else each
            for name, each in (init.__kwdefaults__ or {}).items()
        }
        monkeypatch.setattr(init, "__kwdefaults__", named or None)
    return looks


@pytest.mark.parametrize("ranges", [1, 4])
def test_a_download_that_is_interrupted_goes_on(tmp_path, steps, ranges):
    site = FileSite(BODY)
    with Client(dispatcher=site) as client:
        site.cuts = [100_000]
        with pytest.raises(ConnectionClosed):
            client.download(URL, tmp_path / "file", retries=0)
        site.cuts = [100_000]
        result = client.download(URL, tmp_path / "file", ranges=ranges, retries=AT_ONCE)
    assert result.resumed_from == 100_000
    assert (tmp_path / "file").read_bytes() == BODY


def test_the_date_of_a_version_counts_from_that_of_the_server():
    """Last-Modified names a version if it was old when the response was sent, not when it came."""
    for age, is_valid in (30, False), (60, True):
        fields = [("Last-Modified", formatdate(NOON, usegmt=True))]
        fields.append(("Date", formatdate(NOON + age, usegmt=True)))
        response = Response(200, fields)
        for now in (NOON - HOUR, NOON, NOON + HOUR):
            assert (strong_validator(response, now) is not None) is is_valid


def test_an_upload_that_is_interrupted_goes_on(tmp_path, steps):
    path, server = tmp_path / "file", UploadServer()
    path.write_bytes(BODY)
    options = {"resumable": True, "retries": Retry(0), "record": True}
    with Client(dispatcher=server) as client:
        server.cuts = [100_000]
        with pytest.raises(ConnectionClosed):
            client.upload(path, URL, **options)
        result = client.upload(path, URL, **options)
    assert result.sent == len(BODY) - 100_000


def test_sync_copies_what_has_changed_and_nothing_else(tmp_path, steps):
    with pair_of(tmp_path, Store()) as pair:
        for number in range(5):
            pair.write(f"folder/{number}", b"first")
        assert pair.up().copied == 5
        assert pair.up().copied == 0
        pair.write("folder/3", b"other", mtime_ns=1_700_000_000 * 10**9)
        assert pair.up().copied == 1
        assert pair.down().copied == 5
        assert pair.down().copied == 0
        assert tree_of(pair.back) == tree_of(pair.root)


@pytest.mark.parametrize("offset", [-10 * HOUR, 0, 10 * HOUR])
def test_retry_after_counts_from_the_date_of_the_server(steps, offset):
    """The server's clock may be another one; the difference of both its dates is what it says."""
    answers = iter([
        answer_of(503, *_dates(offset, 0)), answer_of(503, *_dates(offset, 20 * HOUR)),
    ])  # fmt: skip
    site = MemorySite(lambda seen: next(answers, answer_of(200)))
    with site.client(retry=Retry(5, max_wait=1)) as client:
        assert client.get("http://a.test/").status_code == 503  # it asks for 20 hours
    assert len(site.seen) == 2


def _dates(offset, pause):
    now = time.time() + offset
    sent, later = formatdate(now, usegmt=True), formatdate(now + pause, usegmt=True)
    return f"Date: {sent}", f"Retry-After: {later}"


def test_retry_after_without_a_date_waits_for_no_longer_than_allowed(steps):
    """An hour too many is more than `max_wait`; then the response is returned."""
    retry = Retry(3, max_wait=0.01)
    for _ in range(3):
        _, value = _dates(0, 0)
        site = MemorySite(lambda _, value=value: answer_of(503, value))
        begun = time.monotonic()
        with site.client(retry=retry) as client:
            assert client.get("http://a.test/").status_code == 503
        assert 1 <= len(site.seen) <= 4
        assert time.monotonic() - begun < HOUR / 2


def test_connections_are_kept(steps):
    site = MemorySite()
    with site.client(limits=Limits(keepalive_expiry=60, max_age=300)) as client:
        for _ in range(30):
            client.get("http://a.test/")
    assert len(site.streams) == 1


def test_cookies_end_by_the_present_time_wherever_it_was_before():
    cookies, now = Cookies(), 1_000_000.0
    cookies.extract("http://a.test/", ["short=1; Max-Age=60", "long=1; Max-Age=7200"], now)
    assert cookies.header("http://a.test/", now + HOUR) == "long=1"

    before = now - HOUR  # the clock is set back
    cookies.extract("http://a.test/", ["new=1; Max-Age=60"], before)
    cookies.set("own", "1", "a.test", expires=before + 60)
    assert cookies.header("http://a.test/", before + 1) == "long=1; new=1; own=1"
    assert cookies.header("http://a.test/", before + 61) == "long=1"


def test_a_client_keeps_cookies_that_are_valid_at_any_of_these_times(steps):
    site = MemorySite(lambda _: answer_of(200, "Set-Cookie: a=1; Max-Age=20000"))
    with site.client() as client:
        for _ in range(9):
            client.get("http://a.test/")
    assert [seen.headers.get("cookie") for seen in site.seen] == [None, *["a=1"] * 8]


def test_sessions_of_tls_are_offered_while_they_may_be_valid(steps):
    """One that is not costs nothing: the server makes a full handshake."""

    class Session:
        def __init__(self):
            self.time, self.timeout = int(time.time()), 3 * HOUR

    sessions = TLSSessions()
    for _ in range(9):
        session = Session()
        sessions.put("a", session)
        assert sessions.take("a") is session
