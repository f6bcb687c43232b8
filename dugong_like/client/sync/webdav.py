"""A WebDAV server (RFC 4918): it lists folders by PROPFIND, and makes them by MKCOL.

Each folder is listed by a request of its own (Depth: 1), as many servers refuse to list all at
once. The time of a file goes with its PUT as X-OC-Mtime, which ownCloud, Nextcloud and rclone keep;
on other servers a file has the time at which it was stored.

ownCloud and Nextcloud name digests of files, which are asked for if they are to be compared.

Not here: reading the responses (http/webdav.py), and the digests (oc_checksums.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ...errors import ContentChanged, DugongError, StatusError, TransferError
from ...http.percent import decode
from ...http.redaction import MAX_PATH, quoted
from ...http.url import URL
from ...http.webdav import MULTI_STATUS, XML, Multistatus, Resource
from ...polling.combinators import several
from ...polling.contract import Co
from ..transfers.downloading import co_read_explanation
from .oc_checksums import FIELD, SENT, field_of, named
from .remote import (
    GONE,
    SECOND,
    Build,
    Send,
    Stored,
    Take,
    check_method,
    co_send_source,
    labelled,
    mtime_of,
    redirect_before,
    refusal,
    tag,
    tag_of,
    url_of,
)
from .remote_files import FilesBelow
from .tree import DIGEST_NAMES, Facts, as_text, parents

if TYPE_CHECKING:
    from ...polling.rates import RateLimit
    from ..request import ClientRequest
    from ..response import Response
    from .local import SourceFile

AT_ONCE: Final = 8  # requests for listings
MAX_DEPTH: Final = 200  # folders; a path has 4096 bytes
NO_LIST: Final = {
    **dict.fromkeys(GONE, "there is no such folder"),
    **dict.fromkeys((405, 501), "it knows no WebDAV"),
}
IN_THE_WAY: Final = frozenset({400, 403, 405, 409})  # if something else has the name
EXISTS: Final = 405  # of MKCOL (RFC 4918 section 9.3.1)
CONFLICT: Final = 409  # of MKCOL: there is no folder above (there)
WANTED: Final = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<propfind xmlns="DAV:"><prop><resourcetype/>'
    b"<getcontentlength/><getetag/><getlastmodified/></prop></propfind>"
)
DIGESTS: Final = b'<checksums xmlns="http://owncloud.org/ns"/>'
WITH_DIGESTS: Final = WANTED.replace(b"</prop>", DIGESTS + b"</prop>")


class WebDAVRemote(FilesBelow):
    """A folder on a WebDAV server; see `Remote`.

    Args:
        build: `Client.build_request`.
        url: of the folder.
        compares: True to ask for the digests of all files.

    """

    exact_times = False
    listing_lags = False
    digest_name = SENT

    def __init__(self, build: Build, url: URL, *, compares: bool = False) -> None:
        super().__init__(build, url)
        self._compares = compares
        self._names_digests = True  # the server, as far as is known
        self._base = decode(url.path)
        self._exists = False
        self._refused: dict[str, StatusError] = {}  # folders that could not be made
        self._failures: list[tuple[str, DugongError]] = []

    # ---- listing

    @property
    def failures(self) -> Sequence[tuple[str, DugongError]]:
        """See `Remote.failures`."""
        return self._failures

    @property
    def is_there(self) -> bool:
        """See `Remote.is_there`."""
        return self._exists

    def co_list(self, co_send: Send, take: Take, *, must_exist: bool) -> Co[None]:
        """List each folder; see `Remote.co_list`."""
        return self._co_list_below(co_send, "", take, must_exist=must_exist)

    def _co_list_below(self, co_send: Send, top: str, take: Take, *, must_exist: bool) -> Co[None]:
        """List the folder *top*, and each one in it; *must_exist* is about *top*."""
        level = [top]
        for _ in range(MAX_DEPTH):
            found: list[list[str]] = []
            lists = (
                self._co_list_folder(co_send, folder, take, must_exist=must_exist or folder != top)
                for folder in level
            )
            yield from several(lists, found, AT_ONCE)
            level = [folder for folders in found for folder in folders]
            if not level:
                return
        raise TransferError("the folders on the server are nested too deeply")

    def _co_list_folder(
        self, co_send: Send, folder: str, take: Take, *, must_exist: bool
    ) -> Co[list[str]]:
        """List one folder; return the folders that are in it."""
        request = self._propfind(f"{folder}/" if folder else "", "1", digests=self._compares)
        response = yield from co_send(request, stream=True)
        if response.status_code in GONE and not must_exist:
            response.close()
            return []
        if response.status_code != MULTI_STATUS:
            yield from co_read_explanation(response)
            failure = refusal(response, "a list of files", NO_LIST.get(response.status_code, ""))
            if response.status_code in GONE and folder:  # removed meanwhile, or hidden
                self._failures.append((folder, failure))
                return []
            raise failure
        folders: list[str] = []
        has_itself = False

        def note(resource: Resource) -> None:
            nonlocal has_itself
            path = self._path_of(resource.href, response.url)
            if path is None:
                raise TransferError(
                    f"the list has {quoted(resource.href, MAX_PATH)}, which is not in the folder:"
                    " the server may call that by another URL"
                )
            if path == folder:
                has_itself = True
            elif resource.is_folder:
                folders.append(path)
            elif resource.size is None:
                failure = TransferError("the server does not say how large it is", path=path)
                self._failures.append((path, failure))
            else:
                take(path, _facts(resource))

        yield from _co_read(response, request, note)
        if not has_itself:  # RFC 4918 section 9.1 wants it
            with labelled(request):
                raise TransferError("the list does not have the folder itself")
        self._exists = self._exists or not folder
        return [each for each in folders if each.rpartition("/")[0] == folder]

    def _propfind(self, path: str, depth: str, *, digests: bool) -> ClientRequest:
        request = self.request("PROPFIND", path)
        request.headers.set("Depth", depth)
        request.headers.set("Content-Type", XML)
        request.body = WITH_DIGESTS if digests else WANTED
        return request

    def _path_of(self, href: str, at: URL) -> str | None:
        """Return the path below the folder that a URL is of; None if it is of none there.

        Args:
            href: as the server writes it: with or without scheme and host (RFC 4918 section 8.3),
                which may be those behind a proxy; or, which some do, relative.
            at: URL of the document that it is in.

        """
        before, colon, behind = href.partition("://")
        if href.startswith("//"):
            before, colon, behind = "", "//", href[2:]
        if colon and "/" not in before:
            href = f"/{behind.partition('/')[2]}"
        elif not href.startswith("/"):
            href = f"{at.path.rpartition('/')[0]}/{href.removeprefix('./')}"
        path = decode(href.partition("?")[0])
        if path.rstrip(b"/") == self._base.rstrip(b"/"):
            return ""
        if not path.startswith(self._base):
            return None
        return as_text(path[len(self._base) :].removesuffix(b"/"))

    # ---- folders and files

    def co_remove_folder(self, co_send: Send, path: str) -> Co[bool]:
        """Delete a folder that has no files; see `Remote.co_remove_folder`.

        DELETE takes all that is in a folder (RFC 4918 section 9.6.1): what the listing has left
        out, could not list, or did not find yet. So it is listed again.
        """
        files: list[str] = []
        failures_before = len(self._failures)
        yield from self._co_list_below(
            co_send, path, lambda file, _: files.append(file), must_exist=False
        )
        if files or len(self._failures) > failures_before:
            return False
        return (yield from super().co_remove_folder(co_send, path))

    def co_make_folders(self, co_send: Send, folders: Iterable[str]) -> Co[None]:
        """Make each folder by MKCOL; see `Remote.co_make_folders`."""
        yield from self._co_make_base(co_send)
        levels: dict[int, list[str]] = {}
        for folder in folders:
            levels.setdefault(folder.count("/"), []).append(folder)
        for depth in sorted(levels):
            made: list[None] = []
            ops = (
                self._co_note_folder(co_send, folder)
                for folder in levels[depth]
                if not self._refusal_above(folder)
            )
            yield from several(ops, made, AT_ONCE)

    def _co_make_base(self, co_send: Send) -> Co[None]:
        """Make the folder itself, if the listing has not found it."""
        if not self._exists:
            response = yield from self._co_make_all(co_send, self._url)
            if not response.is_success and response.status_code != EXISTS:
                raise refusal(response)
            self._exists = True

    def _co_make_all(self, co_send: Send, url: URL) -> Co[Response]:
        """Make a folder, and those above it that do not exist (RFC 4918 section 9.3.1).

        Returns:
            The response for the folder itself.

        """
        response = yield from self._co_mkcol(co_send, url)
        above = url.path.rstrip("/").rpartition("/")[0]
        if response.status_code == CONFLICT and above:
            yield from self._co_make_all(co_send, URL(f"{url.origin}{above}/"))
            response = yield from self._co_mkcol(co_send, url)
        return response

    def _co_note_folder(self, co_send: Send, folder: str) -> Co[None]:
        """Make a folder; if it is refused, that is the error of each file in it."""
        try:
            response = yield from self._co_mkcol(co_send, url_of(self._url, f"{folder}/"))
        except StatusError as exc:
            self._refused[folder] = exc
            return
        if not response.is_success and response.status_code != EXISTS:
            why = yield from self._co_why(co_send, folder, response, "file")
            self._refused[folder] = refusal(response, "the folder", why)

    def _co_mkcol(self, co_send: Send, url: URL) -> Co[Response]:
        request = self._build("MKCOL", url)
        request.idempotent = True  # a folder that exists is 405
        response = yield from co_send(request)
        check_method(response, "MKCOL")
        return response

    def _co_why(self, co_send: Send, path: str, response: Response, kind: str) -> Co[str]:
        """Return why the server may have refused something, if a file or folder has its name.

        Args:
            co_send: sends requests.
            path: what has been refused.
            response: by which.
            kind: ``"file"`` or ``"folder"``: which of both would be in the way.

        """
        if response.status_code not in IN_THE_WAY:
            return ""
        request = self._propfind(path, "0", digests=False)
        found: list[Resource] = []
        with suppress(DugongError):
            answer = yield from co_send(request, stream=True)
            if answer.status_code == MULTI_STATUS:
                yield from _co_read(answer, request, found.append)
            answer.close()
        kinds = {"folder" if each.is_folder else "file" for each in found}
        return f"a {kind} has this name there" if kinds == {kind} else ""

    def _refusal_above(self, path: str) -> StatusError | None:
        """Return the error by which a folder that *path* is in was refused."""
        if not self._refused:
            return None
        return next((self._refused[each] for each in parents(path) if each in self._refused), None)

    def co_put(
        self,
        co_send: Send,
        file: SourceFile,
        digest: bytes | None,
        rate: RateLimit | None,
    ) -> Co[Stored]:
        """Store a file; see `Remote.co_put`."""
        if (refused := self._refusal_above(file.path)) is not None:
            raise StatusError(str(refused), response=refused.response)
        request = self.request("PUT", file.path)
        request.headers.set("X-OC-Mtime", str(file.mtime_ns // SECOND))
        if digest is not None:
            request.headers.set(FIELD, field_of(digest))
        try:
            response = yield from co_send_source(co_send, request, file, rate)
        except StatusError as exc:
            why = yield from self._co_why(co_send, file.path, exc.response, "folder")
            if not why:
                raise
            raise refusal(exc.response, "", why) from exc
        return Stored((yield from self.co_tag_after(co_send, file, response)), digest)

    def co_is_stored(self, co_send: Send, file: SourceFile) -> Co[bool]:
        """Ask for the digests of a file; see `Remote.co_is_stored`.

        One of the algorithm that goes with files may be no more than what came with them.
        """
        if not self._names_digests:
            return False
        request = self._propfind(file.path, "0", digests=True)
        response = yield from co_send(request, stream=True)
        if response.status_code != MULTI_STATUS:
            response.close()
            return False
        found: list[Resource] = []
        yield from _co_read(response, request, found.append)
        texts = [
            each.checksums for each in found if self._path_of(each.href, response.url) == file.path
        ]
        digest = named(texts[0], {SENT}) if texts else None
        if digest is None:
            self._names_digests = False
            return False
        return (yield from file.co_digest(DIGEST_NAMES[len(digest)])) == digest

    def mtime_of(
        self,
        path: str,
        listed: Facts,
        response: Response,
        size: int,
    ) -> int | None:
        """Return the time of the response, if it has the listed size; see `Remote.mtime_of`."""
        is_other = size != listed.size
        if redirect_before(response) is not None and listed.tag is not None:
            is_other = is_other or tag_of(response) not in {None, listed.tag}
        if is_other:
            raise ContentChanged(
                "the server has another version than its list says", path=path, limit=listed.size
            )
        return mtime_of(response.field("last-modified")) or listed.mtime_ns

    def request(self, method: str, path: str) -> ClientRequest:
        """Return a request, which may be repeated."""
        request = super().request(method, path)
        request.idempotent = True  # RFC 4918 sections 9.1 and 9.3: a folder that exists is 405
        return request


def _co_read(
    response: Response, request: ClientRequest, note: Callable[[Resource], object]
) -> Co[None]:
    """Call *note* with each resource of a response to PROPFIND."""
    reader = Multistatus(note)
    with response, labelled(request):
        for reading in response.co_iter_bytes():
            data = yield from reading
            if data is not None:
                reader.add(data)
        reader.end()


def _facts(resource: Resource) -> Facts:
    assert resource.size is not None
    return Facts(
        resource.size,
        mtime_of(resource.modified),
        tag(resource.etag, resource.modified),
        named(resource.checksums),
    )
