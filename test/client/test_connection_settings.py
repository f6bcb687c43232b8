"""Settings of connections that single requests have: equal ones share, others never do."""

import pathlib
import pickle
import ssl

import pytest
from kit.every_driver import DRIVERS
from kit.support import ScriptedServer, answering, read_head

from dugong_like import (
    CertificateInvalid,
    Client,
    Connector,
    DigestAuth,
    InvalidOption,
    InvalidRequest,
    MockDispatcher,
    Origin,
    Pool,
    Proxy,
    PublicOnly,
    Response,
)
from dugong_like.client.connection_settings import ConnectionSettings, OriginWith

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ORIGIN = Origin("https", "h.test")
CONTEXT = ssl.create_default_context()
ALIKE = [
    ({"verify": "/ca"}, {"verify": pathlib.Path("/ca")}),
    ({"cert": ("a", "b")}, {"cert": ["a", "b"]}),
    ({"proxy": "http://p.test"}, {"proxy": Proxy("http://p.test")}),
    ({"proxy": "http://p.test"}, {"proxy": {"all://": ("p.test", 80)}}),
    ({"proxy": None}, {"proxy": {"all://": None}}),
    ({"ssl_context": None, "verify": False}, {"verify": False, "timeout": 3}),
]
DIFFERENT = [
    *({"verify": True}, {"verify": False}, {"verify": "/ca"}, {"verify": b"/ca"}, {"cert": "a"}),
    *({"cert": "a", "verify": False}, {"cert": ("a", "b")}, {"proxy": None}),
    *({"proxy": "http://p.test"}, {"proxy": "http://u:a@p.test"}, {"proxy": "http://u:b@p.test"}),
    *({"proxy": {"http://": "http://p.test"}}, {"ssl_context": CONTEXT}),
    *({"ssl_context": ssl.create_default_context()}, {"http_version": "1.0"}),
    *({"http_version": "1.1"}, {"server_hostname": "a.test"}, {"server_hostname": None}),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_equal_settings(one, other):
    one, other = ConnectionSettings(one), ConnectionSettings(other)
    assert one == other
    assert hash(one) == hash(other)
    connector = Connector()
    assert connector.key(one.at(ORIGIN)) == connector.key(other.at(ORIGIN))
    assert connector.varied(one) is connector.varied(other)


@pytest.mark.feature("D23")
def test_different_settings():
    settings = [ConnectionSettings(options) for options in DIFFERENT]
    connector = Connector()
    assert len(set(settings)) == len(DIFFERENT)
    assert len({ORIGIN, *(each.at(ORIGIN) for each in settings)}) == len(DIFFERENT) + 1
    keys = {connector.key(origin) for origin in [ORIGIN, *(each.at(ORIGIN) for each in settings)]}
    assert len(keys) == len(DIFFERENT) + 1


def test_no_settings_are_the_origin_itself():
    assert ConnectionSettings({"timeout": 3}).at(ORIGIN) is ORIGIN


def test_settings_are_never_changed():
    settings = ConnectionSettings({"verify": False})
    with pytest.raises(AttributeError, match="never changed"):
        settings.options = {}
    assert settings != "verify"
    assert settings.at(ORIGIN) != "h.test"
    assert pickle.loads(pickle.dumps(settings.at(ORIGIN).origin)) == ORIGIN


def test_text_has_no_secrets():
    options = {
        "proxy": "http://u:pw@p.test:3128",
        "cert": ("c.pem", "k.pem", "pw"),
        "verify": "/ca",
    }
    shown = str(ConnectionSettings(options).at(ORIGIN))
    assert shown == (
        "https://h.test (cert='c.pem', proxy=<Proxy http://p.test:3128>, verify='/ca')"
    )
    assert "pw" not in str(ConnectionSettings({"cert": b"-----BEGIN pw"}).at(ORIGIN))


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"verify": None}, TypeError, "verify"),
        ({"verify": False, "ssl_context": CONTEXT}, InvalidOption, "ssl_context"),
        ({"cert": 1}, TypeError, "cert"),
        ({"ssl_context": 1}, TypeError, "context"),
        ({"proxy": "p"}, InvalidRequest, "proxy"),
        ({"proxy": {"p.test": None}}, InvalidOption, "proxy is for"),
        ({"http_version": "2"}, InvalidOption, "http_version"),
        ({"http_version": 1.0}, InvalidOption, "http_version"),
        ({"server_hostname": "a b"}, InvalidRequest, "a b"),
        ({"decompress": "no"}, TypeError, "decompress"),
    ],
)
def test_wrong_settings_are_refused_when_the_request_is_built(options, error, what):
    with pytest.raises(error, match=what):
        Client(dispatcher=MockDispatcher()).build_request("GET", "https://h.test", **options)


