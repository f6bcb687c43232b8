"""Decoding the body of a response: content codings taken off, up to a size, and JSON.

Not here: receiving the body (response.py), the codings (http/codings.py), and text (http/text.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import BodyTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..http.codings import Decoder
    from ..polling.contract import Co

PARTIAL_CONTENT: Final = 206


class ReadingOptions:
    """How the bodies of responses are read: a setting of a client.

    Args:
        decompress: True to take known content codings off.
        max_body: decoded bytes at most; None for any number.
        default_encoding: of text without charset: a name, or a function that gets the bytes and
            returns one.
        loads: parses JSON; None for `json.loads`.

    """

    __slots__ = ("decompress", "default_encoding", "loads", "max_body")

    def __init__(
        self,
        decompress: bool = True,
        max_body: int | None = None,
        default_encoding: str | Callable[[bytes], str | None] = "utf-8",
        loads: Callable[..., Any] | None = None,
    ) -> None:
        self.decompress = decompress
        self.max_body = max_body
        self.default_encoding = default_encoding
        self.loads = loads

    def parse_json(self, content: bytes, options: Mapping[str, Any]) -> Any:
        """Return the value of the JSON in *content*, parsed with *options* of `loads`.

        Raises:
            ValueError: it is no JSON.

        """
        if self.loads is not None:
            return self.loads(content, **options)
        from json import loads  # noqa: PLC0415 - 1 ms, for programs that read it

        return loads(content, **options)


AS_USUAL: Final = ReadingOptions()


class BodyDecoding:
    """Decodes one body, by pieces or as a whole, and refuses one that is too large.

    Args:
        options: how it is read.
        codings: value of Content-Encoding; None for no such field, or if there is no body.
        is_part: True if it is a part of an encoded body; see `is_part`.

    Raises:
        DecodingError: there are too many codings.

    Attributes:
        is_left: True if there is a coding that is left in place.

    """

    __slots__ = ("_count", "_decoder", "_most", "is_left")

    def __init__(
        self, options: ReadingOptions, codings: str | None, *, is_part: bool = False
    ) -> None:
        self._most = options.max_body
        self._count = 0  # decoded bytes
        self._decoder: Decoder | None = None
        self.is_left = False
        if codings is not None:
            from ..http.codings import content_codings, decoder_for  # noqa: PLC0415 - if needed

            if options.decompress and not is_part:
                self._decoder = decoder_for(codings)
            self.is_left = self._decoder is None and bool(content_codings(codings))

    def co_next(self, co_receive: Callable[[], Co[bytes]]) -> Co[bytes]:
        """Return the next decoded bytes; ``b""`` at the end.

        Args:
            co_receive: returns the next bytes as they are sent; ``b""`` at the end.

        Raises:
            DecodingError: the coding is broken.
            BodyTooLarge: there are more bytes than the options allow.
            DugongError: what *co_receive* raises.

        """
        decoder = self._decoder
        if decoder is None:
            data = yield from co_receive()
        else:
            data = decoder.decode()
            while not data:
                received = yield from co_receive()
                if not received:
                    decoder.finish()
                    break
                data = decoder.decode(received)
        self._count += len(data)
        if self._most is not None and self._count > self._most:
            raise _too_large(self._most)
        return data

    def decode_all(self, body: bytes) -> bytes:
        """Return the whole *body* decoded, instead of `co_next`. Raises what that raises."""
        if self._decoder is not None:
            return self._decoder.decode_all(body, self._most)
        if self._most is not None and len(body) > self._most:
            raise _too_large(self._most)
        return body


def is_part(status_code: int, content_range: str | None) -> bool:
    """Return True if the body is a part of an encoded one, or several (RFC 9110 section 14.2).

    A part cannot be decoded, but be put together with others.

    Args:
        status_code: of the response.
        content_range: value of its field Content-Range, if there is one.

    """
    if status_code != PARTIAL_CONTENT:
        return False
    from ..http.content_range import parse_content_range  # noqa: PLC0415 - for a few responses

    found = parse_content_range(content_range)
    return found is None or len(found) != found.size


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {most} bytes")
