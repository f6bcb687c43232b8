"""Exceptions of this library and those of httpx and httpcore, in both directions."""

import re

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
from kit.httpx_clients import EDITIONS

import dugong_like
from dugong_like.adapters import httpx_errors, httpx_network


def exceptions_of(module):
    """Return the public exceptions of a module, by name."""
    found = {name: getattr(module, name) for name in module.__all__}
    return {
        name: kind
        for name, kind in found.items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }


OURS = exceptions_of(dugong_like)

# Raised by a client, and not by the connections that the transport uses.
OF_A_CLIENT = {
    *("AddressForbidden", "AuthenticationFailed", "CookieConflict", "DeadlineExceeded"),
    *("DecodingError", "RedirectRefused", "ResponseClosed", "ResponseError", "ResponseNotRead"),
    *("SSEError", "StatusError", "StreamConsumed", "TooManyRedirects"),
    *("ContentChanged", "DigestMismatch", "PartInUse", "TransferError", "TransferFileFailed"),
    *("UnusableRange", "NotAnswered"),  # the latter of a pipeline
    # HTTP/2 and WebSockets, which it does not have:
    *("GoneAway", "ProtocolNotNegotiated", "StreamReset"),
    *("InvalidFrame", "MessageTooLarge", "WebSocketClosed", "WebSocketRefused"),
}

THEIRS = {
    name: kind
    for module in (httpcore, httpx, httpcore2, httpx2)
    for name, kind in exceptions_of(module).items()
}


@pytest.mark.feature("C39")
def test_each_exception_has_a_place_in_the_table():
    assert httpx_errors.ERRORS.keys() == OURS.keys() - {"DugongError"} - OF_A_CLIENT
    assert httpx_errors.THEIRS.keys() == THEIRS.keys()
    for table in (httpx_errors.ERRORS, httpx_errors.STREAM_ERRORS):
        for names in table.values():
            assert len(names) == len(httpx_errors.PHASES)
            for name in names:
                for client, core in EDITIONS.values():
                    assert issubclass(getattr(client, name), client.TransportError)
                    assert issubclass(getattr(core, name), Exception)


@pytest.mark.feature("C39")
def test_both_directions_agree():
    for name, here in httpx_errors.THEIRS.items():
        ours = {kind for kind, names in httpx_errors.ERRORS.items() if name in names}
        assert set(() if isinstance(here, str) else here) == ours, name
        for word in re.findall(r"`(\w+)`", str(here)):
            assert hasattr(dugong_like, word)


@pytest.mark.feature("C39")
@pytest.mark.parametrize("phase", ["connect", "write", "read"])
@pytest.mark.parametrize("name", sorted(OURS.keys() - OF_A_CLIENT))
def test_transport_raises_by_the_table(name, phase):
    error = OURS[name]("what happened")
    for module, table in ((httpx, "ERRORS"), (httpcore, "STREAM_ERRORS")):
        table = getattr(httpx_errors, table)
        expected = httpx_errors.name_of(error, phase, table)
        with pytest.raises(getattr(module, expected or "x", OURS[name]), match="what ") as caught:
            with httpx_network.errors_as(module, lambda: phase, table):
                raise error
        assert type(caught.value).__name__ == (expected or name)
        assert expected is not None or (name, module) == ("DugongError", httpx)


def test_what_is_derived_is_what_it_is_derived_from():
    class Mine(dugong_like.ConnectionTimedOut):
        pass

    assert httpx_errors.name_of(Mine(), "write") == "WriteTimeout"
    assert httpx_errors.name_of(Mine(), "read", httpx_errors.STREAM_ERRORS) == "ReadTimeout"
    assert httpx_errors.name_of(LookupError(), "read") is None
