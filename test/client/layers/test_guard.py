"""The guard: which addresses are public, and every way to connect asks about them."""

import socket
import threading
from ipaddress import ip_address

import pytest
from kit.cases import each_case
from kit.sending import Sends, arriving, request_to
from kit.support import ScriptedServer, answering, read_head

from dugong_like import (
    AddressForbidden,
    Client,
    InvalidOption,
    MockDispatcher,
    PublicOnly,
    Retry,
    run,
)
from dugong_like.client.layers.guard import GuardLayer, guarded

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FORBIDDEN = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::8.8.8.8", "::ffff:0:8.8.8.8", "100::1", "2001:db8::1", "3fff::1", "5f00::1"),
    *("fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1", "2001:10::1"),
    # They contain an IPv4 address: mapped, 6to4, Teredo (server and client), NAT64.
    *(
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2002:a9fe:a9fe::1",
    ),
    *("2001:0:7f00:1::1", "2001:0:808:808::1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe"),
    "64:ff9b:1::8.8.8.8",
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1"),
    *("198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1", "2400::1"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
]


@each_case("address", FORBIDDEN)
def test_addresses_that_are_not_public(address):
    assert not PublicOnly()("host.test", ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are_public(address):
    assert PublicOnly()("host.test", ip_address(address))


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("64:ff9b::10.1.2.3", True),
        ("10.2.0.1", False),
        ("fd00::1", True),
        ("fd01::1", False),
        ("8.8.8.8", True),
    ],
)
def test_networks_that_are_allowed_all_the_same(address, is_allowed):
    guard = PublicOnly(["10.1.0.0/16", "fd00::/16"])
    assert guard("host.test", ip_address(address)) is is_allowed


@pytest.mark.parametrize(
    ("allowed", "error"), [("10.0.0.0/8", TypeError), (["10.0.0"], ValueError), (1, TypeError)]
)
def test_wrong_arguments(allowed, error):
    with pytest.raises(error):
        PublicOnly(allowed)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "[64:ff9b::7f00:1]"),
        *("localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1"),
    ],
)
def test_hosts_that_lead_to_this_machine(host):
    with Client(guard=PublicOnly(), timeout=20) as client:
        with pytest.raises(AddressForbidden, match="guard does not allow") as caught:
            client.get(f"http://{host}:9/x?token=secret")
        assert caught.value.request.method == "GET"
        assert f"http://{host}:9" in str(caught.value)
        assert caught.value.request_sent == "no"
        assert not caught.value.retryable
        assert "secret" not in str(caught.value)
        assert all(each.busy == 0 for each in client.stats().values())


def resolver_to(*addresses):
    """Return a resolver that gives one of *addresses* after the other, then the last again."""
    left = list(addresses)

    def resolve(host, port):
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, (address, port))]

    return resolve


def test_resolver_of_the_caller_is_asked_first():
    with Client(guard=PublicOnly(), resolver=resolver_to("10.0.0.1")) as client:
        with pytest.raises(AddressForbidden, match=r"http://evil\.test.*10\.0\.0\.1"):
            client.get("http://evil.test/")

    def co_resolver(host, port):
        return [(socket.AF_INET6, ("fd00::1", port, 0, 0))]
        yield

    with pytest.raises(AddressForbidden, match="fd00::1"):
        run(guarded(PublicOnly(), co_resolver)("evil.test", 80))


def test_one_forbidden_address_forbids_all():
    both = [(socket.AF_INET, ("8.8.8.8", 80)), (socket.AF_INET, ("127.0.0.1", 80))]
    with pytest.raises(AddressForbidden):
        run(guarded(PublicOnly(), lambda host, port: both)("evil.test", 80))


def test_guard_of_the_caller_gets_host_and_address():
    seen = []

    def guard(host, address):
        seen.append((host, address))
        return True

    with ScriptedServer(answering(OK)) as server:
        with Client(guard=guard, resolver=resolver_to("127.0.0.1")) as client:
            assert client.get(f"http://a.test:{server.port}/").content == b"ok"
    assert seen == [("a.test", ip_address("127.0.0.1"))]


@pytest.mark.parametrize("target", ["http://127.0.0.2:{}/", "http://inner.test:{}/"])
def test_redirect_to_a_private_address(target):
    allowed = PublicOnly(["127.0.0.1"])
    addresses = {"outer.test": "127.0.0.1", "inner.test": "127.0.0.2"}

    def resolve(host, port):
        return [(socket.AF_INET, (addresses[host], port))]

    def handler(sock):
        read_head(sock)
        place = target.format(server.port)
        sock.sendall(f"HTTP/1.1 302 F\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode())

    server = ScriptedServer(handler)
    with server, Client(guard=allowed, resolver=resolve) as client:
        with pytest.raises(AddressForbidden) as caught:
            client.get(f"http://outer.test:{server.port}/")
        assert caught.value.response.status_code == 302
        assert server.connections == 1


@pytest.mark.parametrize("retry", [None, Retry(backoff=0)])
def test_name_that_leads_elsewhere_the_next_time(retry):
    closed = threading.Event()

    def handler(sock):
        read_head(sock)
        sock.sendall(OK)
        sock.close()
        closed.set()

    guard = PublicOnly(["127.0.0.1"])
    resolve = resolver_to("127.0.0.1", "127.0.0.2")
    with ScriptedServer(handler) as server, Client(guard=guard, resolver=resolve) as client:
        place = f"http://rebinding.test:{server.port}/"
        if retry is not None:
            client = Client(guard=guard, resolver=resolve, retry=retry)
        assert client.get(place).content == b"ok"
        assert closed.wait(20)
        for _ in range(2):  # the kept connection is connected anew, then another one is made
            with pytest.raises(AddressForbidden, match=r"127\.0\.0\.2"):
                client.get(place)
        assert server.connections == 1
        client.close()


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with ScriptedServer(answering(OK)) as server:
        with Client(guard=PublicOnly(["127.0.0.1"])) as client:
            assert client.get(f"http://127.0.0.1:{server.port}/").content == b"ok"


@pytest.mark.parametrize(
    "options",
    [
        {"proxy": "http://127.0.0.1:9"},
        {"uds": "/tmp/x"},
        {"dispatcher": MockDispatcher()},
        {"mounts": {"http://": MockDispatcher()}},
    ],
)
def test_ways_that_the_guard_does_not_see_are_refused(options):
    with pytest.raises(InvalidOption, match="guard"):
        Client(guard=PublicOnly(), **options)


def test_layer_lets_names_pass():
    sends = Sends(arriving(), arriving())
    layer = GuardLayer(PublicOnly())
    for url in ("http://localhost/", "http://8.8.8.8/"):
        assert run(layer(request_to(url), sends)).status_code == 200
    with pytest.raises(AddressForbidden):
        run(layer(request_to("http://[fe80::1]/"), sends))
    assert len(sends.requests) == 2
