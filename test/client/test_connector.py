"""From an origin to a connection: TLS, proxies, and what is shared."""

import logging
import ssl

import pytest

from dugong_like import (
    HTTPConnection,
    InvalidOption,
    InvalidRequest,
    Origin,
    Proxy,
    ScriptedTransport,
    Timeouts,
    TLSSessions,
    default_ssl_context,
)
from dugong_like.client.connector import Connector
from dugong_like.client.pool_limits import HTTP_2_OR_1

HTTP, HTTPS = Origin("http", "h.test"), Origin("https", "h.test")
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_connections():
    connector = Connector()
    plain, secure = connector.connection(HTTP), connector.connection(HTTPS)
    assert type(plain) is HTTPConnection
    assert (plain.hostname, plain.port, plain.ssl_context) == ("h.test", 80, None)
    assert (secure.hostname, secure.port) == ("h.test", 443)
    assert secure.ssl_context is default_ssl_context()
    assert plain.timeout == Timeouts(connect=10, pool=30, head=300, stall=60)
    assert plain.timeout is connector.timeouts
    assert plain.content_md5 is secure.content_md5 is False
    assert connector.connection(HTTP) is not plain
    assert connector.config(HTTP) is connector.config(Origin("http", "H.TEST", 80))


def test_number_of_configurations_is_bounded():
    connector = Connector()
    for number in range(2500):
        connector.config(Origin("http", f"h{number}.test"))
    assert len(connector._configs) <= 1000


def test_options_hold_for_each_connection():
    connector = Connector(timeout=5, buffer_size=1000, max_fields=7)
    conn = connector.connection(HTTP)
    assert conn.timeout == 5
    assert connector.timeouts == Timeouts(stall=5)
    assert connector.config(HTTP).buffer_size == 1000
    assert connector.config(HTTPS).limits.fields == 7
    assert Connector(timeout=None).connection(HTTP).timeout is None
    connector = Connector(whole_below=300)
    assert (connector.config(HTTP).whole_below, connector.config(HTTPS).whole_below) == (300, 300)


def test_options_of_tls_hold_for_https_only():
    connector = Connector(server_hostname="other.test", fingerprint="sha256:" + "ab" * 32)
    connector.connection(HTTP)
    route = connector.config(HTTPS).route
    assert route.options.server_name == "other.test"


def test_tls_sessions_are_shared():
    connector = Connector()
    sessions = connector.config(HTTPS).route.options.sessions
    assert connector.config(Origin("https", "other.test")).route.options.sessions is sessions
    assert connector.config(HTTPS).route.options.shares_sessions
    assert Connector(tls_sessions=False).config(HTTPS).route.options.sessions is None
    own = TLSSessions()
    assert Connector(tls_sessions=own).config(HTTPS).route.options.sessions is own


def test_wrong_options_are_refused_at_once():
    with pytest.raises(InvalidOption, match="buffer_size"):
        Connector(buffer_size=0)
    with pytest.raises(InvalidOption, match="sock is one connection"):
        Connector(sock=object())
    with pytest.raises(TypeError):
        Connector(nonsense=1)
    with pytest.raises(TypeError, match="trust_env"):
        Connector(trust_env="yes")
    for method in (Connector().connection, Connector().key, Connector().config):
        with pytest.raises(TypeError, match="origin is an Origin"):
            method("https://h.test")


# ---- whom to trust, and what to show


def test_verify_false_accepts_any_certificate():
    context = Connector(verify=False).connection(HTTPS).ssl_context
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


def test_verify_names_authorities(ca, tmp_path):
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(file)
    connector = Connector(verify=file)
    context = connector.connection(HTTPS).ssl_context
    assert context.cert_store_stats()["x509"] == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert connector.connection(Origin("https", "other.test")).ssl_context is context
    missing = Connector(verify=tmp_path / "none.pem")
    missing.connection(HTTP)  # which needs none
    with pytest.raises(InvalidOption, match=r"none\.pem"):
        missing.connection(HTTPS)


def test_client_certificate(certificate, tmp_path):
    Connector(cert=(certificate.chain, certificate.key)).connection(HTTPS)
    with pytest.raises(InvalidOption, match=r"none\.pem"):
        Connector(cert=tmp_path / "none.pem").connection(HTTPS)


