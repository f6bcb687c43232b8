"""The tree of exceptions: what a caller may conclude from each."""

import copy
import copyreg
import errno
import pickle
import ssl
from types import SimpleNamespace

import pytest
from kit.cases import each_case

import dugong_like
from dugong_like import errors
from dugong_like.connection.exchange import Exchange, HTTPResponse
from dugong_like.errors import (
    AnsweredEarly,
    ConnectFailed,
    DugongError,
    TunnelRefused,
    is_temp_network_error,
)
from dugong_like.http.h1.response_head import parse_head

ALL = [
    value for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, DugongError)
]  # fmt: skip
RETRYABLE = {
    "TransportError", "ConnectionClosed", "ConnectionTimedOut", "ContinueTimedOut",
    "ConnectFailed", "DeadlineExceeded", "HandshakeFailed", "DNSUnavailable", "PoolTimedOut",
    "GoneAway", "NotAnswered", "WebSocketClosed", "ContentChanged",
}  # fmt: skip


@pytest.mark.feature("A51", "B42", "B43", "B44", "B45", "B46", "B47")
@each_case("kind", ALL)
def test_every_exception_is_public_pickles_and_says_whether_to_retry(kind):
    assert getattr(dugong_like, kind.__name__) is kind
    assert kind.__doc__
    assert kind.__name__ in errors.__doc__
    exc = kind("message")
    assert (exc.retryable, exc.request_sent) == (kind.__name__ in RETRYABLE, "no")
    exc.request_sent = "maybe"
    again = pickle.loads(pickle.dumps(exc))
    assert type(again) is kind
    assert str(again) == "message"
    assert again.request_sent == "maybe"
    assert is_temp_network_error(exc) is exc.retryable


def test_places_in_the_tree_and_among_the_builtin_ones():
    assert issubclass(errors.ConnectionClosed, ConnectionError)
    assert issubclass(errors.AnsweredEarly, errors.ConnectionClosed)
    assert issubclass(errors.ConnectFailed, ConnectionError)
    assert issubclass(errors.ConnectionTimedOut, TimeoutError)
    assert issubclass(errors.ContinueTimedOut, errors.ConnectionTimedOut)
    assert issubclass(errors.CertificateInvalid, errors.HandshakeFailed)
    assert issubclass(errors.InvalidRequest, ValueError)
    assert issubclass(errors.InvalidResponse, errors.ProtocolError)
    assert errors.ConnectionClosed("x", request_sent="yes").request_sent == "yes"


def test_whether_to_retry_may_depend_on_what_has_happened():
    for retryable in (True, False):
        tunnel = TunnelRefused("no", 503, retryable=retryable, retry_after="7")
        for exc in (tunnel, errors.HandshakeFailed("no", retryable=retryable)):
            again = pickle.loads(pickle.dumps(exc))
            assert is_temp_network_error(again) is again.retryable is retryable
    assert pickle.loads(pickle.dumps(tunnel)).retry_after == "7"
    assert TunnelRefused.retryable is False
    assert errors.HandshakeFailed("no").retryable is True


def test_ends_of_websockets_carry_their_codes():
    codes = {1000: False, 1001: True, 1002: False, 1006: True, 1008: False, 1013: True, 4000: False}
    for code, retryable in codes.items():
        closed = errors.WebSocketClosed("no", code=code, reason="why", request_sent="yes")
        for exc in (closed, pickle.loads(pickle.dumps(closed))):
            assert (exc.code, exc.reason, exc.retryable) == (code, "why", retryable)
    invalid = pickle.loads(pickle.dumps(errors.InvalidFrame("no", code=1007)))
    assert (invalid.code, errors.InvalidFrame("no").code) == (1007, 1002)
    assert errors.MessageTooLarge("no").code == 1009
    assert issubclass(errors.WebSocketClosed, errors.ConnectionClosed)
    assert issubclass(errors.WebSocketRefused, errors.ResponseError)


def test_ends_of_streams_carry_their_codes():
    codes = {0x0: False, 0x1: False, 0x2: True, 0x7: True, 0x8: True, 0xB: False, 0xD: False}
    for code, retryable in codes.items():
        for exc in (
            reset := errors.StreamReset("no", code=code),
            pickle.loads(pickle.dumps(reset)),
        ):
            assert (exc.code, exc.retryable) == (code, retryable)
    gone = errors.GoneAway("no", last_id=7, code=11, debug=b"calm", request_sent="yes")
    for exc in (gone, pickle.loads(pickle.dumps(gone)), copy.copy(gone)):
        assert (exc.last_id, exc.code, exc.debug) == (7, 11, b"calm")
        assert (exc.request_sent, exc.retryable) == ("yes", True)


