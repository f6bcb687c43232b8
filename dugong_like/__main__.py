"""The command line: ``python3 -m dugong_like demo``, ``get`` and ``put``.

Exit status: 0 success; 1 failure, or a byte was different; 2 wrong arguments; 3 the server
answered with a redirect, 4 with a status of 400 or above, 5 with 304 (Not Modified); 141 if the
reader of the output has closed it. A signal ends the process as by default, which a shell reports
as 128 plus its number.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .cli import transfer
from .cli.options import (
    FILES,
    Parser,
    PrintVersion,
    field,
    file_count,
    file_name,
    time_limit,
    whole_number,
)
from .cli.outcome import (
    FAILED,
    READER_GONE,
    WRONG_ARGUMENTS,
    CommandFailed,
    reason_of,
)
from .cli.output_file import OutputFile
from .cli.standard import complain, occupy_closed
from .cli.stopping import stop_on_signals
from .cli.upload import open_upload
from .cli.urls import parse_url
from .connection.connection import HTTPConnection
from .errors import DugongError, InvalidRequest
from .http.headers import Headers
from .http.url import URL


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (that of the process if None); return the exit status.

    Raises:
        SystemExit: for --help and --version, and wrong arguments.

    """
    occupy_closed()
    with stop_on_signals():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(argv)
        status: int = options.run(options)
    except BrokenPipeError:
        return READER_GONE  # no message: the reader, such as head, has closed the pipe
    except MemoryError:
        complain("there is not enough memory")
        return FAILED
    except (CommandFailed, DugongError, OSError) as exc:
        complain(reason_of(exc))
        return WRONG_ARGUMENTS if isinstance(exc, InvalidRequest) else FAILED
    return status


def _parser() -> Parser:
    parser = Parser(
        prog="python3 -m dugong_like",
        description="An HTTP/1.1 client that works on every loop.",
    )
    parser.add_argument("--version", action=PrintVersion, version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="send files up and down in every way, and compare")
    demo.add_argument("--url", help="download this, many times, instead of the demo's own files")
    demo.add_argument("--json", action="store_true", help="print JSON instead of a table")
    demo.add_argument("--files", type=file_count, default=FILES, help="how many (%(default)s)")
    demo.add_argument(
        "--seed", type=whole_number, default=1, help="of the files' contents (%(default)s)"
    )
    demo.add_argument("--damage", action="store_true", help="send a wrong byte, to see it found")
    demo.set_defaults(run=_demo)

    get = commands.add_parser("get", help="download a URL")
    get.add_argument("url", metavar="URL")
    get.add_argument(
        "-o", "--output", metavar="FILE", type=file_name,
        help="write there, not to standard output",
    )  # fmt: skip
    get.set_defaults(run=_get)

    put = commands.add_parser("put", help="upload a file")
    put.add_argument("file", metavar="FILE", type=file_name, help="'-' is standard input")
    put.add_argument("url", metavar="URL")
    put.set_defaults(run=_put)

    for command in (get, put):
        command.add_argument(
            "-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", type=field,
            help="a field of the request; all that are given are sent",
        )  # fmt: skip
        command.add_argument(
            "--timeout", type=time_limit, default=60, metavar="SECONDS",
            help="give up when nothing moves for so long (%(default)s)",
        )  # fmt: skip
        command.add_argument(
            "--proxy", metavar="URL", help="such as http://host:port or socks5h://host"
        )
    return parser


def _demo(options: argparse.Namespace) -> int:
    from .cli.demo import demo  # noqa: PLC0415 - half of the time of the other commands

    return demo(
        options.url,
        as_json=options.json,
        files=options.files,
        seed=options.seed,
        damage=options.damage,
    )


def _get(options: argparse.Namespace) -> int:
    url, fields = parse_url(options.url), Headers(options.header)
    file = None if options.output in {None, "-"} else OutputFile(options.output)
    with _connection(url, options) as conn:
        return transfer.get(conn, url, fields, file, options.timeout)


def _put(options: argparse.Namespace) -> int:
    url, fields = parse_url(options.url), Headers(options.header)
    with open_upload(options.file) as upload, _connection(url, options) as conn:
        return transfer.put(conn, url, fields, upload, options.timeout)


def _connection(url: URL, options: argparse.Namespace) -> HTTPConnection:
    return HTTPConnection.to(
        url,
        proxy=options.proxy,
        timeout=options.timeout,
        expect100_timeout=transfer.CONTINUE_TIME,
        content_md5=False,
    )


if __name__ == "__main__":
    sys.exit(main())