def test_what_stays_as_in_the_connector():
    connector = Connector(proxy="http://p.test", buffer_size=1000, verify=False)
    config = connector.config(ConnectionSettings({"http_version": "1.0"}).at(ORIGIN))
    plain = connector.config(ORIGIN)
    assert (config.proxy, config.buffer_size) == (Proxy("http://p.test"), 1000)
    assert config.route.ssl_context is plain.route.ssl_context
    assert config.route.options.sessions is plain.route.options.sessions
    direct = connector.config(ConnectionSettings({"proxy": None, "verify": True}).at(ORIGIN))
    assert direct.proxy is None
    assert direct.route.ssl_context is not plain.route.ssl_context


def test_no_proxy_is_not_even_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://p.test")
    connector = Connector()
    assert connector.config(ConnectionSettings({"verify": True}).at(ORIGIN)).proxy is not None
    assert connector.config(ConnectionSettings({"proxy": None}).at(ORIGIN)).proxy is None


def test_number_of_settings_that_are_kept_is_bounded():
    connector = Connector()
    for number in range(250):
        connector.varied(ConnectionSettings({"server_hostname": f"h{number}.test"}))
    assert len(connector._varied) <= 100


def test_connection_is_made_by_the_settings():
    connection = Connector().connection(OriginWith(ORIGIN, ConnectionSettings({"verify": False})))
    assert connection.ssl_context.verify_mode is ssl.CERT_NONE
    assert (connection.hostname, connection.port) == ("h.test", 443)


# ---- requests


@pytest.mark.feature("D12")
@pytest.mark.parametrize("driver", DRIVERS)
def test_verify_of_a_request(certificate, ca_file, driver):
    """Neither connections nor sessions of TLS of one that does not verify serve one that does."""

    def serve(sock):
        while read_head(sock):
            sock.sendall(OK)

    with ScriptedServer(serve, certificate.server_context()) as server, Client() as client:
        url = f"https://127.0.0.1:{server.port}/"
        assert driver(client.co_get(url, verify=False)).content == b"ok"
        with pytest.raises(CertificateInvalid):
            driver(client.co_get(url))
        assert driver(client.co_get(url, verify=str(ca_file))).content == b"ok"
        assert driver(client.co_get(url, verify=False)).content == b"ok"
        with pytest.raises(CertificateInvalid):
            driver(client.co_get(url, verify=True))
        stats = client.stats()
        assert [each.opened for each in stats.values()] == [1, 1, 1, 1]
        assert len([name for name in stats if "verify" in name]) == 3


def test_name_of_the_server_of_a_request(issue, ca_file):
    other = issue("other.test").server_context()
    with (
        ScriptedServer(answering(OK), other) as server,
        Client(verify=str(ca_file)) as client,
    ):
        url = f"https://127.0.0.1:{server.port}/"
        assert client.get(url, server_hostname="other.test").content == b"ok"
        with pytest.raises(CertificateInvalid):
            client.get(url)


@pytest.mark.feature("D13")
def test_certificate_of_a_request(certificate, ca_file, issue):
    shown = []
    wanting = certificate.server_context()
    wanting.load_verify_locations(ca_file)
    wanting.verify_mode = ssl.CERT_OPTIONAL

    def serve(sock):
        while read_head(sock):
            shown.append(bool(sock.getpeercert()))
            sock.sendall(OK)

    own = issue("me.test")
    with ScriptedServer(serve, wanting) as server, Client(verify=str(ca_file)) as client:
        url = f"https://127.0.0.1:{server.port}/"
        client.get(url, cert=(str(own.chain), str(own.key)))
        client.get(url)
    assert shown == [True, False]