def test_copies_are_apart_whatever_other_libraries_make_of_exceptions(monkeypatch):
    """Like tblib, of which Dask has exceptions pickled: traceback and attributes are shared."""

    def make(kind, attributes, traceback):
        made = kind.__new__(kind)
        made.__dict__ = attributes
        return made.with_traceback(traceback)

    def reduce(exc):
        return make, (type(exc), exc.__dict__, exc.__traceback__)

    monkeypatch.setitem(copyreg.dispatch_table, errors.ConnectionClosed, reduce)
    with pytest.raises(errors.ConnectionClosed) as caught:
        raise errors.ConnectionClosed("over", request_sent="maybe")
    exc = caught.value
    copied = copy.copy(exc)
    copied.label("GET", "http://a.test/")
    assert (str(exc), exc.url, exc.request_sent) == ("over", "", "maybe")
    assert (str(copied), copied.request_sent) == ("GET http://a.test/: over", "maybe")
    assert copied.__traceback__ is None


@pytest.mark.parametrize("url", ["http://a.test", f"http://{'a' * 5000}.test", "http://a.test: b"])
@pytest.mark.parametrize("note", ["", " through the proxy http://p.test: 1"])
@pytest.mark.parametrize("text", ["", "it failed", "http://a.test: it failed"])
def test_a_request_takes_the_place_of_its_origin_in_the_message(url, note, text):
    """Whatever is in the message: the label is a fact, and not found by its text."""
    exc = ConnectFailed(text)
    exc.label("", url, note)
    exc.append("after 3 attempts")
    request = SimpleNamespace(method="GET")
    exc.label_request(request, "http://b.test/x")
    behind = f"{text}, after 3 attempts" if text else "after 3 attempts"
    assert str(exc) == f"GET http://b.test/x{note}: {behind}"
    exc.label_request(request, "http://c.test/")
    assert (exc.url, exc.request) == ("http://b.test/x", request)


def test_phases_of_proxies():
    steps = {
        errors.HostnameNotResolvable: "dns",
        errors.DNSUnavailable: "dns",
        errors.ConnectFailed: "connect",
        errors.HandshakeFailed: "tls",
        errors.CertificateInvalid: "tls",
        errors.ClientCertificateRefused: "tls",
    }
    for kind, step in steps.items():
        exc = kind("no")
        assert exc.phase == step
        exc.blame_proxy("the proxy p:1")
        exc.blame_proxy("the proxy p:1")
        assert (exc.phase, str(exc)) == (f"proxy-{step}", "the proxy p:1: no")
        assert pickle.loads(pickle.dumps(exc)).phase == f"proxy-{step}"
    for exc in (errors.ConnectionClosed("no"), errors.InvalidResponse("no"), TunnelRefused("no")):
        exc.blame_proxy("the proxy p:1")
        assert exc.phase == "proxy"
    limited = errors.ConnectionTimedOut("no", phase="total")
    limited.blame_proxy("the proxy p:1")
    assert limited.phase == "total"


def test_refused_tunnel_carries_the_answer():
    exc = pickle.loads(pickle.dumps(TunnelRefused("no", 403, "Forbidden", b"why")))

    assert (str(exc), exc.status, exc.reason, exc.body) == ("no", 403, "Forbidden", b"why")


def test_early_answer_carries_the_response():
    exchange = Exchange("PUT", "/")
    head = parse_head(b"HTTP/1.1 413 No\r\nX-A: b\r\n\r\n", 10, 0, 27)
    early = AnsweredEarly("no", request_sent="yes", response=HTTPResponse(exchange, head, 0))
    for exc in (early, pickle.loads(pickle.dumps(early)), copy.copy(early)):
        assert (str(exc), exc.request_sent, exc.response.status) == ("no", "yes", 413)
        assert exc.response.headers["x-a"] == "b"


@pytest.mark.feature("B42")
@pytest.mark.parametrize(
    ("exc", "temporary"),
    [
        (ConnectionResetError(), True),
        (BrokenPipeError(), True),
        (TimeoutError(), True),
        (OSError(errno.EHOSTUNREACH, "x"), True),
        (OSError(errno.ENETDOWN, "x"), True),
        (OSError(errno.ENOENT, "x"), False),
        (ssl.SSLCertVerificationError("x"), False),
        (ValueError(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_temporary_network_errors(exc, temporary):
    assert is_temp_network_error(exc) is temporary
