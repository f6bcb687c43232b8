"""The parts of a client that `pickle` and `copy` keep: settings, fields and cookies.

Connections are not kept. So a client can be an argument of tasks in other processes, each of which
has connections of its own. The values of the settings have to allow it, too.

Not here: how single values are pickled; each class of theirs says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..http.cookies import Cookies
    from ..http.headers import Headers


class ModuleName(NamedTuple):
    """Stands for a module, which cannot be pickled itself."""

    name: str


class ClientState(NamedTuple):
    """The parts of a client that are kept.

    Attributes:
        given: arguments of `Client`, by name, as far as they are not the default ones.
        headers: the fields of each request.
        hooks: functions by the names of events.
        is_closed: True after `Client.close`.

    """

    given: dict[str, Any]
    headers: Headers
    hooks: dict[str, Any]
    is_closed: bool


def picklable(given: Mapping[str, Any], cookies: Cookies) -> dict[str, Any]:
    """Return arguments of `Client` as they are pickled.

    Args:
        given: the arguments.
        cookies: those that the client has by now.

    Raises:
        TypeError: there is an *ssl_context*.

    """
    if given.get("ssl_context") is not None:
        raise TypeError(
            "a client with an ssl_context cannot be pickled, as no context can: give it verify and "
            "cert, the paths of files, instead"
        )
    kept = dict(given)
    if cookies or "cookies" in given:
        kept["cookies"] = cookies
    for name, value in given.items():
        if isinstance(value, ModuleType):
            kept[name] = ModuleName(value.__name__)
    return kept


def restored(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Client` that `picklable` has returned elsewhere.

    Raises:
        ImportError: a module is not there.

    """
    return {
        name: __import__(value.name, fromlist=["loads"]) if isinstance(value, ModuleName) else value
        for name, value in given.items()
    }
