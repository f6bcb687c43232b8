"""S3: deleting up to 1,000 objects by one request (DeleteObjects).

The answer names the keys that were not deleted, with the reasons. Keys that XML cannot express, and
those that failed for the moment, are deleted by requests of their own; so are all keys, if the
service does not know DeleteObjects.

Not here: requests in general (s3.py).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ...errors import DugongError, StatusError, TransferError, TransportError
from ...http.redaction import quoted
from ...polling.combinators import several
from ...polling.contract import Co
from ..transfers.digests import new_hash
from .remote import Send
from .s3_xml import compose

if TYPE_CHECKING:
    from .s3_requests import Requests

MOST: Final = 1000  # keys of a request
AT_ONCE: Final = 8  # requests, if each is for one object
UNKNOWN: Final = frozenset({400, 405, 501})  # statuses of services that do not have it
QUIET: Final = (("Quiet", "true"),)  # the answer has errors only
GONE: Final = "NoSuchKey"
AGAIN: Final = frozenset({"InternalError", "ServiceUnavailable", "SlowDown"})
# Characters that XML cannot have: its documents are refused, or have others (XML 1.0 section 2.2).
_is_impossible = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search


class Deletes:
    """Deletes objects.

    Args:
        remote: makes the requests.

    """

    def __init__(self, remote: Requests) -> None:
        self._remote = remote
        self._is_known = True  # DeleteObjects, by the service

    def co_delete(self, co_send: Send, paths: Sequence[str]) -> Co[dict[str, DugongError]]:
        """Delete objects, `MOST` at most; those that are gone are no errors.

        Returns:
            Those that are still there, with the errors.

        Raises:
            StatusError: the service does not delete them.
            TransferError: its answer is not valid.

        """
        errors: dict[str, DugongError] = {}
        possible = [path for path in paths if not _is_impossible(self._remote.key(path))]
        together = possible if self._is_known and len(possible) > 1 else []
        alone = set(paths).difference(together)
        if together:
            try:
                errors, again = yield from self._co_together(co_send, together)
            except StatusError as exc:
                if exc.response.status_code not in UNKNOWN:
                    raise
                self._is_known = False
                again = set(together)
            alone |= again
        ops = (self._co_alone(co_send, path, errors) for path in paths if path in alone)
        yield from several(ops, [], AT_ONCE)
        return errors

    def _co_together(
        self, co_send: Send, paths: Sequence[str]
    ) -> Co[tuple[dict[str, DugongError], set[str]]]:
        """Return the errors, and the paths that have to be tried again."""
        path_of = {self._remote.key(path): path for path in paths}
        request = self._remote.request("POST", None, {"delete": ""})
        request.idempotent = True  # what is gone already is no error
        request.body = compose("Delete", "Object", ([("Key", key)] for key in path_of), QUIET)
        digest = new_hash("md5")
        digest.update(request.body)
        request.headers.set("Content-MD5", base64.b64encode(digest.digest()).decode())
        request.headers.set("Content-Type", "application/xml")
        response, document = yield from self._remote.co_answer(co_send, request)
        document.check("DeleteResult")
        errors: dict[str, DugongError] = {}
        again = set()
        for texts in document.of("Error"):
            path = path_of.get(texts.get("Key", ""))
            if path is None:
                raise TransferError("the server names a key that it was not asked to delete")
            code = texts.get("Code", "")
            if code in AGAIN:
                again.add(path)
            elif code != GONE:
                said = f"{code}: {quoted(texts.get('Message', ''))}"
                errors[path] = StatusError(
                    f"the server has not deleted it ({said})", response=response
                )
        return errors, again

    def _co_alone(self, co_send: Send, path: str, errors: dict[str, DugongError]) -> Co[None]:
        try:
            yield from self._remote.co_delete(co_send, path)
        except TransportError:
            raise
        except DugongError as exc:
            errors[path] = exc
