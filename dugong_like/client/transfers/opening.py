"""Opening the files that runs leave for each other, which nobody else may have put there.

Not here: what is in them (record.py, part.py).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

FLAGS: Final = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO of somebody else would be waited for
    | getattr(os, "O_BINARY", 0)
)


def open_own(path: Path, mode: int) -> int:
    """Return the descriptor of a file of this user's, with one name; it is made if there is none.

    Args:
        path: its path. A link is not followed.
        mode: permissions of a new one.

    Raises:
        OSError: it cannot be opened, or is no such file.

    """
    try:
        number = os.open(path, FLAGS | os.O_CREAT, mode)
    except OSError as exc:
        if exc.errno != errno.ELOOP or not path.is_symlink():
            raise
        message = "a symbolic link, which no download has left"
        raise OSError(errno.ELOOP, message, str(path)) from exc
    status = os.fstat(number)
    is_ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and is_ours:
        return number
    os.close(number)
    raise OSError(errno.EINVAL, "not a file that an earlier download has left", str(path))
