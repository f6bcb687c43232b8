"""The command line: ``python3 -m dugong_like get``, ``put`` and ``demo``.

Its exit statuses are those of `cli.outcome`, which ``--help`` lists.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .cli import help_texts, transfer
from .cli.options import (
    FILES,
    Parser,
    PrintVersion,
    TimeLimits,
    field,
    file_count,
    file_name,
    time_limits,
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
    limits = TimeLimits()
    try:
        options = _parser().parse_args(argv)
        limits = options.timeout
        status: int = options.run(options)
    except BrokenPipeError:
        return READER_GONE  # no message: the reader, such as head, has closed the pipe
    except MemoryError:
        complain("there is not enough memory", patience=limits.output)
        return FAILED
    except (CommandFailed, DugongError, OSError) as exc:
        complain(reason_of(exc), patience=limits.output)
        return WRONG_ARGUMENTS if isinstance(exc, InvalidRequest) else FAILED
    return status


def _parser() -> Parser:
    program = help_texts.program()
    parser = Parser(
        prog=program, description=help_texts.MAIN, epilog=help_texts.END.format(program=program)
    )
    parser.add_argument("--version", action=PrintVersion, version=__version__)
    commands = parser.add_subparsers(required=True, title="commands", metavar="COMMAND")

    get = commands.add_parser(
        "get", help="download a URL",
        description=help_texts.GET, epilog=help_texts.GET_END.format(program=program),
    )  # fmt: skip
    get.add_argument("url", metavar="URL", help=help_texts.URL)
    get.add_argument(
        "-o", "--output", metavar="FILE", type=file_name,
        help="write to this file, not to standard output",
    )  # fmt: skip
    get.set_defaults(run=_get)

    put = commands.add_parser(
        "put", help="upload a file",
        description=help_texts.PUT, epilog=help_texts.PUT_END.format(program=program),
    )  # fmt: skip
    put.add_argument("file", metavar="FILE", type=file_name, help="the file; '-' is standard input")
    put.add_argument("url", metavar="URL", help=help_texts.URL)
    put.set_defaults(run=_put)

    limits = TimeLimits()
    for command in (get, put):
        command.add_argument(
            "-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", type=field,
            help="a header field of the request; may be given several times",
        )  # fmt: skip
        command.add_argument(
            "--timeout", type=time_limits, default=limits, metavar="SECONDS",
            help="give up after so long without progress; 'inf' is never (default: "
            f"{limits.usual}, and {limits.output} for an output that takes nothing)",
        )  # fmt: skip
        command.add_argument(
            "--proxy", metavar="URL",
            help="use this proxy, such as http://host:port or socks5h://host (default: none, "
            "also if http_proxy is set)",
        )  # fmt: skip

    demo = commands.add_parser(
        "demo", help="measure this library on this computer",
        description=help_texts.DEMO, epilog=help_texts.DEMO_END.format(program=program),
    )  # fmt: skip
    demo.add_argument("--url", help="download this, many times, instead of the demo's own files")
    demo.add_argument("--json", action="store_true", help="print JSON instead of a table")
    demo.add_argument(
        "--files", metavar="COUNT", type=file_count, default=FILES,
        help="how many (default: %(default)s)",
    )  # fmt: skip
    demo.add_argument(
        "--seed", metavar="NUMBER", type=whole_number, default=1,
        help="of the files' contents, which it determines (default: %(default)s)",
    )  # fmt: skip
    demo.add_argument(
        "--damage", action="store_true", help="send a wrong byte, to see that it is found"
    )
    demo.set_defaults(run=_demo, timeout=limits)
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
        return transfer.get(conn, url, fields, file, options.timeout.output)


def _put(options: argparse.Namespace) -> int:
    url, fields = parse_url(options.url), Headers(options.header)
    limits: TimeLimits = options.timeout
    with open_upload(options.file, limits.usual) as upload, _connection(url, options) as conn:
        return transfer.put(conn, url, fields, upload, limits.output)


def _connection(url: URL, options: argparse.Namespace) -> HTTPConnection:
    return HTTPConnection.to(
        url,
        proxy=options.proxy,
        timeout=options.timeout.usual,
        expect100_timeout=transfer.CONTINUE_TIME,
        content_md5=False,
    )


if __name__ == "__main__":
    sys.exit(main())
