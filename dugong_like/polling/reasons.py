"""The reason of a wait, found out when somebody asks.

Nothing is noted when an operation begins to wait. Most descriptors are waited for with one reason
only, which their `Source` has. The reason of a wait for a connection depends on what happens there,
and is asked of an `Explainer`, as is what connection it is.

Not here: the waits (contract.py), and all operations of a loop (drivers/stuck.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

FLAG: Final = "wake"  # the reason of a `Wake` that was given no other
RECEIVING: Final = "receive"  # that of a connected socket
WEAK: Final = frozenset({None, FLAG, RECEIVING})  # an explainer may know more


class Explainer(Protocol):
    """The interface of a part of the library that knows what its operations wait for."""

    def reason_of(self, fd: int, mask: int, /) -> str | None:
        """Return what a wait for *fd* is for; None if that is not known here."""
        ...

    def subject_of(self, values: Iterable[object], /) -> tuple[str, float | None] | None:
        """Return what an operation is about; None if that is not known here.

        Args:
            values: the local variables of its generators, the innermost first.

        Returns:
            The name of the connection, with the request if there is one, without secrets; and
            seconds since anything has moved there, None if they are not known.

        """
        ...


explainers: Final[list[Callable[[], Explainer]]] = []  # each imports what it returns


def explained(reason: str | None, fd: int, mask: int) -> str | None:
    """Return the reason of a wait whose source says *reason*."""
    if reason in WEAK:
        for explainer in explainers:
            if (known := explainer().reason_of(fd, mask)) is not None:
                return known
    return reason


def joined(reasons: Iterable[str | None]) -> str | None:
    """Return several reasons as one, each once; None if none is known."""
    return " or ".join(dict.fromkeys(reason for reason in reasons if reason is not None)) or None
