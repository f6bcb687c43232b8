"""The part of an `S3Remote` that its parts use: they send requests by it.

Not here: how it does that (s3.py), and for what (s3_parts.py, s3_deletes.py, s3_checksums.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ...polling.contract import Co

if TYPE_CHECKING:
    from ..request import ClientRequest
    from ..response import Response
    from .local import SourceFile
    from .remote import Send
    from .s3_xml import Document


class Requests(Protocol):
    """See above."""

    def key(self, path: str) -> str:
        """Return the key of a path."""
        ...

    def request(
        self, method: str, path: str | None, query: Mapping[str, str] | None = None
    ) -> ClientRequest:
        """Return a request for a file, or for the bucket (None)."""
        ...

    def co_ask(self, co_send: Send, request: ClientRequest) -> Co[Document]:
        """Return the document that is the answer."""
        ...

    def co_answer(self, co_send: Send, request: ClientRequest) -> Co[tuple[Response, Document]]:
        """Return a response, and the document that it has."""
        ...

    def co_tag(self, co_send: Send, file: SourceFile) -> Co[str | None]:
        """Return the tag of a file that was stored."""
        ...

    def co_delete(self, co_send: Send, path: str) -> Co[None]:
        """Delete one object."""
        ...
