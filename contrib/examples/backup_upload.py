"""Upload a directory tree, and be sure: a backup tool in a hundred lines.

Each file is sent with 100 (Continue), so that a server that will not have it says so before
the bytes are on their way. What fails for a reason that may pass is tried again on a
new connection; a PUT may be repeated, so it does not matter whether the server has
seen it. A file counts as stored only if the server's answer says so.

Run: ``python3 contrib/examples/backup_upload.py DIRECTORY http://host:port/prefix``
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from dugong_like import (
    URL,
    AnsweredEarly,
    BodyFollowing,
    ContinueTimedOut,
    DugongError,
    HTTPConnection,
    HTTPResponse,
    is_temp_network_error,
)

ATTEMPTS = 5
CONTINUE, CREATED = 100, (200, 201, 204)


class Refused(Exception):
    """The server will not have the file; trying again would not help."""


def upload(conn: HTTPConnection, file: Path, target: str) -> int:
    """Upload one file and return its size."""
    with file.open("rb") as source:
        if size := os.fstat(source.fileno()).st_size:
            answer = send(conn, source, size, target)
        else:  # it is empty, or of /proc: then there is something in it all the same
            data = source.read()
            size = len(data)
            conn.send_request("PUT", target, body=data)
            answer = conn.read_response()
    if answer.status not in CREATED:
        raise refusal(conn, answer)
    conn.discard()
    return size


def send(conn: HTTPConnection, source, size: int, target: str) -> HTTPResponse:
    """Send a file, as much as it had when it was opened, and return the answer."""
    conn.send_request("PUT", target, body=BodyFollowing(size), expect100=True)
    try:
        answer = conn.read_response()
    except ContinueTimedOut:
        pass  # an old server: it gets the body unasked
    else:
        if answer.status != CONTINUE:
            return answer
    try:
        conn.sendfile(source, 0, size)
    except AnsweredEarly as exc:
        with suppress(DugongError):
            conn.read_response()
        raise refusal(conn, exc.response) from None
    return conn.read_response()


def refusal(conn: HTTPConnection, answer: HTTPResponse) -> Refused:
    """Return the error that *answer* is, with the beginning of its text if that can be read."""
    text = b""
    with suppress(DugongError):
        text = conn.read(200)
    return Refused(f"{answer.status} {answer.reason} {text.decode('latin-1')}".strip())


def upload_with_retries(conn: HTTPConnection, file: Path, target: str) -> int:
    """Upload one file, again if that may help."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return upload(conn, file, target)
        except (DugongError, OSError, Refused) as exc:
            conn.reset()
            if attempt == ATTEMPTS or not is_temp_network_error(exc):
                raise
            print(f"{file}: {exc}; attempt {attempt + 1}", file=sys.stderr)
            time.sleep(0.1 * 2**attempt)
    raise AssertionError


def files_below(directory: Path) -> tuple[list[Path], list[OSError]]:
    """Return all files of a tree, and why folders could not be read: their files are missing."""
    unread: list[OSError] = []
    walk = os.walk(directory, onerror=unread.append)
    paths = (Path(folder, name) for folder, _, names in walk for name in names)
    return sorted(path for path in paths if path.is_file()), unread


def main(argv: list[str] | None = None) -> int:
    """Upload the tree; exit status 1 if a file could not be stored."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("url", type=URL)
    options = parser.parse_args(argv)
    url = options.url
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is no directory")
    files, unread = files_below(options.directory)
    for exc in unread:
        print(f"{exc.filename}: not stored: {exc.strerror}", file=sys.stderr)
    failures, stored, total = len(unread), 0, 0
    with HTTPConnection.to(url, timeout=30, expect100_timeout=2) as conn:
        for file in files:
            name = quote(file.relative_to(options.directory).as_posix())
            try:
                total += upload_with_retries(conn, file, f"{url.target.rstrip('/')}/{name}")
                stored += 1
            except (DugongError, OSError, Refused) as exc:
                failures += 1
                print(f"{file}: not stored: {exc}", file=sys.stderr)
    print(f"{stored} files stored, {total} bytes, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
