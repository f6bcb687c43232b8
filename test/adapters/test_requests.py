"""The adapter for requests beside that of requests itself: the same calls, the same outcome.

Each row of `CALLS` is one call on a session, made once with each adapter, against the same server:
status, fields, body or exception are compared, and the bytes that were sent.
"""

import hashlib
import io
import json
import os
import pickle
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import urllib3
from kit.pipe_ends import Feed, pipe
from kit.playground import Playground, without_tls
from kit.server_scripts import Recording, deaf, mute, slow, wandering
from kit.servers import refusing_port
from kit.support import (
    ScriptedServer,
    black_hole,
    open_descriptors,
    pattern,
    program,
    read_head,
    wait_until,
)
from requests.auth import HTTPDigestAuth

from dugong_like import ScriptedTransport, run
from dugong_like.adapters import requests as adapter

SIZE = 300_000


class Side:
    """One of the two sessions, and where its calls go."""

    def __init__(self, session, places):
        self.session = session
        vars(self).update(places)

    def get(self, path, **options):
        return self.session.get(self.http + path, **options)

    def put(self, path, data, **options):
        return self.session.put(self.http + path, data=data, **options)

    def raw(self, path, **options):
        return self.get(path, stream=True, **options).raw

    def prepared(self, **changes):
        """Send a request that was changed after it had been checked."""
        request = requests.Request("GET", self.http + "/").prepare()
        for name, value in changes.pop("headers", {}).items():
            request.headers[name] = value
        vars(request).update(changes)
        return self.session.send(request)

    def put_file(self, mode):
        path = self.folder / "file"
        path.write_text("text of a file")
        with path.open(mode) as file:
            return self.put("/echo", file)


def into(raw, size):
    """Read with `readinto`."""
    room = bytearray(size)
    return raw.readinto(room), bytes(room)


def facts(raw):
    """Return what is known of a raw response."""
    names = ("status", "reason", "version", "length_remaining", "chunked")
    before = [getattr(raw, name) for name in names]
    first = raw.read(3), raw.tell(), raw.closed
    return before, first, raw.read(), raw.closed, list(raw.headers.items())


def hooked(side):
    """Have a hook replace a response by what it saw."""
    seen = []
    side.session.hooks["response"].append(lambda response, **options: seen.append(options))
    side.get("/302")
    return [sorted(options) for options in seen]