def test_own_context(trusting):
    assert Connector(ssl_context=trusting).connection(HTTPS).ssl_context is trusting
    for more in ({"verify": False}, {"cert": "file"}):
        with pytest.raises(InvalidOption, match="up to the ssl_context"):
            Connector(ssl_context=trusting, **more)
    with pytest.raises(InvalidOption):
        Connector(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with pytest.raises(TypeError, match="verify is True, False"):
        Connector(verify=None)


# ---- proxies


def test_one_proxy_for_all():
    connector = Connector(proxy="http://proxy.test:8080")
    for origin in (HTTP, HTTPS):
        assert connector.connection(origin)._config.proxy == Proxy("http://proxy.test:8080")
    with pytest.raises(InvalidRequest):
        Connector(proxy="proxy")


def test_proxies_by_scheme():
    one, two = Proxy("http://one.test"), Proxy("http://two.test")
    connector = Connector(proxy={"http://": "http://one.test", "all://": two})
    assert connector.connection(HTTP)._config.proxy == one
    tunnel = connector.connection(Origin("ws", "h.test"))._config.proxy
    assert (tunnel.host, one.mode, tunnel.mode) == ("one.test", "auto", "tunnel")
    assert connector.key(Origin("ws", "h.test")) != connector.key(Origin("http", "h.test"))
    assert connector.connection(HTTPS)._config.proxy is two
    connector = Connector(proxy={"https://": None, "all://": two})
    assert connector.connection(HTTPS)._config.proxy is None
    for wrong in ("http", "ftp://", 5):
        with pytest.raises(InvalidOption, match="proxy is for 'http://', 'https://', 'all://'"):
            Connector(proxy={wrong: two})


def test_proxies_of_the_environment(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://user:secret@one.test:3128")
    monkeypatch.setenv("no_proxy", "direct.test")
    connector = Connector()
    proxy = connector.connection(HTTPS)._config.proxy
    assert (proxy.hostname, proxy.port) == ("one.test", 3128)
    assert connector.connection(Origin("https", "b.test"))._config.proxy is proxy
    assert connector.connection(HTTP)._config.proxy is None
    assert connector.connection(Origin("https", "direct.test"))._config.proxy is None
    for without in (
        Connector(trust_env=False),
        Connector(proxy={}),
        Connector(uds="/run/socket"),
        Connector(transport=ScriptedTransport()),
    ):
        assert without.connection(HTTPS)._config.proxy is None


def test_wrong_proxy_of_the_environment(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "ftp://one.test")
    with pytest.raises(InvalidRequest, match="all_proxy in the environment"):
        Connector().connection(HTTP)


# ---- keys


def test_keys():
    connector = Connector()
    key = connector.key(HTTP)
    assert key == connector.key(Origin("ws", "h.test"))
    others = [HTTPS, Origin("http", "h.test", 81), Origin("http", "i.test")]
    assert len({key, *map(connector.key, others)}) == 4
    connector.config(HTTP)
    assert connector.key(HTTP) == key


@pytest.mark.feature("D23")
def test_proxy_is_part_of_the_key():
    keys = {
        Connector(proxy=proxy).key(HTTP)
        for proxy in (None, "http://p.test", "http://u:a@p.test", "http://u:b@p.test")
    }
    assert len(keys) == 4


def test_logging_that_is_switched_on_later_holds_for_new_connections(caplog):
    connector = Connector()
    before = connector.config(HTTP)
    with caplog.at_level(logging.DEBUG, "dugong_like.connection"):
        assert connector.config(HTTP).trace is not None
    after = connector.config(HTTP)
    assert before.trace is after.trace is None
    own = Connector(trace=print)
    config = own.config(HTTP)
    with caplog.at_level(logging.DEBUG, "dugong_like.connection"):
        assert own.config(HTTP) is config


def test_default_versions_of_a_client_cost_nothing_without_tls():
    connector = Connector(versions=HTTP_2_OR_1)
    plain, secure = connector.config(HTTP), connector.config(HTTPS)
    assert (plain.versions, plain.prefers_h2) == (("http/1.1",), False)
    assert (secure.versions, secure.prefers_h2) == (HTTP_2_OR_1, True)
    assert not connector.negotiates(HTTP)
    assert connector.negotiates(HTTPS)
    assert connector.allows_http_1(HTTPS)
    assert not Connector(versions=("h2",)).allows_http_1(HTTPS)
    ws, wss = Origin("ws", "h.test"), Origin("wss", "h.test")
    assert connector.key(ws) == connector.key(HTTP)
    assert connector.key(wss) != connector.key(HTTPS)
    assert connector.config(wss).versions == ("http/1.1",)
    for place in (ws, wss):
        with pytest.raises(InvalidOption, match="a WebSocket alone needs HTTP/1.1, and versions="):
            Connector(versions=["h2"]).config(place)


@pytest.mark.parametrize("versions", [("h3",), (), "h2", ("h2", "h2")])
def test_versions_are_checked_at_once(versions):
    with pytest.raises((InvalidOption, TypeError), match="versions"):
        Connector(versions=versions)
