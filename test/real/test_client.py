"""The client at real servers: TLS, certificates, proxies, and where it connects from."""

import asyncio

import pytest
import trustme
from kit import servers
from kit.support import ScriptedServer, answering, pattern, read_head

from dugong_like import (
    AsyncClient,
    CertificateInvalid,
    Client,
    DugongError,
    Headers,
    InvalidOption,
    MockDispatcher,
    Response,
    SocketOptions,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("client")


@pytest.fixture(scope="module")
def ports(folder, ca_file, certificate, issue):
    with servers.routes(
        folder, ca_file, certificate, issue("one.test"), issue("two.test")
    ) as ports:
        yield ports


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def fetch(client, url):
    """Fetch *url* blocking and on asyncio, by the same connections."""

    async def main():
        return await AsyncClient(client=client).get(url)

    response = client.get(url)
    assert asyncio.run(main()).content == response.content
    return response


@pytest.mark.feature("D12", "E10")
@pytest.mark.parametrize("name", ["uvicorn-h11", "nginx", "haproxy", "granian"])
def test_authorities_of_the_callers_choice(start, ca_file, name):
    url = f"https://localhost:{start(name, tls=True).port}/bytes/70000"
    with Client(verify=str(ca_file)) as client:
        assert fetch(client, url).content == pattern(70000)
        assert client.get(url).connection.tls_version in {"TLSv1.2", "TLSv1.3"}
        assert next(iter(client.stats().values())).opened == 1


@pytest.mark.feature("E39")
@pytest.mark.parametrize("name", ["uvicorn-h11", "nginx", "haproxy", "granian"])
def test_server_sent_events(start, trusting, name):
    url = f"https://localhost:{start(name, tls=True).port}/events/12"
    expected = [(str(number), f"event {number}") for number in range(1, 13)]

    async def main():
        events = AsyncClient(client=client).sse(url)
        return [(event.id, event.data) async for event in events]

    with Client(ssl_context=trusting) as client:
        assert [(event.id, event.data) for event in client.sse(url)] == expected
        assert asyncio.run(main()) == expected
        assert next(iter(client.stats().values())).opened == 1


@pytest.mark.feature("D14", "E10", "D40")
def test_certificates_are_checked_unless_that_is_switched_off(start):
    url = f"https://localhost:{start('uvicorn-h11', tls=True).port}/bytes/10"
    with Client() as client, pytest.raises(CertificateInvalid, match="GET https://localhost"):
        client.get(url)
    with Client(verify=False) as client:
        assert client.get(url).content == pattern(10)
    with Client() as client, pytest.raises(CertificateInvalid):
        client.get(url)  # nothing was remembered


@pytest.mark.feature("D13")
@pytest.mark.parametrize("as_pair", [False, True])
def test_client_certificate(ports, ca, ca_file, folder, as_pair):
    someone = ca.issue_cert("someone@example.org", common_name="someone")
    chain, key, both = (folder / f"{part}-{as_pair}.pem" for part in ("chain", "key", "both"))
    chain.write_bytes(b"".join(blob.bytes() for blob in someone.cert_chain_pems))
    key.write_bytes(someone.private_key_pem.bytes())
    both.write_bytes(key.read_bytes() + chain.read_bytes())
    cert = (str(chain), str(key)) if as_pair else str(both)
    with Client(verify=str(ca_file), cert=cert) as client:
        assert client.get(f"https://localhost:{ports['TLSv1.3']}/").content.startswith(
            b"CN=someone"
        )


@pytest.mark.feature("E5", "E19")
def test_context_of_the_caller(start, trusting):
    url = f"https://localhost:{start('uvicorn-h11', tls=True).port}/bytes/10"
    before = trusting.options, trusting.verify_mode
    with Client(ssl_context=trusting) as client:
        assert fetch(client, url).content == pattern(10)
    assert (trusting.options, trusting.verify_mode) == before
    for options in ({"verify": False}, {"cert": "x"}):
        with pytest.raises(InvalidOption, match="ssl_context"):
            Client(ssl_context=trusting, **options)


@pytest.mark.feature("D30", "E15", "D20", "E33")
@pytest.mark.parametrize("tls", [False, True])
def test_proxies_by_argument_and_by_the_environment(start, proxy, ca_file, tls, monkeypatch):
    scheme = "https" if tls else "http"
    url = f"{scheme}://localhost:{start('uvicorn-h11', tls=tls).port}/bytes/1000"
    address = f"http://127.0.0.1:{proxy.port}"

    def peers(**options):
        with Client(verify=str(ca_file), **options) as client:
            response = fetch(client, url)
            assert response.content == pattern(1000)
            return response.connection.get_extra_info("server_addr")[1] == proxy.port

    assert peers(proxy=address)
    assert peers(proxy={f"{scheme}://": address})
    assert peers(proxy={"all://": address})
    assert not peers(proxy={f"{scheme}://": None, "all://": address})
    monkeypatch.setenv(f"{scheme}_proxy", address)
    monkeypatch.setenv("no_proxy", "")
    assert peers()
    assert not peers(trust_env=False)
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.0/8")
    assert not peers()


@pytest.mark.feature("D31")
def test_address_to_connect_from():
    for address in ("127.0.0.9", ("127.0.0.9", 0)):
        with (
            ScriptedServer(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as server,
            Client(local_address=address) as client,
        ):
            response = client.get(f"http://127.0.0.1:{server.port}/")
            assert response.connection.get_extra_info("client_addr")[0] == "127.0.0.9"
    with pytest.raises(InvalidOption, match="local_address"):
        Client(local_address="127.0.0.9", socket_options=SocketOptions())


@pytest.mark.feature("D1", "C22")
def test_unix_domain_socket(ports, folder):
    with Client(uds=str(folder / "http")) as client:
        assert fetch(client, "http://localhost/bytes/1024").content == pattern(1024)


@pytest.mark.feature("E7")
def test_international_names_are_looked_up_in_ascii():
    asked = []

    def resolver(host, port):
        asked.append(host)
        raise LookupError("not here")

    with Client(resolver=resolver) as client:
        for url in ("http://b\xfccher.test/", "http://xn--bcher-kva.test/"):
            with pytest.raises((LookupError, DugongError)):
                client.get(url)
    assert set(asked) == {"xn--bcher-kva.test"}


@pytest.mark.feature("D38", "E28")
def test_response_of_a_dispatcher_of_the_callers_own():
    from http import HTTPStatus

    with Client(dispatcher=MockDispatcher(lambda request: Response(HTTPStatus.CREATED))) as client:
        assert client.get("http://a.test/").status_code == HTTPStatus.CREATED == 201


@pytest.mark.feature("E26", "D36")
def test_fields_of_a_response_and_cookies_of_the_standard_library():
    from http.cookiejar import CookieJar

    answer = b"HTTP/1.1 200 OK\r\nVary: a\r\nvary: b, c\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(answering(answer)) as server, Client() as client:
        headers = client.get(f"http://127.0.0.1:{server.port}/").headers
    assert headers["VARY"] == "a, b, c"
    assert headers.get_list("vary") == ["a", "b, c"]
    assert headers.get_list("vary", split_commas=True) == ["a", "b", "c"]
    assert headers.raw[0] == (b"Vary", b"a")
    client.cookies.update(CookieJar())
    assert len(client.cookies) == 0


@pytest.mark.feature("E26")
def test_field_values_in_another_encoding():
    seen = []
    answer = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /\r\nX-Name: é日\r\n\r\n"

    def handler(sock):
        for _ in range(3):
            seen.append(read_head(sock))
            sock.sendall(answer.encode())

    name = Headers({"X-Name": "é日"}, encoding="utf-8")
    with ScriptedServer(handler) as server, Client(headers=name, max_redirects=0) as client:
        client.headers["X-Other"] = "ü"  # of the client, which are read as they were given
        for headers in (None, name):
            response = client.get(
                f"http://127.0.0.1:{server.port}/", headers=headers, follow_redirects=False
            )
            response.headers.encoding = "utf-8"
            assert response.headers["x-name"] == "é日"
        response.next()
    assert [head.count("\r\nX-Name: é日\r\n".encode()) for head in seen] == [1] * 3
    assert [head.count("\r\nX-Other: ü\r\n".encode("latin-1")) for head in seen] == [1] * 3


def test_authority_that_is_not_trusted_is_named(start, folder):
    path = folder / "other.pem"
    trustme.CA().cert_pem.write_to_path(path)
    url = f"https://localhost:{start('uvicorn-h11', tls=True).port}/"
    with Client(verify=path) as client, pytest.raises(CertificateInvalid) as caught:
        client.get(url)
    assert (caught.value.request_sent, caught.value.retryable) == ("no", False)
    assert caught.value.request.url.host == "localhost"
