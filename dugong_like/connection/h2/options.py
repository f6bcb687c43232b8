"""Options of HTTP/2 for a connection, and heads of requests that either version can send.

Not here: options of the protocol itself (http/h2/options.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Self

from ...errors import InvalidOption, InvalidRequest
from ...http.arguments import check_callable
from ...http.h2.fields import RequestFields
from ...http.h2.options import H2Options, H2Settings
from ...http.redaction import quoted

if TYPE_CHECKING:
    from ...http.h1.request_head import RequestHeads
    from ...http.h2.static_table import Field
    from ...http.header_validation import FieldLines

KNOWN: Final = ("h2", "http/1.1")
FRAMING: Final = b"transfer-encoding"  # which HTTP/2 has in its frames


def check_versions(versions: Sequence[str]) -> tuple[str, ...]:
    """Return *versions*, each of them known and there once.

    Raises:
        InvalidOption: there are none, one is unknown, or there twice.
        TypeError: they are no sequence of names.

    """
    if isinstance(versions, str | bytes) or not isinstance(versions, Iterable):
        raise TypeError(f"versions is a sequence such as ('h2',), not {quoted(versions)}")
    known = tuple(versions)
    for name in known:
        if not isinstance(name, str):
            raise TypeError(f"versions: the name of a protocol is a string, not {quoted(name)}")
        if name not in KNOWN:
            raise InvalidOption(f"versions has {quoted(name)}: known are h2 and http/1.1")
    if not known or len(set(known)) < len(known):
        raise InvalidOption("versions has to have h2, http/1.1, or each of them once")
    return known


def check_options(
    options: H2Options | None, on_settings: Callable[[H2Settings], object] | None
) -> None:
    """Check the types of the options of HTTP/2. Raises `TypeError`."""
    if options is not None and not isinstance(options, H2Options):
        raise TypeError(f"http2 is an H2Options or None, not {quoted(options)}")
    check_callable(on_settings, "on_settings")


class EitherHead(bytes):
    """The head of a request as HTTP/1.1 sends it, which HTTP/2 sends as `section`.

    Attributes:
        protocol: of an extended CONNECT (RFC 8441 section 4); empty for other requests.

    """

    protocol = ""

    def __new__(cls, head: bytes, *_: object) -> Self:
        """Return *head* with the other arguments, which `__init__` takes."""
        return super().__new__(cls, head)

    def __init__(
        self,
        _: bytes,
        builder: RequestFields,
        method: str,
        path: str,
        fields: FieldLines,
        framing: str,
    ) -> None:
        self._parts = builder, method, path, fields, framing
        self._section: tuple[Field, ...] | None = None

    def section(self) -> tuple[Field, ...]:
        """Return the fields for HTTP/2, with the pseudo-fields in front.

        Raises:
            InvalidRequest: one of them is for HTTP/1 only, such as Connection and Upgrade.

        """
        if self._section is None:
            builder, method, path, fields, framing = self._parts
            if method == "CONNECT" and not self.protocol:
                raise InvalidRequest("CONNECT is sent over HTTP/1.1 only")
            own = []
            for line in framing.encode("latin-1").split(b"\r\n")[:-1]:
                name, _, value = line.partition(b":")
                if (lower := name.lower()) != FRAMING:
                    own.append((lower, value.strip()))
            self._section = (
                *builder.build(method, path, fields, protocol=self.protocol),
                *own,
            )
        return self._section


class EitherHeads:
    """Builds heads of requests that are sent over either version, in place of `RequestHeads`.

    Args:
        heads: builds those of HTTP/1.1.
        scheme: of the origin.
        host: value of Host.

    Attributes:
        minor: see `RequestHeads`; and so for the others.

    """

    minor: Final = 1
    repeats: Final = True

    def __init__(self, heads: RequestHeads, scheme: str, host: str) -> None:
        self._heads = heads
        self._fields = RequestFields(scheme, host)
        self.known: dict[tuple[object, ...], bytes] = {}

    def build(self, method: str, path: str, fields: FieldLines, framing: str) -> EitherHead:
        """Return a head; arguments and errors are those of `RequestHeads.build`."""
        head = self._heads.build(method, path, fields, framing)
        return EitherHead(head, self._fields, method, path, fields, framing)

    def section(self, method: str, path: str, fields: FieldLines) -> tuple[Field, ...]:
        """Return the head of a request for HTTP/2 only, with nothing said of a body.

        Args:
            method: request method, an exact string.
            path: request target.
            fields: the caller's, which `build` has taken before for the same method.

        Raises:
            InvalidRequest: *path* cannot be sent.

        """
        return self._fields.build(method, path, fields)

    def build_connect(self, protocol: str, path: str, fields: FieldLines) -> EitherHead:
        """Return the head of an extended CONNECT (RFC 8441 section 4), for HTTP/2 only.

        Args:
            protocol: value of ``:protocol``.
            path: request target, as of GET.
            fields: the caller's.

        Raises:
            InvalidRequest: an argument cannot be sent.

        """
        head = self._heads.build("GET", path, fields, "")
        either = EitherHead(head, self._fields, "CONNECT", path, fields, "")
        either.protocol = protocol
        return either
