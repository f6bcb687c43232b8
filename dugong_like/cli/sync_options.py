"""The options of the command ``sync``.

Not here: options that other commands have as well (request_options.py), and the command (sync.py).
"""

from __future__ import annotations

import argparse
from typing import Final

from .options import Parser, TimeLimits, file_name, shown
from .request_options import add_connections, add_identity, add_loudness

JOBS: Final = 8
MOST_JOBS: Final = 256
RETRIES: Final = 3


def add_sync_options(parser: Parser, limits: TimeLimits) -> None:
    """Add the arguments of ``sync``; *limits* are those by default."""
    parser.add_argument("source", metavar="SOURCE", help="a folder, the URL of one, or s3://…")
    parser.add_argument("target", metavar="DEST", help="the other one of both")
    group = parser.add_argument_group("what is done")
    group.add_argument(
        "-n", "--dry-run", action="store_true", help="write what would be done, and do nothing"
    )
    group.add_argument(
        "--delete", action="store_true",
        help="delete what SOURCE does not have, at the end, and if nothing has failed",
    )  # fmt: skip
    group.add_argument(
        "--max-delete", metavar="COUNT", type=_count,
        help="do nothing at all if more files than this would be deleted",
    )  # fmt: skip
    group.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN",
        help="leave this alone: '*.tmp', 'cache/' or '/top/*'; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--links", choices=("skip", "follow"), default="skip",
        help="what is done with symbolic links (default: skip)",
    )  # fmt: skip
    group.add_argument(
        "--checksum", action="store_true", help="compare the bytes of files with the same size"
    )
    group.add_argument(
        "--verify", action="store_true", help="read back what was copied, and compare it"
    )
    group.add_argument(
        "--fsync", action="store_true", help="wait until the disk has each file that is received"
    )
    group.add_argument(
        "--server", choices=("auto", "webdav", "manifest"), default="auto",
        help="of which kind it is: WebDAV, or one that lists no files (default: it is asked)",
    )  # fmt: skip
    group.add_argument(
        "--s3-endpoint", metavar="URL",
        help="of s3://BUCKET/FOLDER, if it is not Amazon's (default: $AWS_ENDPOINT_URL)",
    )  # fmt: skip
    group.add_argument(
        "--record", metavar="FILE", type=file_name,
        help="what earlier runs have done (default: below ~/.local/state)",
    )  # fmt: skip
    _add_output(parser)
    add_identity(parser)
    add_connections(parser, limits, retries=RETRIES, whole="the run")
    parser.set_defaults(compressed=False, list=None, location=True)


def _add_output(parser: Parser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json", action="store_true", help="write a line of JSON for each file, and one for all"
    )
    group.add_argument(
        "--list", dest="lists", action="store_true", help="write a line for each file"
    )
    add_loudness(group)
    group.add_argument(
        "--jobs", metavar="COUNT", type=_jobs, default=JOBS,
        help=f"connections at the same time (default: {JOBS})",
    )  # fmt: skip


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"not a number of files: {shown(text)}")
    return int(text)


def _jobs(text: str) -> int:
    number = _count(text)
    if not 1 <= number <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"not a number from 1 to {MOST_JOBS}: {shown(text)}")
    return number