def with_env(side, url, **environ):
    """Ask for *url* with variables in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        side.session.trust_env = True
        return side.session.get(url)


def live(side):
    """Return the pieces of a body whose next one only comes when this one has been read."""
    pieces = []
    for piece in side.get("/live", stream=True).iter_content(1000):
        pieces.append(piece)
        side.playground.seen.release()
    return pieces


def left(side):
    """Use a connection again that the server has closed without saying so."""
    first = side.get("/left").text
    assert side.playground.left.acquire(timeout=20)
    return first, side.get("/").text


def late(side):
    """Read the rest of a body that never comes."""
    for seconds in (0.5, 10, 60):  # a busy server begins late
        try:
            response = side.get("/half", stream=True, timeout=(20, seconds))
        except requests.ReadTimeout:
            continue
        return next(response.iter_content(5)), response.content
    return "no response"


def at(stream, position):
    """Return *stream*, of which the beginning has been read."""
    stream.read(position)
    return stream


class Unmeasured:
    """A stream that can be read, and nothing else."""

    def __init__(self, data):
        self._data, self.read = data, io.BytesIO(data).read

    def __iter__(self):  # or requests would not take it for a stream
        raise AssertionError("it is read")


class Measured(Unmeasured):
    """One that knows how long it is, as the encoder of requests_toolbelt does."""

    def __len__(self):
        return len(self._data)


def login(side):
    """Return the URL of the proxy with credentials."""
    return side.http.replace("://", "://me:se%40same@")


CALLS = {
    # -- responses
    "fields as they were written": lambda s: list(s.get("/").headers.items()),
    "text and its encoding": lambda s: s.get("/type").text,
    "JSON": lambda s: s.get("/json").json(),
    "lines": lambda s: list(s.get("/lines", stream=True).iter_lines()),
    "value that is not ASCII": lambda s: s.get("/raw-value"),
    "100 kB": lambda s: s.get("/big"),
    "pieces of 1,000 bytes": lambda s: list(s.get("/big", stream=True).iter_content(1000)),
    "pieces of any size": lambda s: b"".join(s.get("/big", stream=True).iter_content(None)),
    "gzip": lambda s: s.get("/gzip"),
    "gzip in small pieces": lambda s: list(s.get("/gzip", stream=True).iter_content(100)),
    "deflate": lambda s: s.get("/deflate"),
    "gzip that is none": lambda s: s.get("/no-gzip"),
    "chunked": lambda s: s.get("/chunked"),
    "chunked, piece by piece": lambda s: b"|".join(s.get("/chunked", stream=True).iter_content(2)),
    "chunked, as they come": live,
    "chunked and gzip": lambda s: s.get("/chunked-gzip"),
    "trailers": lambda s: s.get("/trailers"),
    "cookies": lambda s: (s.get("/cookies").cookies.get_dict(), s.get("/").text),
    "no content": lambda s: s.get("/204"),
    "not modified": lambda s: s.get("/304"),
    "no reason": lambda s: s.get("/no-reason"),
    "not found": lambda s: s.get("/404").raise_for_status(),
    "HEAD": lambda s: s.session.head(s.http + "/big"),
    "HTTP/1.0": lambda s: s.get("/1.0"),
    "until the end": lambda s: s.get("/until-close"),
    "close and again": lambda s: [s.get("/closing").text, s.get("/").text],
    "closed silently, and again": left,
    "HEAD of what is compressed": lambda s: s.session.head(s.http + "/gzip"),
    "gzip of nothing": lambda s: s.get("/gzip-of-nothing"),
    "read when the session is closed": lambda s: (s.get("/big", stream=True), s.session.close())[0],
    "pickled response": lambda s: pickle.loads(pickle.dumps(s.get("/"))),
    # -- raw
    "facts of raw": lambda s: facts(s.raw("/lines")),
    "facts of raw of HTTP/1.0": lambda s: facts(s.raw("/1.0")),
    "facts of raw of chunks": lambda s: facts(s.raw("/chunked")),
    "raw, compressed": lambda s: s.raw("/gzip").read(),
    "raw, decoded": lambda s: s.raw("/gzip").read(decode_content=True),
    "raw, all that was asked for": lambda s: [len(s.raw("/big").read(n)) for n in (1, 99_999)],
    "raw.stream": lambda s: [len(piece) for piece in s.raw("/big").stream(30_000)],
    "raw.stream of chunks": lambda s: b"".join(s.raw("/chunked-gzip").stream(decode_content=True)),
    "raw.read_chunked": lambda s: b"".join(s.raw("/chunked").read_chunked()),
    "raw.read1": lambda s: s.raw("/lines").read1(3),
    "raw.readinto": lambda s: into(s.raw("/big"), 70_000),
    "raw in a TextIOWrapper": lambda s: io.TextIOWrapper(s.raw("/lines")).readlines(),
    "raw.getheader": lambda s: (s.raw("/").getheader("X-TWICE"), s.raw("/").info()["X-Other"]),
    "raw.headers.getlist": lambda s: s.raw("/").headers.getlist("x-twice"),
    "raw.data": lambda s: s.raw("/gzip").data,
    "raw.drain_conn": lambda s: [s.raw("/big").drain_conn(), s.get("/").text],
    "raw.release_conn": lambda s: [s.raw("/").release_conn(), s.get("/").text],
    "raw, byte by byte": lambda s: list(s.get("/lines", stream=True).iter_content(1)),
    "raw, closed early": lambda s: [s.raw("/big").close(), s.get("/").text],
    # -- requests
    "parameters": lambda s: s.get("/?a=b", params={"c": "d e", "f": ["g", "h"]}),
    "other methods": lambda s: s.session.request("purge", s.http + "/"),
    "method that cannot be sent": lambda s: s.session.request("A B", s.http + "/"),
    "path that is not ASCII": lambda s: s.get("/ä b/%7e/../x;y"),
    "query that is not ASCII": lambda s: s.get("/?ä=ö b&c=%2f#fragment"),
    "query and no path": lambda s: s.session.get(s.http + "?a=b"),
    "two slashes": lambda s: s.get("//a//b"),
    "IPv6": lambda s: s.session.get(s.ipv6 + "/"),
    "host in capitals": lambda s: s.session.get(s.http.replace("127.0.0.1", "LocalHost")),
    "form": lambda s: s.put("/echo", {"a": "b c"}),
    "JSON to send": lambda s: s.session.post(s.http + "/echo", json={"a": 1}),
    "files": lambda s: s.session.post(s.http + "/echo", files={"f": ("name", b"content")}),
    "bytes": lambda s: s.put("/echo", b"\x00\xff"),
    "bytearray": lambda s: s.put("/echo", bytearray(b"\x00\xff")),
    "str": lambda s: s.put("/echo", "häh"),
    "no bytes": lambda s: s.put("/echo", b""),
    "BytesIO": lambda s: s.put("/echo", io.BytesIO(b"x" * 100_000)),
    "BytesIO, not from the beginning": lambda s: s.put("/echo", at(io.BytesIO(b"abcdef"), 3)),
    "StringIO": lambda s: s.put("/echo", io.StringIO("text")),
    "file": lambda s: s.put_file("rb"),
    "stream with a length": lambda s: s.put("/echo", Measured(b"x" * 100_000)),
    "stream of unknown length": lambda s: s.put("/echo", Unmeasured(b"x" * 100_000)),
    "generator": lambda s: s.put("/echo", iter([b"a", b"", b"bc"])),
    "generator of str": lambda s: s.put("/echo", iter(["a", "ä"])),
    "generator that raises": lambda s: s.put("/echo", (1 // x for x in (0,))),
    "generator of what cannot be sent": lambda s: s.put("/echo", iter([[1]])),
    "fields": lambda s: s.get("/", headers={"X-A": "1", "User-Agent": "me", "x-b": b"\xff"}),
    "Host": lambda s: s.get("/", headers={"Host": "other.test"}),
    "Expect": lambda s: s.put("/echo", b"body", headers={"Expect": "100-continue"}),
    "value that is empty": lambda s: s.get("/", headers={"X-A": ""}),
    "Connection": lambda s: s.get("/", headers={"Connection": "close"}),
    "name that cannot be sent": lambda s: s.get("/", headers={"a b\n": "1"}),
    "value that cannot be sent": lambda s: s.get("/", headers={"a": "1\r\nb: 2"}),
    "cookies to send": lambda s: s.get("/", cookies={"a": "1", "b": "2"}),
    "login": lambda s: s.get("/", auth=("me", "sesame")),
    "Digest": lambda s: s.get("/401", auth=HTTPDigestAuth("me", "sesame")).status_code,
    "Digest with a body": lambda s: s.session.put(
        s.http + "/401", io.BytesIO(b"body"), auth=HTTPDigestAuth("me", "sesame")
    ),
    "hooks": hooked,
    # -- redirects
    "redirect": lambda s: s.get("/302"),
    "redirect, not followed": lambda s: s.get("/302", allow_redirects=False),
    "redirect in a loop": lambda s: s.get("/loop"),
    "redirect after POST": lambda s: s.session.post(s.http + "/303", data=b"body"),
    "redirect with bytes": lambda s: s.put("/307", b"body"),
    "redirect with a file": lambda s: s.put("/307", at(io.BytesIO(b"body"), 1)),
    "redirect with a generator": lambda s: s.put("/307", iter([b"body"])),
    # -- what goes wrong
    "too short": lambda s: s.get("/short"),
    "too short, raw": lambda s: s.raw("/short").read(),
    "too short, in pieces": lambda s: list(s.get("/short", stream=True).iter_content(3)),
    "chunk that is too short": lambda s: s.get("/short-chunk"),
    "chunk that is missing": lambda s: s.get("/no-last-chunk"),
    "chunk that is none": lambda s: s.get("/bad-chunk"),
    "junk": lambda s: s.get("/junk"),
    "nothing at all": lambda s: s.get("/nothing"),
    "nobody there": lambda s: s.session.get(f"http://127.0.0.1:{s.refusing}/"),
    "URL without host": lambda s: s.session.get("http:///path"),
    "URL with a bad port": lambda s: s.session.get("http://localhost:x/"),
    # -- time-outs
    "time-out of reading": lambda s: s.get("/silent", timeout=0.2),
    "two time-outs": lambda s: s.get("/silent", timeout=(20, 0.2)),
    "urllib3.Timeout": lambda s: s.get("/silent", timeout=urllib3.Timeout(20, read=0.2)),
    "urllib3.Timeout, total": lambda s: s.get("/silent", timeout=urllib3.Timeout(0.2)),
    "urllib3.Timeout, enough": lambda s: s.get("/", timeout=urllib3.Timeout(20, connect=None)),
    "time-out within the body": late,
    "time-out of connecting": lambda s: s.session.get(s.black_hole, timeout=(0.2, None)),
    "time-out of 0": lambda s: s.get("/", timeout=0),
    "three time-outs": lambda s: s.get("/", timeout=(1, 2, 3)),
    "time-out that is none": lambda s: s.get("/", timeout="soon"),
    # -- TLS
    "authorities in a file": lambda s: s.session.get(s.https + "/", verify=s.ca_file),
    "authorities in a Path": lambda s: s.session.get(s.https + "/", verify=Path(s.ca_file)),
    "certificate of the client": lambda s: s.session.get(
        s.mutual + "/", verify=s.ca_file, cert=s.chain_and_key
    ),
    "certificate of the client in one file": lambda s: s.session.get(
        s.mutual + "/", verify=s.ca_file, cert=s.own
    ),
    "authorities in a folder": lambda s: s.session.get(s.https + "/", verify=s.ca_folder),
    "wrong folder": lambda s: s.session.get(s.https + "/", verify=s.empty_folder),
    "any certificate": lambda s: s.session.get(s.https + "/", verify=False),
    "unknown authority": lambda s: s.session.get(s.https + "/"),
    "other name": lambda s: s.session.get(s.other_name + "/", verify=s.ca_file),
    "no file": lambda s: s.session.get(s.https + "/", verify="False"),
    "no certificates": lambda s: s.session.get(s.https + "/", verify=__file__),
    "no certificate of the client": lambda s: s.session.get(s.https + "/", cert="missing"),
    "no TLS": lambda s: s.session.get(s.no_tls, verify=s.ca_file),
    "authorities in the environment": lambda s: with_env(
        s, s.https + "/", REQUESTS_CA_BUNDLE=s.ca_file
    ),
    # -- proxies
    "proxy": lambda s: s.get("/json", proxies={"http": s.http}),
    "proxy without a scheme": lambda s: s.get("/json", proxies={"http": s.http[len("http://") :]}),
    "proxy with a login": lambda s: s.get("/json", proxies={"http": login(s)}),
    "proxy with a login, after a redirect": lambda s: s.get("/302", proxies={"http": login(s)}),
    "proxy with a login that is not encoded": lambda s: s.get(
        "/json", proxies={"http": login(s).replace("%40", "@")}
    ),
    "proxy for all": lambda s: s.get("/json", proxies={"all": s.http}),
    "proxy for one host": lambda s: s.get("/json", proxies={"http://127.0.0.1": s.http}),
    "proxy that refuses": lambda s: s.session.get(s.https + "/", proxies={"https": s.http}),
    "proxy in the environment": lambda s: with_env(s, s.http + "/json", http_proxy=s.http),
    "no_proxy": lambda s: with_env(
        s, s.http + "/", http_proxy=f"http://127.0.0.1:{s.refusing}", no_proxy="127.0.0.1"
    ),
    "proxy with TLS": lambda s: s.get("/json", proxies={"http": s.https}, verify=s.ca_file),
    "no proxy there": lambda s: s.get("/", proxies={"http": f"http://127.0.0.1:{s.refusing}"}),
    "no proxy there for https": lambda s: s.session.get(
        s.https, proxies={"https": f"http://127.0.0.1:{s.refusing}"}
    ),
    "proxy that does not let in": lambda s: s.get(
        "/", proxies={"http": s.black_hole}, timeout=(0.2, None)
    ),
    **{
        f"proxy {url!r}": lambda s, url=url: s.get("/", proxies={"http": url})
        for url in ("http:/bad:3128", "http://:8080", "http://", "http:///example.test:8080")
    },
}


def outcome(places, adapter, call):
    """Return what comes of *call*, and what was sent.

    Of an exception that is its class, of a response what a program sees of it.
    """
    playground = places["playground"]
    playground.requests.clear()
    with requests.Session() as session:
        session.trust_env = False
        if adapter is not None:
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter)
        try:
            result = call(Side(session, places))
        except Exception as exc:
            result = type(exc)
    if isinstance(result, requests.Response):
        seen = [result, *result.history]
        result = [
            (one.status_code, one.reason, one.url, list(one.headers.items()), one.content)
            for one in seen
        ]
        result += [one.cookies.get_dict() for one in seen]
    return result, list(playground.requests)


@pytest.fixture(scope="module")
def places(tmp_path_factory, certificate, other_certificate, ca_file):
    """The servers of the calls, and other places that they name."""
    folder = tmp_path_factory.mktemp("places")
    trusted, empty = folder / "trusted", folder / "empty"
    trusted.mkdir()
    empty.mkdir()
    shutil.copy(ca_file, trusted / "ca.pem")
    subprocess.run([program("openssl"), "rehash", trusted], check=True)
    own = folder / "own.pem"
    own.write_bytes(certificate.key.read_bytes() + certificate.chain.read_bytes())
    mutual = certificate.server_context()
    mutual.verify_mode = ssl.CERT_REQUIRED
    mutual.load_verify_locations(ca_file)
    playground = Playground()
    with (
        ScriptedServer(playground) as plain,
        ScriptedServer(playground, certificate.server_context()) as secure,
        ScriptedServer(playground, other_certificate.server_context()) as other,
        ScriptedServer(playground, mutual) as mutually,
        ScriptedServer(playground, host="::1") as ipv6,
        ScriptedServer(without_tls) as no_tls,
        refusing_port() as refusing,
        black_hole() as (host, port),
    ):
        yield {
            "http": f"http://127.0.0.1:{plain.port}",
            "https": f"https://127.0.0.1:{secure.port}",
            "other_name": f"https://127.0.0.1:{other.port}",
            "mutual": f"https://127.0.0.1:{mutually.port}",
            "ipv6": f"http://[::1]:{ipv6.port}",
            "own": str(own),
            "chain_and_key": (str(certificate.chain), str(certificate.key)),
            "black_hole": f"http://{host}:{port}",
            "no_tls": f"https://127.0.0.1:{no_tls.port}",
            "refusing": refusing,
            "ca_file": str(ca_file),
            "ca_folder": str(trusted),
            "empty_folder": str(empty),
            "folder": folder,
            "playground": playground,
        }


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("name", CALLS)
def test_call_has_the_same_outcome_with_both_adapters(places, monkeypatch, name):
    monkeypatch.setattr("urllib3.filepost.choose_boundary", lambda: "boundary")
    monkeypatch.setattr("os.urandom", bytes)  # so that Digest is the same twice
    monkeypatch.setattr("time.ctime", lambda: "now")
    theirs = outcome(places, None, CALLS[name])
    ours = outcome(places, adapter.Adapter(), CALLS[name])

    assert ours[1] == theirs[1]
    if isinstance(theirs[0], type):
        assert issubclass(ours[0], theirs[0])
    else:
        assert ours[0] == theirs[0]


@pytest.fixture
def side(places):
    """A session with the adapter for this library."""
    places["playground"].requests.clear()
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", adapter.Adapter())
        yield Side(session, places)


@pytest.mark.filterwarnings("ignore::requests.exceptions.FileModeWarning")
def test_what_is_not_the_same(side):
    """All the differences that the adapter has for a reason."""
    sent = side.playground.requests
    assert side.put("/echo", io.StringIO("häh")).content == "häh".encode()  # requests counts 3
    assert b"Content-Length: 4" in sent[-1][1]
    assert side.put_file("r").content == b"text of a file"
    assert b"Transfer-Encoding: chunked" in sent[-1][1]
    side.get("/", headers={"User-Agent": None})  # urllib3 sends its own name then
    assert not [line for line in sent[-1][1] if line.startswith(b"User-Agent")]
    with side.get("/hints") as response:  # http.client takes 103 for the response
        assert (response.status_code, response.text) == (200, "ok")
    with pytest.raises(requests.ConnectionError, match="Content-Length"):
        side.get("/two-lengths")  # which is InvalidHeader, as for a field of the request
    assert side.raw("/1.0").version_string == "HTTP/1.0"
    with pytest.raises(requests.exceptions.ProxyError, match="certificate"):
        side.get("/", proxies={"http": side.https})  # as it is for https


@pytest.mark.parametrize("field", [("X", "1\r\nY: 2"), ("a b", "1"), ("X", b"\0"), ("Host", "a b")])
def test_field_that_was_not_checked_by_requests_is_refused(side, field):
    request = requests.Request("GET", side.http + "/").prepare()
    request.headers[field[0]] = field[1]
    with pytest.raises(requests.exceptions.InvalidHeader) as caught:
        side.session.send(request)
    assert caught.value.request is request
    assert isinstance(caught.value, ValueError)
    assert not side.playground.requests


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://a b/", "socks5://%0@127.0.0.1"])
def test_proxy_that_cannot_be_is_its_own_error(side, url):
    with pytest.raises(requests.exceptions.InvalidProxyURL):
        side.get("/", proxies={"http": url})


@pytest.mark.parametrize(
    "place", ["127.0.0.1:99999", "a b:1", "[::1:8", "127.0.0.1:x", "%zz:1"], ids=repr
)
def test_the_password_of_a_proxy_is_in_no_message(place):
    with requests.Session() as session:
        session.mount("http://", adapter.Adapter())
        for url in (f"http://me:secret@{place}", f"me:secret@{place}"):
            with pytest.raises(requests.RequestException) as caught:
                session.get("http://example.org/", proxies={"http": url})
            exc = caught.value
            while exc is not None:
                assert "secret" not in f"{exc} {exc!r}"
                exc = exc.__cause__ or exc.__context__


def test_a_wrong_type_is_named():
    with requests.Session() as session:
        session.mount("https://", adapter.Adapter())
        for name, value in (("verify", ["a"]), ("cert", {"a": 1})):
            with pytest.raises(TypeError, match=name):
                session.get("https://example.org/", **{name: value})


def test_session_is_pickled_with_the_adapter(side):
    side.session.adapters["http://"].name = "kept"
    assert side.get("/cookies").ok
    with pickle.loads(pickle.dumps(side.session)) as session:
        copy = session.get_adapter(side.http)
        assert copy is not side.session.get_adapter(side.http)
        assert copy.name == "kept"
        assert session.get(side.http).text == side.get("/").text == "ok"
        assert session.cookies.get_dict() == {"a": "1", "b": "2"}


def test_time_in_total_includes_connecting(side, monkeypatch):
    """The clock of urllib3 says that connecting took 5 of 8 seconds, or all of them."""
    timeouts = []
    real = adapter.Timeouts
    monkeypatch.setattr(
        adapter, "Timeouts", lambda **limits: timeouts.append(limits) or real(**limits)
    )
    monkeypatch.setattr(urllib3.Timeout, "get_connect_duration", lambda self: 5.0)
    for limits, connect, rest in [
        (urllib3.Timeout(8), 8, 3),
        (urllib3.Timeout(8, connect=6, read=2), 6, 2),
        (urllib3.Timeout(connect=None, read=7), None, 7),
    ]:
        assert side.get("/", timeout=limits).ok
        assert timeouts[-2]["connect"] == connect
        assert timeouts[-1] == {"connect": rest, "read": rest, "write": rest}
    with pytest.raises(requests.ReadTimeout, match="4 s went on connecting"):
        side.get("/", timeout=urllib3.Timeout(4))


def test_one_time_limit_object_serves_many_requests(side):
    """It is not changed, so it may be used again, also by other threads."""
    limits = urllib3.Timeout(20)
    for _ in range(3):
        assert side.get("/", timeout=limits).ok
    with pytest.raises(urllib3.exceptions.TimeoutStateError):
        limits.get_connect_duration()


def test_authorities_are_read_once(side, monkeypatch):
    made = []
    real = adapter.context_for
    monkeypatch.setattr(adapter, "context_for", lambda *given: made.append(given) or real(*given))
    side.session.mount("https://", adapter.Adapter())
    for _ in range(2):
        response = side.session.get(
            side.https + "/closing", verify=side.ca_file, headers={"Connection": "close"}
        )
        assert response.text == "bye"
    assert made == [(side.ca_file, None)]


def test_connection_is_closed_if_its_session_is(side):
    """Also if that was busy; and the session can be used again."""
    response = side.get("/big", stream=True)
    side.session.close()
    before = open_descriptors()
    assert response.content == pattern(100_000)
    wait_until(lambda: open_descriptors() < before)
    assert side.get("/").text == "ok"


def test_threads_may_share_a_session(side):
    def work():
        for number in range(30):
            path = ("/big", "/", "/json", "/closing")[number % 4]
            contents[path].add(side.get(path).content)

    contents = defaultdict(set)
    with ThreadPoolExecutor() as executor:
        for done in [executor.submit(work) for _ in range(8)]:
            done.result()
    assert [len(seen) for seen in contents.values()] == [1] * 4


# ---- by itself


@pytest.fixture
def session(ca_file):
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(ca_file)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter.Adapter())
        yield session


def test_errors_name_the_request(session):
    with ScriptedServer(lambda sock: read_head(sock) and sock.sendall(b"hello\r\n\r\n")) as server:
        url = f"http://127.0.0.1:{server.port}/a?b"
        named = f"GET {url}: not a status line"
        with pytest.raises(requests.ConnectionError, match=re.escape(named)) as caught:
            session.get(url.replace("//", "//me:sesame@"))
        assert "sesame" not in repr(caught.value)


class Starting:
    """A stream that has nothing when it is read first; then a thread begins to feed it."""

    def __init__(self, stream, feed):
        self._stream, self._feed = stream, feed

    def __iter__(self):  # or requests would not take it for a stream
        raise AssertionError("it is read")

    def fileno(self):
        return self._stream.fileno()

    def read(self, size):
        if self._feed.ident is None:
            try:
                if not os.get_blocking(self.fileno()):
                    return self._stream.read(size)
            finally:
                self._feed.start()
        return self._stream.read(size)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("buffering", [0, 8192])
def test_requests_sends_a_pipe_to_its_end(session, start, buffering, blocks):
    server = start("granian")
    with pipe(reader_blocks=blocks) as (reader, writer):
        feed = Feed(writer, pattern(SIZE))
        body = os.fdopen(reader, "rb", buffering, closefd=False)
        try:
            seen = session.put(
                f"http://localhost:{server.port}/upload", Starting(body, feed)
            ).json()
        finally:
            feed.join()
    assert seen["sha256"] == hashlib.sha256(pattern(SIZE)).hexdigest()


def test_requests_sends_a_text_stream(session, start):
    server = start("granian")
    seen = session.put(f"http://localhost:{server.port}/upload", io.StringIO("a" * SIZE)).json()
    assert seen["sha256"] == hashlib.sha256(b"a" * SIZE).hexdigest()


def test_requests_sends_fields_and_empty_bodies_as_with_urllib3(session):
    record = Recording()
    with ScriptedServer(record) as server, requests.Session() as theirs:
        theirs.trust_env = False
        url = f"http://127.0.0.1:{server.port}/"
        fields = {"X-Raw": b"\xff", "X-Text": "\xe4", "Cookie": "a=1; b=2", "TE": "trailers",
                  "Connection": "TE"}  # fmt: skip
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            for options in ({"headers": fields}, {}, {"data": b""}, {"data": ""}, {"data": b"body"},
                            {"data": [b"", b"a", b""]}, {"data": [b""]}):  # fmt: skip
                seen = []
                for client in (theirs, session):
                    given = dict(options)
                    if isinstance(given.get("data"), list):
                        given["data"] = iter(given["data"])
                    assert client.request(method, url, **given).status_code == 200
                    seen.append(record.last())
                assert seen[0] == seen[1]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_requests_and_bodies_with_requests(session, start, tls):
    server = start("granian", tls=tls)
    base = f"{'https' if tls else 'http'}://localhost:{server.port}"

    response = session.get(f"{base}/bytes/{SIZE}")
    assert (response.status_code, response.reason, response.content) == (200, "OK", pattern(SIZE))
    assert session.get(f"{base}/chunked/{SIZE}").content == pattern(SIZE)
    assert session.head(f"{base}/bytes/5").headers["content-length"] == "5"
    wanted = hashlib.sha256(pattern(SIZE)).hexdigest()
    for data in (pattern(SIZE), io.BytesIO(pattern(SIZE)), iter([pattern(SIZE)])):
        assert session.put(f"{base}/upload", data=data).json()["sha256"] == wanted
    with session.get(f"{base}/bytes/{SIZE}", stream=True) as response:
        assert next(response.iter_content(1000)) == pattern(1000)
    assert session.put(f"{base}/upload", data={"a": "b"}).json()["length"] == 3


def test_requests_follows_redirects_with_cookies_and_decodes(session):
    with ScriptedServer(wandering) as server:
        base = f"http://127.0.0.1:{server.port}"
        response = session.get(f"{base}/start")
        assert (response.text, len(response.history)) == ("1", 1)
        assert session.cookies.get_dict() == {"a": "b", "c": "d"}
        assert session.get(f"{base}/gzip").text == "hello" * 100
        assert session.put(f"{base}/refuse", data=iter([bytes(1 << 20)] * 50)).status_code == 413


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/silent", requests.exceptions.ReadTimeout),
        ("/short", requests.exceptions.ChunkedEncodingError),
        ("/junk", requests.exceptions.ConnectionError),
    ],
)
def test_requests_gets_its_own_errors(session, path, error):
    with ScriptedServer(wandering) as server, pytest.raises(error):
        session.get(
            f"http://127.0.0.1:{server.port}{path}", timeout=0.3 if path == "/silent" else 20
        )


def test_requests_cannot_connect(session, issue):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    certificate = issue("other.test")
    with ScriptedServer(wandering, certificate.server_context()) as server:
        url = f"https://127.0.0.1:{server.port}/end"
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url)
        assert session.get(url, verify=False).text == "0"


def test_requests_connects_in_time(session):
    with black_hole() as (host, port), pytest.raises(requests.exceptions.ConnectTimeout):
        session.get(f"http://{host}:{port}/", timeout=(0.1, 20))


def test_requests_waits_for_each_phase_as_long_as_it_may(session):
    with ScriptedServer(mute) as server:
        url = f"http://127.0.0.1:{server.port}/"
        as_given = r"(?s) within 0.2 s \(timeout=\(0.2, 20\)\)"
        with pytest.raises(requests.exceptions.ConnectTimeout, match=as_given):
            session.get(url.replace("http", "https"), timeout=(0.2, 20))
        as_given = r" for 0.2 s \(timeout=\(20, 0.2\)\)"
        with pytest.raises(requests.exceptions.ReadTimeout, match=as_given):
            session.get(url, timeout=(20, 0.2))
        proxies = {"https": url}
        with pytest.raises(requests.exceptions.ConnectTimeout):
            session.get("https://localhost/", timeout=(0.2, None), proxies=proxies)
    with ScriptedServer(deaf) as server, pytest.raises(requests.exceptions.ReadTimeout):
        pieces = iter([bytes(1 << 20)] * 30)
        session.put(f"http://127.0.0.1:{server.port}/", data=pieces, timeout=(20, 0.2))
    with ScriptedServer(slow) as server:
        url = f"http://127.0.0.1:{server.port}/"
        assert session.get(url, timeout=(0.2, None)).text == "ok"


def test_requests_names_the_request_whose_body_stops(session, monkeypatch):
    """As errors in front of the body, and not a pool of urllib3, which there is none of."""
    now = [time.monotonic()]
    step = 0

    def monotonic():
        now[0] += step
        return now[0]

    def pass_quickly(response, *args, **options):  # its head has come, however long that took
        nonlocal step
        step = 100

    def stopping(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        mute(sock)

    monkeypatch.setattr(time, "monotonic", monotonic)
    hooks = {"response": pass_quickly}
    with ScriptedServer(stopping) as server:
        url = f"http://127.0.0.1:{server.port}/"
        line = f"GET {url}: nothing more of the body arrived for 60 s (timeout=(20, 60))"
        with pytest.raises(requests.exceptions.ConnectionError) as caught:
            session.get(url, timeout=(20, 60), hooks=hooks)
        assert str(caught.value).startswith(line)
        step = 0
        response = session.get(url, timeout=(20, 60), stream=True, hooks=hooks)
        with pytest.raises(urllib3.exceptions.ReadTimeoutError) as caught:
            response.raw.read(100)
        assert str(caught.value).startswith(line)
        response.close()


def test_requests_shows_time_limits_as_they_were_given():
    timeout = urllib3.Timeout
    cases = {
        "timeout=5": 5,
        "timeout=(3, None)": (3, None),
        "timeout=Timeout(connect=2, read=7.5)": timeout(connect=2, read=7.5),
        "timeout=Timeout(total=9)": timeout(9),
        "timeout=Timeout(total=9, connect=2)": timeout(9, connect=2),
        "timeout=Timeout(total=9, read=3)": timeout(9, read=3),
    }
    request = requests.Request("GET", "http://a.test/").prepare()
    for expected, given in cases.items():
        sending = adapter.Sending(request, given, frozenset())
        conn = adapter.HTTPConnection("a.test", transport=ScriptedTransport([]))
        run(sending.co_connect(conn))
        assert sending.timeouts.to_reach.given == expected
        if given != (3, None):
            assert conn.timeout.to_read.given == expected
            assert len(str(conn.timeout.to_read.seconds)) <= len("8.999")


@pytest.mark.parametrize("cert", [5, ("a", "b", "c", "d"), ("a",)])
def test_requests_names_a_certificate_that_is_none(session, cert):
    with pytest.raises(TypeError, match="^cert is a path, or a tuple"):
        session.get("https://localhost/", cert=cert)


def test_requests_goes_through_a_proxy_to_https(session, start, proxy):
    server = start("granian", tls=True)
    proxies = {"https": f"http://127.0.0.1:{proxy.port}"}
    response = session.get(f"https://localhost:{server.port}/bytes/1000", proxies=proxies)
    assert response.content == pattern(1000)
    with pytest.raises(requests.exceptions.ProxyError, match="418"):
        session.get("https://refused.test/", proxies=proxies)


def test_requests_goes_through_a_proxy(session, start, proxy):
    server = start("granian")
    proxies = {"http": f"http://127.0.0.1:{proxy.port}"}
    response = session.get(f"http://127.0.0.1:{server.port}/bytes/1000", proxies=proxies)
    assert response.content == pattern(1000)
    assert json.dumps(response.headers["Content-Length"]) == '"1000"'


@pytest.mark.parametrize("missing", ["requests", "urllib3"])
def test_missing_package_is_reported_with_its_extra(missing):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "try: import dugong_like.adapters.requests\n"
        "except ModuleNotFoundError as exc: print(exc.name, exc)"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed.startswith(f"{missing} dugong_like.adapters.requests needs requests")
    assert "dugong-like[requests]" in printed
