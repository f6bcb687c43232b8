"""Docstrings for the twins of an operation, taken from the operation.

Not here: the twins (connection.py, file_transfer.py, async_connection.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def twin_of(operation: Callable[..., Any]) -> Callable[[F], F]:
    """Return a decorator that gives a twin the documentation of *operation*.

    It consists of the summary of the operation, the docstring of the twin, and the rest of the
    operation's docstring, in which names of operations lose their ``co_``. The docstring of the
    twin is kept as its attribute ``own_doc``.
    """

    def document(twin: F) -> F:
        own, whole = twin.__doc__, operation.__doc__
        if own is not None and whole is not None:  # with -OO there is neither
            summary, _, rest = whole.replace("co_", "").partition("\n")
            twin.__dict__["own_doc"] = own
            margin = rest[: len(rest) - len(rest.lstrip())].rpartition("\n")[2]
            twin.__doc__ = f"{summary}\n\n{margin}{own.rstrip()}\n{rest}"
        return twin

    return document
