"""The texts of ``--help`` for whole commands: what each does, examples, and the exit statuses.

Not here: the texts of single options (commands.py, request_options.py, sync_options.py).
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
Send requests over HTTP/1.1 and HTTPS, download and upload files, and measure
this library. A URL without a command is downloaded."""

GET: Final = """\
Write the body of a URL to standard output, or to a file with -o or -O. Such a
file is replaced when the download is complete, and is unchanged if it fails.
With -O, several URLs are downloaded at the same time; so are those of a list
with -i.

"""

HEAD: Final = """\
Write the head of the response, without its body, to standard output.

"""

OPTIONS: Final = """\
Ask what can be done with a URL, and write the body of the response.
With -i the fields are shown, of which Allow is one.

"""

PUT: Final = """\
Upload a file, or standard input, with the method PUT, and write the body of
the response to standard output.

"""

SENDING: Final = """\
Send a request with the method {}, and write the body of the response to
standard output.

"""

RULES: Final = """\
Only a response with a status of 200 to 299 is a success. Redirects are
followed. Errors, their pages and the progress go to standard error."""

BODY: Final = """\
What is sent. @- is standard input; a text that begins with @ is written with
another @ in front."""

DEMO: Final = """\
Start a server on this computer, upload files of many sizes to it, download
them in several ways, over HTTP/1.1 and HTTP/2, directly and by a link with a
round trip of 20 ms, compare every byte, and show how fast each way was.

It takes less than ten seconds, unless --files or --url is given."""

SYNC: Final = """\
Copy what has changed, so that DEST becomes like SOURCE. One of both is a
folder, the other one the URL of a folder on a server that takes PUT and
DELETE (a WebDAV server, or one that keeps a list of files for it), or a place
in S3, s3://BUCKET/FOLDER. Files are there when they are complete, and not
before. A run that was ended is gone on with by the next one."""

STREAMS: Final = """\
waiting for other programs:
  As with every tool, 'get URL | less' waits for as long as less does.
  --timeout applies to standard streams that are non-blocking, and to a FIFO
  that is given as FILE."""

SEVERAL: Final = """\
several URLs:
  Each is tried; the exit status is that of the first one that failed."""

LIST: Final = """\
  Of a list, it is the worst one: 2, for a line that is no URL, then 1, 4, 3
  and 5."""

TRANSFERRED: Final = (
    (SUCCESS, "success: a status of 200 to 299, and everything was written"),
    (FAILED, "failure, such as no connection, a time-out, or a full disk"),
    (WRONG_ARGUMENTS, "wrong arguments"),
    (REDIRECTED, "a redirect that is not followed, or must not be"),
    (REFUSED, "the server answered with an error, 400 or above"),
    (NOT_MODIFIED, "the server answered 304 (Not Modified)"),
)
MEASURED: Final = (
    (SUCCESS, "success: all bytes are equal"),
    (FAILED, "failure, or a byte was different"),
    (WRONG_ARGUMENTS, "wrong arguments"),
)
SYNCHRONISED: Final = (
    (SUCCESS, "success: DEST is like SOURCE"),
    (FAILED, "a file could not be read, written or compared, or time was up"),
    (WRONG_ARGUMENTS, "wrong arguments"),
    (3, "the network has failed"),
    (4, "the server answered with an error"),
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
        "https://www.example.org/ -o page.html",
        "get -O https://www.example.org/1.iso https://www.example.org/2.iso",
        "put photo.jpg https://www.example.org/photo.jpg",
        "post https://www.example.org/api --json '[1, 2]'",
        "get --help",
    ),
    TRANSFERRED,
)
GET_END: Final = end_of_help(
    (
        "get https://www.example.org/large -o large",
        "get -c -O --retry 5 https://www.example.org/large.iso",
        "get -O https://www.example.org/1.pdf https://www.example.org/2.pdf",
        "get --retry 5 -i list.txt",
        "get -H 'Accept: text/plain' http://www.example.org/ > page.txt",
        "get --netrc --compressed -v https://www.example.org/private",
        "get --timeout 5 --proxy socks5h://localhost http://www.example.org/",
    ),
    TRANSFERRED,
    f"{SEVERAL}\n{LIST}",
    STREAMS,
)
HEAD_END: Final = end_of_help(
    ("head https://www.example.org/large", "head --no-location http://www.example.org/"),
    TRANSFERRED,
    SEVERAL,
)
OPTIONS_END: Final = end_of_help(
    ("options -i https://www.example.org/",), TRANSFERRED, SEVERAL, STREAMS
)
PUT_END: Final = end_of_help(
    (
        "put photo.jpg https://www.example.org/photo.jpg",
        "put -H 'Content-Type: image/jpeg' photo.jpg http://www.example.org/1",
        "put - https://www.example.org/photos.tar < photos.tar",
        "put https://www.example.org/api/1 --json '[1, 2]'",
    ),
    TRANSFERRED,
    STREAMS,
)
POST_END: Final = end_of_help(
    (
        "post https://www.example.org/api --json @new.json",
        "post https://www.example.org/form --form name=value --form file=@1.jpg",
        "post https://www.example.org/log --data @- < today.log",
    ),
    TRANSFERRED,
    STREAMS,
)
PATCH_END: Final = end_of_help(
    ("patch https://www.example.org/api/1 --json '[2]'",), TRANSFERRED, STREAMS
)
DELETE_END: Final = end_of_help(
    ("delete https://www.example.org/api/1", "delete -u USER https://www.example.org/api/1"),
    TRANSFERRED,
    STREAMS,
)
SYNC_END: Final = end_of_help(
    (
        "sync photos https://www.example.org/photos/",
        "sync --delete --max-delete 100 photos https://www.example.org/photos/",
        "sync --dry-run https://www.example.org/photos/ restored",
        "sync --exclude '*.tmp' --exclude cache/ . https://www.example.org/home/",
    ),
    SYNCHRONISED,
)
DEMO_END: Final = end_of_help(
    ("demo --files 40", "demo --files 16 --json", "demo --url http://www.example.org/large"),
    MEASURED,
)
COMMANDS: Final = {
    "get": ("download a URL", GET + RULES, GET_END),
    "head": ("show the head of the response for a URL", HEAD + RULES, HEAD_END),
    "post": ("send data", SENDING.format("POST") + RULES, POST_END),
    "put": ("upload a file", PUT + RULES, PUT_END),
    "patch": ("change something", SENDING.format("PATCH") + RULES, PATCH_END),
    "delete": ("delete something", SENDING.format("DELETE") + RULES, DELETE_END),
    "options": ("ask what is possible", OPTIONS + RULES, OPTIONS_END),
}  # of each command: a summary, a description, and the end
