"""How a command ends: its exit status, and what makes the line that says why.

Not here: signals (stopping.py), and where the line goes (standard.py).
"""

from __future__ import annotations

from typing import Final

from ..http.redaction import MAX_PATH, mask_target, quoted, shown_text

SUCCESS: Final = 0
FAILED: Final = 1  # it did not work, or bytes were different
WRONG_ARGUMENTS: Final = 2
REDIRECTED: Final = 3
REFUSED: Final = 4
NOT_MODIFIED: Final = 5
SIGNALLED: Final = 128  # and the number of the signal, as shells say it
READER_GONE: Final = SIGNALLED + 13  # SIGPIPE, which Python turns into an error


class CommandFailed(Exception):
    """The command did not work; the message is the line that says why."""


def status_of(code: int) -> int:
    """Return the exit status for a status code (RFC 9110 section 15): only 2xx is success."""
    if code == 304:  # noqa: PLR2004 - Not Modified
        return NOT_MODIFIED
    # 1xx is final where HTTP ends, as with 101; codes from 600 on are invalid, but no success.
    return {1: FAILED, 2: SUCCESS, 3: REDIRECTED}.get(code // 100, REFUSED)


def reason_of(exc: BaseException) -> str:
    """Return what *exc* says, without the number of an error of the system."""
    if isinstance(exc, OSError) and exc.strerror is not None:
        named = "" if exc.filename is None else f"{_text(exc.filename)}: "
        return f"{named}{exc.strerror}"
    return str(exc) or type(exc).__name__


def _text(name: object) -> str:
    """Return the name of a file, which may be a URL that stands in the wrong place."""
    if not isinstance(name, str):
        return quoted(name, MAX_PATH)
    return shown_text(name, MAX_PATH) if ":/" in name else mask_target(name)


def with_name(exc: OSError, name: str) -> OSError:
    """Return an error of the same kind that says that it is about *name*."""
    if exc.errno is None:
        return OSError(f"{name}: {exc}")
    return OSError(exc.errno, exc.strerror, name)
