"""Errors of urllib3, which requests and botocore expect from the body of a response.

Not here: which errors of this library they stand for (requests.py, botocore.py).
"""

from __future__ import annotations

from urllib3.exceptions import ReadTimeoutError

from ..errors import ConnectionTimedOut


def read_timed_out(exc: ConnectionTimedOut, url: str) -> ReadTimeoutError:
    """Return the error for *exc*, with its message.

    Args:
        exc: see there.
        url: of the request.

    """
    error = ReadTimeoutError(None, url, str(exc))  # type: ignore[arg-type]  # as in its __reduce__
    error.args = (str(exc),)  # otherwise it begins with the pool of urllib3, which is None
    return error
