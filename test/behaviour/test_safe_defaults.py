"""The rules of doc/safety.rst that concern several parts of a client at once, with its defaults.

Not here: rules of one part only, which are tests of that part.
"""

import itertools
import socket
import time

import pytest
from kit.support import ScriptedServer, answering, read_exactly, read_head

from dugong_like import (
    AddressForbidden,
    Client,
    ConnectFailed,
    ConnectionClosed,
    MockDispatcher,
    NetRCAuth,
    PublicOnly,
    Response,
    Retry,
    StatusError,
    Timeouts,
)
from dugong_like.client.api import default_client

HERE = "https://a.test/"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def failing(exc):
    mock = MockDispatcher()
    mock.add().fail(exc)
    return mock


def fields(mock, name):
    return [call.request.headers.get(name) for call in mock.calls]


def test_login_of_a_client_stays_with_the_origin_of_the_request():
    places = [HERE, "https://a.test/next", "https://b.test/", "https://a.test/again"]
    mock = MockDispatcher()
    for place, following in itertools.pairwise(places):
        mock.add(url=place).reply(302, {"Location": following})
    mock.add()
    Client(dispatcher=mock, auth=("u", "p")).get(HERE)

    assert [str(call.url) for call in mock.calls] == places
    assert fields(mock, "authorization") == ["Basic dTpw", "Basic dTpw", None, None]


def test_login_of_the_base_url_is_for_its_origin():
    mock = MockDispatcher()
    mock.add()
    client = Client(dispatcher=mock, base_url="https://u:p@a.test/api/")
    for url in ("items", "https://a.test/", "https://b.test/", "https://a.test:444/"):
        client.get(url)

    assert fields(mock, "authorization") == ["Basic dTpw", "Basic dTpw", None, None]
    assert "u:p" not in str(mock.calls[0].url)


def test_netrc_is_read_on_request_only(tmp_path, monkeypatch):
    file = tmp_path / "netrc"
    file.write_text("machine a.test login u password p\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    mock = MockDispatcher()
    mock.add()
    Client(dispatcher=mock).get(HERE)
    Client(dispatcher=mock, auth=NetRCAuth(str(file))).get(HERE)

    assert fields(mock, "authorization") == [None, "Basic dTpw"]


def test_functions_without_a_client_keep_no_cookies():
    heads = []

    def handler(sock):
        heads.append(read_head(sock))
        sock.sendall(LAST.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))

    with ScriptedServer(handler) as server:
        for _ in range(2):
            default_client().get(f"http://127.0.0.1:{server.port}/")
    assert [b"cookie" in head.lower() for head in heads] == [False, False]


FAILURES = [ConnectFailed("no"), ConnectionClosed("no", request_sent="maybe")]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda exc: type(exc).__name__)
def test_no_failure_is_repeated_without_being_asked(failure):
    mock = failing(failure)
    with pytest.raises(type(failure)):
        Client(dispatcher=mock).get(HERE)
    assert len(mock.calls) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_no_status_is_repeated_without_being_asked(status):
    mock = MockDispatcher(lambda request: Response(status, {"Retry-After": "0"}))
    assert Client(dispatcher=mock).get(HERE).status_code == status
    assert len(mock.calls) == 1


@pytest.mark.parametrize(
    ("method", "failure", "repeated"),
    [
        ("GET", {"request_sent": "maybe"}, True),
        ("PUT", {"request_sent": "maybe"}, True),
        ("POST", {"request_sent": "maybe"}, False),
        ("PATCH", {"request_sent": "yes"}, False),
        ("POST", {"request_sent": "no"}, True),
    ],
)
def test_retry_repeats_a_failure_if_that_does_no_harm(method, failure, repeated):
    mock = failing(ConnectionClosed("no", **failure))
    with pytest.raises(ConnectionClosed):
        Client(dispatcher=mock, retry=Retry(2, backoff=0)).request(method, HERE)
    assert len(mock.calls) == (3 if repeated else 1)


@pytest.mark.parametrize(("method", "calls"), [("GET", 4), ("DELETE", 4), ("POST", 1)])
def test_retry_repeats_a_status_of_idempotent_methods(method, calls):
    mock = MockDispatcher(lambda request: Response(503))
    client = Client(dispatcher=mock, retry=Retry(backoff=0))
    assert client.request(method, HERE).status_code == 503
    assert len(mock.calls) == calls


