"""The end of a command: its exit status, and the line with its error.

Not here: signals (stopping.py), and writing the line (standard.py).
"""

from __future__ import annotations

import errno
from typing import Final

from ..errors import DugongError, InvalidOption, InvalidRequest, RedirectRefused, TooManyRedirects
from ..http.redaction import MAX_PATH, mask_target, quoted, shown_text

SUCCESS: Final = 0
FAILED: Final = 1  # failure, or bytes were different
WRONG_ARGUMENTS: Final = 2
REDIRECTED: Final = 3
REFUSED: Final = 4
NOT_MODIFIED: Final = 5
SIGNALLED: Final = 128  # plus the number of the signal, as in shells
READER_GONE: Final = SIGNALLED + 13  # SIGPIPE, which Python turns into an error


class CommandFailed(Exception):
    """The command failed; the message is the line with the reason.

    Args:
        line: the message.
        names_url: see the attribute.

    Attributes:
        names_url: True if the message begins with the request that it is about, or its URL.

    """

    def __init__(self, line: str, *, names_url: bool = False) -> None:
        super().__init__(line)
        self.names_url = names_url


def names_url(exc: BaseException) -> bool:
    """Return True if the message of *exc* names the URL of the request that it is about."""
    if isinstance(exc, CommandFailed):
        return exc.names_url
    return isinstance(exc, DugongError) and bool(exc.url)


def status_of(code: int) -> int:
    """Return the exit status for a status code (RFC 9110 section 15): only 2xx is success."""
    if code == 304:  # noqa: PLR2004 - Not Modified
        return NOT_MODIFIED
    # 1xx is final after an upgrade (101); codes from 600 on are invalid, and not a success.
    return {1: FAILED, 2: SUCCESS, 3: REDIRECTED}.get(code // 100, REFUSED)


def failure_status(exc: BaseException) -> int:
    """Return the exit status of a command that *exc* has ended."""
    if isinstance(exc, InvalidRequest | InvalidOption):
        return WRONG_ARGUMENTS
    return REDIRECTED if isinstance(exc, RedirectRefused | TooManyRedirects) else FAILED


def reason_of(exc: BaseException) -> str:
    """Return the message of *exc*, without the number of a system error."""
    if isinstance(exc, OSError) and exc.strerror is not None:
        named = "" if exc.filename is None else f"{_text(exc.filename)}: "
        return f"{named}{exc.strerror}"
    return str(exc) or type(exc).__name__


def _text(name: object) -> str:
    """Return the name of a file, which may be a misplaced URL."""
    if not isinstance(name, str):
        return quoted(name, MAX_PATH)
    return shown_text(name, MAX_PATH) if ":/" in name else mask_target(name)


def too_late(name: str, what: str) -> TimeoutError:
    """Return the error of a time limit, about *name*: *what* did not happen in time."""
    return TimeoutError(errno.ETIMEDOUT, what, name)


def with_name(exc: OSError, name: str) -> OSError:
    """Return an error of the same kind about *name*."""
    if exc.errno is None:
        return OSError(f"{name}: {exc}")
    return OSError(exc.errno, exc.strerror, name)