@pytest.mark.feature("D30")
@pytest.mark.parametrize("driver", DRIVERS)
def test_proxy_of_a_request(driver):
    heads = []

    def serve(sock):
        while head := read_head(sock):
            heads.append(head.split(b"\r\n")[0])
            sock.sendall(OK)

    with (
        ScriptedServer(serve) as server,
        ScriptedServer(serve) as proxy,
        Client(trust_env=False) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/x"
        for _ in range(2):
            driver(client.co_get(url, proxy=f"http://127.0.0.1:{proxy.port}"))
            driver(client.co_get(url))
        assert (server.connections, proxy.connections) == (1, 1)
    assert heads == [f"GET {url} HTTP/1.1".encode(), b"GET /x HTTP/1.1"] * 2


@pytest.mark.feature("D32")
@pytest.mark.parametrize("driver", DRIVERS)
def test_version_of_http_of_a_request(driver):
    heads = []

    def serve(sock):
        while head := read_head(sock):
            heads.append(head.split(b"\r\n")[0])
            if head.startswith(b"GET / HTTP/1.0"):
                sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nto the end")
                return
            sock.sendall(OK)

    with ScriptedServer(serve) as server, Client() as client:
        url = f"http://127.0.0.1:{server.port}/"
        response = driver(client.co_get(url, http_version="1.0"))
        assert (response.http_version, response.content) == ("1.0", b"to the end")
        response = driver(client.co_get(url))
        assert (response.http_version, response.content) == ("1.1", b"ok")
        driver(client.co_get(url, http_version="1.0"))
        with pytest.raises(InvalidRequest, match="needs HTTP"):
            driver(client.co_post(url, http_version="1.0", content=iter([b"no length"])))
    assert heads == [b"GET / HTTP/1.0", b"GET / HTTP/1.1", b"GET / HTTP/1.0"]


@pytest.mark.feature("D27")
def test_decompression_of_a_request():
    import gzip

    packed = gzip.compress(b"plain")

    def answer(request):
        return Response(200, {"Content-Encoding": "gzip"}, packed, request=request)

    for usual in (True, False):
        mock = MockDispatcher(answer)
        client = Client(dispatcher=mock, decompress=usual)
        contents = [
            client.get("http://h.test", **options).content
            for options in ({}, {"decompress": True}, {"decompress": False})
        ]
        assert contents == [b"plain" if usual else packed, b"plain", packed]
        asked = ["accept-encoding" in call.request.headers for call in mock.calls]
        assert asked == [usual, True, False]
        for given in ("br", None):
            for wanted in (True, False):
                fields = {"Accept-Encoding": given}
                client.get("http://h.test", headers=fields, decompress=wanted)
                assert mock.calls[-1].request.headers.get("accept-encoding") == given


def sent_settings(mock):
    return [{} if (one := call.request.connecting) is None else one.options for call in mock.calls]


def test_secrets_for_one_server_stay_there_after_a_redirect():
    mock = MockDispatcher()
    mock.add(url="https://a.test/").reply(302, {"Location": "/x"})
    mock.add(url="https://a.test/x").reply(302, {"Location": "https://b.test/"})
    mock.add().reply(200)
    client = Client(dispatcher=mock)
    client.get("https://a.test/", cert="c.pem", server_hostname="c.test", verify="/ca")
    client.get("https://a.test/", ssl_context=CONTEXT, http_version="1.0")
    whole = {"cert": "c.pem", "server_hostname": "c.test", "verify": "/ca"}
    assert sent_settings(mock) == [
        *(whole, whole, {"verify": "/ca"}),
        *[{"ssl_context": CONTEXT, "http_version": "1.0"}] * 2,
        {"http_version": "1.0"},
    ]


def test_requests_of_an_authentication_are_sent_in_the_same_way():
    class Login(DigestAuth):
        def auth_flow(self, request):
            from dugong_like import Request

            yield Request("POST", "https://a.test/login")
            yield Request("POST", "https://b.test/login")
            yield request

    mock = MockDispatcher(lambda request: Response(200))
    client = Client(dispatcher=mock)
    client.get("https://a.test/", cert="c.pem", verify="/ca", auth=Login("u", "p"))
    whole = {"cert": "c.pem", "verify": "/ca"}
    assert sent_settings(mock) == [whole, {"verify": "/ca"}, whole]


def test_guard_takes_no_proxy_from_a_request():
    with Client(guard=PublicOnly()) as client:
        with pytest.raises(InvalidOption, match="guard"):
            client.get("http://example.test/", proxy="http://p.test")


def test_pool_of_the_callers_own():
    with ScriptedServer(answering(b"HTTP/1.0 200 OK\r\n\r\nold")) as server:
        with Client(dispatcher=Pool(Connector())) as client:
            url = f"http://127.0.0.1:{server.port}/"
            assert client.get(url, http_version="1.0").content == b"old"