def test_retry_waits_no_longer_than_it_may():
    mock = MockDispatcher(lambda request: Response(503, {"Retry-After": "61"}))
    client = Client(dispatcher=mock, retry=Retry(backoff=0))
    assert client.get(HERE).status_code == 503  # 60 seconds are the most
    retry = Retry(backoff=0, max_wait=3600)
    assert client.get(HERE, retry=retry, timeout=Timeouts(total=20)).status_code == 503
    assert len(mock.calls) == 2


def test_retry_has_a_budget():
    mock = MockDispatcher(lambda request: Response(503))
    client = Client(dispatcher=mock, retry=Retry(total=1, backoff=0, budget=0.2))
    for _ in range(100):
        client.get(HERE)
    assert 100 + 20 <= len(mock.calls) <= 100 + 10 + 20 + 1  # ten at first, then one in five


def test_body_that_can_be_read_once_is_sent_once():
    chunks = b"4\r\nonce\r\n0\r\n\r\n"

    def handler(sock):
        while read_head(sock) and read_exactly(sock, len(chunks)) == chunks:
            sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    with ScriptedServer(handler) as server, Client(retry=Retry(backoff=0)) as client:
        response = client.put(f"http://127.0.0.1:{server.port}/", content=iter([b"once"]))
    assert (response.status_code, response.attempts) == (503, 1)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "[::1]", "[::]", "[fe80::1]", "[fc00::1]"),
        *("[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
    ],
)
def test_guard_refuses_addresses_that_are_not_public(host):
    with Client(guard=PublicOnly()) as client, pytest.raises(AddressForbidden) as caught:
        client.get(f"http://{host}/")
    assert (caught.value.request_sent, caught.value.retryable) == ("no", False)


def test_guard_refuses_names_that_lead_to_this_machine():
    with Client(guard=PublicOnly()) as client, pytest.raises(AddressForbidden):
        client.get("http://localhost:1/")


def test_guard_refuses_redirects():
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:1/\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(answering(answer)) as server:
        with Client(guard=PublicOnly(["127.0.0.1/32"])) as client:
            with pytest.raises(AddressForbidden, match=r"127\.0\.0\.2"):
                client.get(f"http://127.0.0.1:{server.port}/")


def test_guard_is_asked_at_each_connection():
    addresses = ["127.0.0.1", "127.0.0.2"]

    def resolver(host, port):
        return [(socket.AF_INET, (addresses.pop(0), port))]

    with ScriptedServer(answering(LAST)) as server:
        with Client(guard=PublicOnly(["127.0.0.1/32"]), resolver=resolver) as client:
            place = f"http://rebound.test:{server.port}/"
            assert client.get(place).content == b"ok"
            with pytest.raises(AddressForbidden, match=r"127\.0\.0\.2"):
                client.get(place)
    assert server.connections == 1


def test_guard_uses_no_proxy_of_the_environment(monkeypatch):
    with ScriptedServer(answering(OK)) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        with Client(guard=PublicOnly()) as client, pytest.raises(AddressForbidden):
            client.get("http://127.0.0.1:1/")
    assert server.connections == 0


def test_time_limits_by_default():
    request = Client(dispatcher=MockDispatcher()).build_request("GET", HERE)
    limits = request.timeouts
    assert (limits.connect, limits.pool, limits.head, limits.stall) == (10, 30, 300, 60)
    assert request.total is None


def test_total_time_covers_pauses_between_attempts():
    mock = MockDispatcher(lambda request: Response(503))
    client = Client(dispatcher=mock, retry=Retry(total=100, backoff=30, jitter=False))
    begun_at = time.monotonic()
    assert client.get(HERE, timeout=Timeouts(total=20)).status_code == 503
    assert time.monotonic() - begun_at < 20
    assert len(mock.calls) == 1


def test_secrets_of_a_url_are_not_in_errors():
    mock = MockDispatcher(lambda request: Response(500))
    client = Client(dispatcher=mock)
    with pytest.raises(StatusError) as caught:
        client.get("https://u:sesame@a.test/?token=open").raise_for_status()
    assert "sesame" not in str(caught.value)
    assert "open" not in str(caught.value)
