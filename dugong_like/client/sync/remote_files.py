"""Looking at a file on a server, getting and deleting it, as several kinds of servers do it alike.

Not here: what all the rest knows of a server (remote.py), and the kinds (manifest.py, webdav.py,
s3.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...http.redaction import mask_target
from ...polling.contract import Co
from ..transfers.downloading import prepare
from .remote import (
    GONE,
    Build,
    Look,
    Send,
    check_method,
    check_stored,
    co_look_at,
    look_of,
    redirect_before,
    refusal,
    tag_of,
    url_of,
)
from .tree import DIGEST_NAMES

if TYPE_CHECKING:
    from ...errors import DugongError
    from ...http.url import URL, Origin
    from ..request import ClientRequest
    from ..response import Response
    from .local import SourceFile
    from .tree import Facts, Item


class RemoteFiles(ABC):
    """The methods of a `Remote` that are the same for several kinds of servers."""

    deletes_at_once = 1
    digest_name = "sha256"

    @property
    def failures(self) -> Sequence[tuple[str, DugongError]]:
        """Paths that could not be listed: none."""
        return ()

    @abstractmethod
    def request(self, method: str, path: str) -> ClientRequest:
        """Return a request for the file at *path*."""

    def co_look(self, co_send: Send, path: str) -> Co[Look | None]:
        """Send HEAD; see `Remote.co_look`."""
        response = yield from co_look_at(co_send, self.request("HEAD", path))
        return None if response is None else look_of(response)

    def co_tag(self, co_send: Send, file: SourceFile) -> Co[str | None]:
        """Return the tag of a file that was stored.

        Raises:
            ContentChanged: the server has something else there.

        """
        found = yield from self.co_look(co_send, file.path)
        check_stored(found, file)
        return None if found is None else found.tag

    def co_tag_after(self, co_send: Send, file: SourceFile, response: Response) -> Co[str | None]:
        """Return the tag of a file that was stored, by *response*, the answer to its PUT.

        If that has none, or is the answer of another resource, the file is looked at.

        Raises:
            ContentChanged: see `co_tag`.

        """
        tag = tag_of(response)
        if tag is not None and redirect_before(response) is None:
            return tag
        return (yield from self.co_tag(co_send, file))

    def co_is_same(
        self,
        co_send: Send,  # noqa: ARG002 - see there
        file: SourceFile,
        listed: Facts,
    ) -> Co[bool | None]:
        """Compare with the digest of the list; see `Remote.co_is_same`."""
        if listed.digest is None:
            return None
        return (yield from file.co_digest(DIGEST_NAMES[len(listed.digest)])) == listed.digest

    def co_is_stored(self, co_send: Send, file: SourceFile) -> Co[bool]:  # noqa: ARG002
        """Return False; see `Remote.co_is_stored`."""
        yield from ()
        return False

    def co_delete_many(self, co_send: Send, paths: Sequence[str]) -> Co[dict[str, DugongError]]:
        """Delete one after the other; see `Remote.co_delete_many`."""
        for path in paths:
            yield from self.co_delete(co_send, path)
        return {}

    def get(self, path: str) -> ClientRequest:
        """Return the request for a file; see `Remote.get`."""
        request = self.request("GET", path)
        prepare(request, None)
        return request

    def co_delete(self, co_send: Send, path: str) -> Co[None]:
        """Delete a file; see `Remote.co_delete`."""
        response = yield from co_send(self.request("DELETE", path))
        check_method(response, "DELETE")
        if not response.is_success and response.status_code not in GONE:
            raise refusal(response)

    def co_remove_folder(self, co_send: Send, path: str) -> Co[bool]:
        """Delete a folder, or what stands for it; see `Remote.co_remove_folder`.

        Such a server cannot say what is in it: files that its list does not have go as well.
        """
        yield from self.co_delete(co_send, f"{path}/")
        return True

    @property
    def is_there(self) -> bool:
        """Return True: there is nothing that could be missing."""
        return True

    def co_make_folders(self, co_send: Send, folders: Iterable[str]) -> Co[None]:  # noqa: ARG002
        """Do nothing: such a server makes folders by itself, or needs none."""
        yield from ()

    def co_finish(self, co_send: Send, listing: Iterable[Item]) -> Co[None]:  # noqa: ARG002
        """Do nothing: the server knows what it has."""
        yield from ()


class FilesBelow(RemoteFiles):
    """Files whose URLs are that of a folder and their path.

    Args:
        build: `Client.build_request`.
        url: of the folder.

    """

    def __init__(self, build: Build, url: URL) -> None:
        self.origin: Origin = url.origin
        self.name = mask_target(str(url))
        self._build = build
        self._url = url

    def request(self, method: str, path: str) -> ClientRequest:
        """Return a request for the file at *path*."""
        return self._build(method, url_of(self._url, path))
