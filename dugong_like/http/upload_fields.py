"""The fields of resumable uploads (draft-ietf-httpbis-resumable-upload, interop version 8).

Upload-Offset and Upload-Length are integers, Upload-Complete is a boolean, Upload-Limit a
dictionary of integers. Other values count as missing, as the draft demands.

Not here: the requests (client/transfers/resumable.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .structured_fields import TRUE, as_integer, dictionary, item

if TYPE_CHECKING:
    from .validators import HasFields

INTEROP_VERSION: Final = 8  # of drafts 08 and later; implementations of other ones do not mix
PARTIAL_UPLOAD: Final = "application/partial-upload"
FALSE: Final = "?0"


LIMITS: Final = ("max_size", "min_size", "max_append_size")


class UploadLimits(NamedTuple):
    """The limits of an upload, in bytes; None for none.

    Attributes:
        max_size: of the whole.
        min_size: of the whole.
        max_append_size: of the content of one request.

    """

    max_size: int | None = None
    min_size: int | None = None
    max_append_size: int | None = None


def upload_offset(response: HasFields) -> int | None:
    """Return how many bytes the server has; None if it does not say it."""
    offset = as_integer(item(response.field("upload-offset")))
    return offset if offset is not None and offset >= 0 else None


def is_complete(response: HasFields) -> bool:
    """Return True if the server says that the upload is complete."""
    return item(response.field("upload-complete")) == TRUE


def upload_limits(response: HasFields) -> UploadLimits:
    """Return the limits that *response* tells; none if the field is missing or invalid."""
    members = dictionary(response.field("upload-limit"))
    found: dict[str, int] = {}
    for name in LIMITS:
        text = members.get(name.replace("_", "-"))
        if text is None:
            continue
        number = as_integer(text)
        if number is None or number < 0:
            return UploadLimits()
        found[name] = number
    return UploadLimits(**found)


def takes_partial_uploads(response: HasFields) -> bool:
    """Return True if a response to OPTIONS says that resumable uploads can be created there."""
    kinds = (response.field("accept-patch") or "").split(",")
    return any(kind.partition(";")[0].strip().lower() == PARTIAL_UPLOAD for kind in kinds)
