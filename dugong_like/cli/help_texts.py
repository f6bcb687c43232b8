"""The texts of ``--help`` for whole commands: what each does, examples, and the exit statuses.

Not here: the texts of single options (__main__.py).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from .outcome import (
    FAILED,
    NOT_MODIFIED,
    READER_GONE,
    REDIRECTED,
    REFUSED,
    SIGNALLED,
    SUCCESS,
    WRONG_ARGUMENTS,
)

COMMAND: Final = "dugong_like"  # of the installed package
MODULE: Final = "python3 -m dugong_like"

URL: Final = "http://... or https://..."

MAIN: Final = """\
Download and upload files over HTTP/1.1 and HTTPS, and measure this library."""

GET: Final = """\
Write the body of a URL to standard output, or to a file with -o. Such a file
is replaced when the download is complete, and is unchanged if it fails.

Only a response with a status of 200 to 299 is a download. Redirects are not
followed. Errors, their pages and the progress go to standard error."""

PUT: Final = """\
Upload a file, or standard input, with the method PUT, and write the body of
the response to standard output.

Only a response with a status of 200 to 299 is a success. Redirects are not
followed. Errors, their pages and the progress go to standard error."""

DEMO: Final = """\
Start a server on this computer, upload files of many sizes to it, download
them in several ways, compare every byte, and print how fast each way was."""

STREAMS: Final = """\
waiting for other programs:
  As with every tool, 'get URL | less' waits for as long as less does.
  --timeout applies to standard streams that are non-blocking, and to a FIFO
  that is given as FILE."""

TRANSFERRED: Final = (
    (SUCCESS, "success: a status of 200 to 299, and everything was written"),
    (FAILED, "failure, such as no connection, a time-out, or a full disk"),
    (WRONG_ARGUMENTS, "wrong arguments"),
    (REDIRECTED, "the server answered with a redirect: nothing was done"),
    (REFUSED, "the server answered with an error, 400 or above"),
    (NOT_MODIFIED, "the server answered 304 (Not Modified)"),
)
MEASURED: Final = (
    (SUCCESS, "success: all bytes are equal"),
    (FAILED, "failure, or a byte was different"),
    (WRONG_ARGUMENTS, "wrong arguments"),
)
ENDED: Final = (
    (READER_GONE, "the reader of the output has closed it, such as head"),
    (f"{SIGNALLED}+N", "ended by the signal N, such as 130 by Ctrl-C"),
)


def program() -> str:
    """Return how this program was started, for people who want to do that again."""
    return COMMAND if Path(sys.argv[0]).stem == COMMAND else MODULE


def end_of_help(
    examples: tuple[str, ...], statuses: tuple[tuple[object, str], ...], *notes: str
) -> str:
    """Return the last part of a help text, with ``{program}`` for the name of the program.

    Args:
        examples: arguments of the program.
        statuses: exit statuses with their meanings.
        notes: sections between both.

    """
    parts = ["examples:", *(f"  {{program}} {example}" for example in examples)]
    for note in notes:
        parts += ["", note]
    parts += ["", "exit status:"]
    parts += [f"  {status!s:<6} {meaning}" for status, meaning in (*statuses, *ENDED)]
    return "\n".join(parts)


END: Final = end_of_help(
    (
        "get https://www.example.org/ -o page.html",
        "put photo.jpg https://www.example.org/photo.jpg",
        "get --help",
    ),
    TRANSFERRED,
)
GET_END: Final = end_of_help(
    (
        "get https://www.example.org/large -o large",
        "get -H 'Accept: text/plain' http://www.example.org/ > page.txt",
        "get --timeout 5 --proxy socks5h://localhost http://www.example.org/",
    ),
    TRANSFERRED,
    STREAMS,
)
PUT_END: Final = end_of_help(
    (
        "put photo.jpg https://www.example.org/photo.jpg",
        "put -H 'Content-Type: image/jpeg' photo.jpg http://www.example.org/1",
        "put - https://www.example.org/photos.tar < photos.tar",
    ),
    TRANSFERRED,
    STREAMS,
)
DEMO_END: Final = end_of_help(
    ("demo --files 40", "demo --files 16 --json", "demo --url http://www.example.org/large"),
    MEASURED,
)
