"""Checks of the arguments of a client that nothing else looks at before they are used.

Not here: what they mean (client.py), and the arguments of requests (request_building.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..errors import InvalidOption
from ..http.redaction import quoted
from ..http.text import codec_of
from ..http.url import URL
from ..polling.numbers import check_flag, check_int

FLAGS: Final = (
    *("follow_redirects", "insecure_redirects", "store_cookies", "decompress"),
    "raise_for_status",
)
CALLED: Final = ("guard", "rate")
CO_COROUTINE: Final = 0x80  # as in `inspect`, which takes long to import
CO_ASYNC_GENERATOR: Final = 0x200
DISPATCHER: Final = "an object with co_dispatch()"


def check_client_arguments(given: Mapping[str, Any]) -> None:
    """Check arguments of `Client`, by name.

    Raises:
        TypeError: one has the wrong type.
        InvalidOption: a number is out of its limits.
        LookupError: *default_encoding* is no encoding.

    """
    for name in FLAGS:
        check_flag(name, given[name])
    check_int("max_redirects", given["max_redirects"], 0)
    if given["max_body"] is not None:
        check_int("max_body", given["max_body"], 0)
    if not isinstance(given["base_url"], URL | str | None):
        raise TypeError(f"base_url is a URL or its text, not {quoted(given['base_url'])}")
    for name in CALLED:
        value = given[name]
        if value is not None and (isinstance(value, type) or not callable(value)):
            raise TypeError(f"{name} is a function or an object, or None, not {quoted(value)}")
    json = given["json"]
    if json is not None and not all(
        callable(getattr(json, name, None)) for name in ("dumps", "loads")
    ):
        raise TypeError(f"json has dumps() and loads(), unlike {quoted(json)}")
    _check_strings("keep_fields", given["keep_fields"])
    _check_layers(given["layers"])
    for name in ("hooks", "mounts"):
        if given[name] is not None and not isinstance(given[name], Mapping):
            raise TypeError(f"{name} is a mapping, not {quoted(given[name])}")
    check_retry(given["retry"])
    _check_dispatchers(given)
    check_default_encoding(given["default_encoding"])


def given_arguments(arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of *arguments*, by name, that are not the default ones."""
    return {
        name: arguments[name] for name, value in defaults.items() if arguments[name] is not value
    }


def _check_layers(layers: object) -> None:
    if not isinstance(layers, Iterable) or not all(map(callable, layers)):
        raise TypeError(f"layers are a sequence of functions, not {quoted(layers)}")
    for layer in layers:
        code = getattr(layer, "__code__", None) or getattr(type(layer).__call__, "__code__", None)
        if code is not None and code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR):
            how = "return (yield from co_send(request))"
            raise TypeError(f"a layer is a generator function, with {how}, not {quoted(layer)}")


def _check_dispatchers(given: Mapping[str, Any]) -> None:
    if isinstance(given.get("http2"), bool):  # as httpx has it
        how = 'HTTP/2 is asked for by versions=("h2", "http/1.1")'
        raise TypeError(f"http2 is an H2Options or None, not {given['http2']}: {how}")
    _check_has("dispatcher", given["dispatcher"], "co_dispatch", DISPATCHER)
    if given["guard"] is not None and (given["dispatcher"] is not None or given["mounts"]):
        raise InvalidOption("guard: dispatchers of your own decide where they connect to")


def check_retry(retry: object) -> None:
    """Check the argument *retry*. Raises TypeError if it is neither a `Retry` nor None."""
    _check_has("retry", retry, "allows_error", "a Retry(…)")


def check_default_encoding(encoding: object) -> None:
    """Check the argument *default_encoding*.

    Raises:
        TypeError: it is neither a string nor a function.
        LookupError: no encoding of text is called so.

    """
    if isinstance(encoding, str):
        if codec_of(encoding) is None:
            raise LookupError(f"default_encoding: no encoding of text is called {quoted(encoding)}")
    elif not callable(encoding):
        kind = "the name of an encoding, or a function"
        raise TypeError(f"default_encoding is {kind}, not {quoted(encoding)}")


def _check_has(name: str, value: object, method: str, kind: str) -> None:
    if value is not None and (isinstance(value, type) or not hasattr(value, method)):
        raise TypeError(f"{name} is {kind} or None, not {quoted(value)}")


def _check_strings(name: str, values: object) -> None:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} is a collection of strings, not {quoted(values)}")
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{name} is a collection of strings, not of {quoted(value)}")
