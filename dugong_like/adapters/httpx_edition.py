"""httpx or httpx2: the module that a request belongs to, and classes derived from its own.

Both have the same names, and each demands instances of its own classes. So the transports look at
the class of each request, and import neither.
"""

from __future__ import annotations

import functools
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, TypeVar

T = TypeVar("T")
NAMES: Final = {"httpx": "httpcore", "httpx2": "httpcore2"}  # and the module that each is based on

if not any(sys.modules.get(name) or find_spec(name) for name in NAMES):
    raise ModuleNotFoundError(
        "dugong_like.adapters.httpx needs httpx or httpx2: "
        "install 'dugong-like[httpx]' or 'dugong-like[httpx2]'",
        name="httpx",
    )


class Edition:
    """One of the two.

    Attributes:
        client: the module `httpx` or `httpx2`.
        core: the module that it is based on, `httpcore` or `httpcore2`.

    """

    def __init__(self, name: str) -> None:
        self.client: ModuleType = sys.modules[name]
        self.core: ModuleType = import_module(NAMES[name])


edition = functools.cache(Edition)


def edition_of(request: Any) -> Edition:
    """Return the edition with the Request class of *request*, which may be a derived one.

    Raises:
        TypeError: there is none.

    """
    for kind in type(request).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in NAMES:
            return edition(name)
    raise TypeError(f"a request of httpx or httpx2 is needed, not {type(request).__name__}")


@functools.cache
def derived(kind: type[T], *theirs: type) -> type[T]:
    """Return a class derived from *kind* and from classes of httpx; *kind* comes first."""
    return type(kind.__name__, (kind, *theirs), {"__doc__": kind.__doc__})
