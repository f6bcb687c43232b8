"""The command line: ``python3 -m dugong_like demo``, ``get`` and ``put``.

Exit status: 0 all is well; 1 it did not work, or a byte was different; 2 the arguments
make no sense; 4 the server answered 400 or above; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .cli import demo as demos
from .cli import transfer
from .cli.urls import parse_url
from .connection import HTTPConnection
from .errors import DugongError, InvalidRequest
from .headers import CaseInsensitiveDict
from .url import URL


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (that of the process if None); return the exit status."""
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options)
    except InvalidRequest as exc:
        return _complain(exc, 2)
    except (DugongError, OSError) as exc:
        return _complain(exc, 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    return status


def _complain(problem: object, status: int) -> int:
    print(f"dugong_like: {problem}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m dugong_like",
        description="An HTTP/1.1 client that works on every loop.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="send files up and down in every way, and compare")
    demo.add_argument("--url", help="download this, many times, instead of the demo's own files")
    demo.add_argument("--json", action="store_true", help="print JSON instead of a table")
    demo.add_argument("--files", type=_count, default=demos.FILES, help="how many (%(default)s)")
    demo.add_argument("--seed", type=int, default=1, help="of the files' contents (%(default)s)")
    demo.add_argument("--damage", action="store_true", help="send a wrong byte, to see it found")
    demo.set_defaults(run=_demo)

    get = commands.add_parser("get", help="download a URL")
    get.add_argument("url", metavar="URL")
    get.add_argument("-o", "--output", metavar="FILE", help="write there, not to standard output")
    get.set_defaults(run=_get)

    put = commands.add_parser("put", help="upload a file")
    put.add_argument("file", metavar="FILE", help="'-' is standard input")
    put.add_argument("url", metavar="URL")
    put.set_defaults(run=_put)

    for command in (get, put):
        command.add_argument(
            "-H",
            "--header",
            action="append",
            default=[],
            metavar="'NAME: VALUE'",
            type=_field,
        )
        command.add_argument(
            "--timeout", type=float, default=60, metavar="SECONDS",
            help="give up when nothing moves for so long (%(default)s)",
        )  # fmt: skip
        command.add_argument(
            "--proxy", metavar="URL", help="such as http://host:port or socks5h://host"
        )
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least one file is needed")
    return count


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"no colon in {text!r}")
    return name, value.strip(" \t")


def _demo(options: argparse.Namespace) -> int:
    return demos.demo(
        options.url,
        as_json=options.json,
        files=options.files,
        seed=options.seed,
        damage=options.damage,
    )


def _get(options: argparse.Namespace) -> int:
    url = parse_url(options.url)
    with _connection(url, options) as conn:
        return transfer.get(conn, url.target, CaseInsensitiveDict(options.header), options.output)


def _put(options: argparse.Namespace) -> int:
    url = parse_url(options.url)
    with _connection(url, options) as conn:
        return transfer.put(conn, url.target, CaseInsensitiveDict(options.header), options.file)


def _connection(url: URL, options: argparse.Namespace) -> HTTPConnection:
    return HTTPConnection.to(
        url,
        proxy=options.proxy,
        timeout=options.timeout,
        expect100_timeout=transfer.CONTINUE_TIME,
    )


if __name__ == "__main__":
    sys.exit(main())
