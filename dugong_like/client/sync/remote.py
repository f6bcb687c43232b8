"""The other side of a synchronisation: what is asked of a server, whatever its kind.

`Remote` is all that the rest knows of a server. A new kind is one file with a class that has these
methods, and a line in syncing.py. Its operations send requests by a function that is given to each
of them, ``co_send`` of a client: so small requests are pipelined, and limits, retries and
authentication are those of the client.

Not here: the kinds (manifest.py, webdav.py, s3.py), and what they do alike (remote_files.py).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from ...errors import ContentChanged, DugongError, StatusError, TransferError
from ...http.http_date import parse_http_date
from ...http.patterns import compiled_later
from ...http.percent import encode
from ...http.redaction import mask_target
from ...http.url import URL
from ...polling.contract import Co
from ..transfers.downloading import co_read_explanation
from ..transfers.upload import co_send_file
from .tree import ESCAPE, Facts, Item

if TYPE_CHECKING:
    from ...http.url import Origin
    from ...polling.rates import RateLimit
    from ..request import ClientRequest
    from ..response import Response
    from .local import SourceFile

Send: TypeAlias = "Callable[..., Co[Response]]"
Build: TypeAlias = "Callable[..., ClientRequest]"
Take: TypeAlias = Callable[[str, Facts], object]

ASK_FIRST: Final = 16 << 20  # bytes of a file for which the server is asked (Expect) before
GONE: Final = frozenset({404, 410})  # RFC 9110 sections 15.5.5 and 15.5.11
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
PIECE: Final = 262144  # bytes
SECOND: Final = 10**9  # nanoseconds
IN_NAMES: Final = compiled_later(r"[^A-Za-z0-9\-._~/]+")


class Stored(NamedTuple):
    """The facts of a file that a server has stored.

    Attributes:
        tag: what the server calls this version, see `Facts.tag`; None if it does not say.
        digest: the digest that was sent with it; None for none.

    """

    tag: str | None
    digest: bytes | None = None


class Look(NamedTuple):
    """The facts of a file that a response to HEAD has.

    Attributes:
        size: bytes; None if it does not say (RFC 9110 section 9.3.2).
        tag: see `Facts.tag`.

    """

    size: int | None
    tag: str | None


class Remote(Protocol):
    """A folder on a server.

    Attributes:
        name: what messages and the record call it: a URL without secrets.
        origin: where most requests go.
        exact_times: True if the listing has the times that were given to `co_put`, to the
            nanosecond.
        listing_lags: True if a run that was killed leaves a listing that does not have all that was
            stored: `co_look` is the only way to know then.
        deletes_at_once: how many files `co_delete_many` deletes at most; 1 if it must not be used.
        digest_name: the algorithm of the digest that `co_put` stores, as hashlib calls it.
        failures: paths that `co_list` could not list, with the errors: nothing is deleted then.
        is_there: True if `co_list` has found the folder, or its list; or if there are none.

    """

    name: str
    origin: Origin
    exact_times: bool
    listing_lags: bool
    deletes_at_once: int
    digest_name: str

    @property
    def failures(self) -> Sequence[tuple[str, DugongError]]:
        """See above."""
        ...

    @property
    def is_there(self) -> bool:
        """See above."""
        ...

    def co_list(self, co_send: Send, take: Take, *, must_exist: bool) -> Co[None]:
        """Call *take* with the path and the facts of each file, in any order.

        Args:
            co_send: sends requests.
            take: paths that no file may have are refused there, not here.
            must_exist: False to take a folder that does not exist for an empty one.

        Raises:
            StatusError: the server does not give it, or it must exist and does not.
            TransferError: it is not valid.

        """
        ...

    def co_make_folders(self, co_send: Send, folders: Iterable[str]) -> Co[None]:
        """Make folders that are needed before files are stored; those above come first.

        Nothing is to be done for a server without folders, and for one that exists.
        """
        ...

    def co_put(
        self, co_send: Send, file: SourceFile, digest: bytes | None, rate: RateLimit | None
    ) -> Co[Stored]:
        """Store a file; see `co_send_source`.

        Args:
            co_send: sends requests.
            file: it has the path, the size, the time and the bytes.
            digest: its digest if that is known, to be stored with it if the server can.
            rate: bytes a second at most.

        Raises:
            StatusError: the server does not store it.
            ContentChanged: it has changed meanwhile.

        """
        ...

    def co_look(self, co_send: Send, path: str) -> Co[Look | None]:
        """Return what the server has under a path now; None if it has nothing there."""
        ...

    def co_is_same(self, co_send: Send, file: SourceFile, listed: Facts) -> Co[bool | None]:
        """Compare the bytes of both sides by a digest that the server names.

        Args:
            co_send: sends requests.
            file: the local file.
            listed: the facts of that of the server, which has the same size.

        Returns:
            None if it names none.

        """
        ...

    def co_is_stored(self, co_send: Send, file: SourceFile) -> Co[bool]:
        """Return True if the server says that it has the bytes of a file, which was copied.

        It has to have computed their digest by itself. If this returns False, they are read back.
        """
        ...

    def get(self, path: str) -> ClientRequest:
        """Return the request for the bytes of a file. It is sent with Range if it is resumed."""
        ...

    def mtime_of(self, path: str, listed: Facts, response: Response, size: int) -> int | None:
        """Return the time of a file that has been received; None if it is unknown.

        Args:
            path: of the file.
            listed: its facts in the listing.
            response: to the request of `get`.
            size: bytes that it had.

        Raises:
            ContentChanged: it is not the listed version, and the list says what it should be.

        """
        ...

    def co_delete(self, co_send: Send, path: str) -> Co[None]:
        """Delete a file. One that is gone is no error. Raises StatusError."""
        ...

    def co_delete_many(self, co_send: Send, paths: Sequence[str]) -> Co[dict[str, DugongError]]:
        """Delete files by one request.

        Returns:
            Those that could not be deleted, with the errors.

        Raises:
            StatusError: the server refuses all.

        """
        ...

    def co_remove_folder(self, co_send: Send, path: str) -> Co[bool]:
        """Remove a folder that has the name of a file, and whose files were deleted.

        Returns:
            False if it still has a file, such as one that is left alone. It stays then.

        Raises:
            StatusError: the server refuses it.
            TransferError: what is in it cannot be listed.

        """
        ...

    def co_finish(self, co_send: Send, listing: Iterable[Item]) -> Co[None]:
        """Take note of what is there after an upload, which may not be complete.

        Args:
            co_send: sends requests.
            listing: all files that are there, ordered by path; those that were stored, or looked
                at, with the tags and times of this run.

        Raises:
            StatusError: the server does not store it.

        """
        ...


def url_of(base: URL, path: str) -> URL:
    """Return the URL of a path below *base*, whose path ends with ``/``."""
    return URL(f"{base}{encode(path, IN_NAMES, ESCAPE)}")


def tag_of(response: Response) -> str | None:
    """Return what the server calls the version of a response; None if it does not say.

    That is its entity tag, or else its time. Weak ones are compared as strong ones (RFC 9110
    section 8.8.3.2): servers make a tag weak for as long as the file is new, and strong later.
    """
    etag = response.field("etag")
    return tag(etag, None if etag is not None else response.field("last-modified"))


def tag(etag: str | None, modified: str | None) -> str | None:
    """Return the tag for these two values; see `tag_of`."""
    if etag is not None:
        return etag.strip().removeprefix("W/")
    return None if modified is None else f"time {modified.strip()}"


def redirect_before(response: Response) -> Response | None:
    """Return the last redirect that led to *response*; None if it is the answer to the request."""
    redirects = [each for each in response.history if each.status_code in REDIRECTS]
    return redirects[-1] if redirects else None


def check_method(response: Response, method: str) -> None:
    """Check that a success is the answer to a request with *method*.

    A redirect may lead to a page that says nothing about what was to be done (303, RFC 9110 section
    15.4.4), such as one to log in.

    Raises:
        StatusError: it is the answer to another one.

    """
    redirect, request = redirect_before(response), response.request
    if redirect is None or request is None or request.method == method:
        return
    if response.is_success:
        raise refusal(redirect, "", "that leads to a page, and nothing was done")


def look_of(response: Response) -> Look:
    """Return the facts that a response to HEAD has."""
    length = response.field("content-length") or ""
    return Look(int(length) if length.isascii() and length.isdigit() else None, tag_of(response))


def check_stored(found: Look | None, file: SourceFile) -> None:
    """Check that a server has what was sent, as far as it says so.

    Raises:
        ContentChanged: it has not.

    """
    if found is None or found.size not in {None, file.size}:
        raise ContentChanged(
            "the server does not have what was sent", path=file.path, limit=file.size
        )


def mtime_of(modified: str | None) -> int | None:
    """Return the time of Last-Modified in nanoseconds since 1970; None if it is none."""
    seconds = None if modified is None else parse_http_date(modified, time.time())
    return None if seconds is None else seconds * SECOND


def refusal(response: Response, what: str = "", why: str = "") -> StatusError:
    """Return the error of a response that is no success.

    Args:
        response: see there.
        what: to what it is the answer.
        why: the reason, if that is known.

    """
    about = f" for {what}" if what else ""
    reason = f": {why}" if why else ""
    error = StatusError(
        f"the server answered {response.status_code}{about}{reason}", response=response
    )
    label(error)
    return error


def label(error: StatusError) -> None:
    """Have the message of *error* name the request."""
    if (request := error.response.request) is not None:
        error.label(request.method, mask_target(str(request.url)))


@contextmanager
def labelled(request: ClientRequest) -> Iterator[None]:
    """Have errors about the answer to *request* name it."""
    try:
        yield
    except DugongError as exc:
        exc.label(request.method, mask_target(str(request.url)))
        raise


def co_send_source(
    co_send: Send, request: ClientRequest, file: SourceFile, rate: RateLimit | None
) -> Co[Response]:
    """Send *request* with the bytes of a file as its body; return the response, if a success.

    Raises:
        StatusError: it is none, or a redirect has led to a page.
        ContentChanged: the file has changed meanwhile.
        TransferError: the server answered before it had everything.

    """
    body, method = file.body, request.method
    if body is not None:
        body.rate = rate
        response = yield from co_send_file(co_send, request, body, file.size >= ASK_FIRST)
        check_method(response, method)
        return response
    assert file.data is not None
    if rate is not None:
        yield from rate.co_take(file.size)
    request.body = file.data
    response = yield from co_send(request)
    if not response.is_success:
        raise refusal(response)
    if response.answered_early:
        raise TransferError(f"{response.status_code} came before the server had everything")
    check_method(response, method)
    return response


def co_look_at(co_send: Send, request: ClientRequest) -> Co[Response | None]:
    """Send *request*, HEAD; return the response, or None if there is no such resource.

    It is asked for without codings, which have other sizes and tags.

    Raises:
        StatusError: the server does not say.

    """
    request.headers.set("Accept-Encoding", "identity")
    response = yield from co_send(request)
    if response.status_code in GONE:
        return None
    if not response.is_success:
        raise refusal(response)
    return response


def co_digest_of(co_send: Send, request: ClientRequest, rate: RateLimit | None) -> Co[bytes]:
    """Return the SHA-256 of the bytes that *request* gets.

    Raises:
        StatusError: it gets none.

    """
    response = yield from co_send(request, stream=True)
    if not response.is_success:
        yield from co_read_explanation(response)
        raise refusal(response)
    running = hashlib.sha256()
    view = memoryview(bytearray(PIECE))
    with response:
        for receiving in response.co_iter_into(view):
            count = yield from receiving
            if count is not None:
                if rate is not None:
                    yield from rate.co_take(count)
                running.update(view[:count])
    return running.digest()
