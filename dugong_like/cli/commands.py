"""The commands of ``python3 -m dugong_like``, and what their errors are for its exit status.

The statuses are those of outcome.py, which ``--help`` lists.

Not here: signals (stopping.py), and what a command does (sending.py, sync.py, demo.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from ..errors import DugongError
from ..http.version import VERSION
from . import help_texts
from .options import (
    CommandParser,
    Parser,
    PrintVersion,
    TimeLimits,
    file_count,
    whole_number,
)
from .outcome import (
    FAILED,
    READER_GONE,
    WRONG_ARGUMENTS,
    CommandFailed,
    failure_status,
    reason_of,
)
from .request_options import add_request_options
from .standard import complain
from .sync_options import add_sync_options


def run_command(argv: Sequence[str] | None) -> int:
    """Run the command line *argv* (that of the process if None); return the exit status.

    Raises:
        SystemExit: for --help and --version, and wrong arguments.

    """
    options = argparse.Namespace(command="", quiet=False, timeout=TimeLimits())
    try:
        command_parser().parse_args(argv, options)
        return int(options.run(options))
    except BrokenPipeError:
        return READER_GONE  # no message: the reader, such as head, has closed the pipe
    except MemoryError:
        _report(options, "there is not enough memory")
        return FAILED
    except (CommandFailed, DugongError, OSError) as exc:
        status = failure_status(exc)
        is_usage = status == WRONG_ARGUMENTS and not getattr(exc, "url", "")
        _report(options, f"{options.command}: {reason_of(exc)}" if is_usage else reason_of(exc))
        return status


def _report(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        complain(text, patience=options.timeout.output)


def command_parser() -> CommandParser:
    """Return the parser of the command line."""
    program = help_texts.program()
    parser = CommandParser(
        "get",
        prog=program, description=help_texts.MAIN, epilog=help_texts.END.format(program=program),
    )  # fmt: skip
    parser.add_argument("--version", action=PrintVersion, version=VERSION)
    add_command = parser.add_commands()
    limits = TimeLimits()
    for name, (summary, description, end) in help_texts.COMMANDS.items():
        command = add_command(
            name, partial(add_request_options, name=name, limits=limits),
            help=summary, description=description, epilog=end.format(program=program),
        )  # fmt: skip
        if name == "put":
            command.usage = f"{command.prog} [option ...] FILE URL"
        command.set_defaults(run=partial(_send, command), command=name)

    sync = add_command(
        "sync", partial(add_sync_options, limits=limits),
        help="make a folder on a server like a local one, or the other way round",
        description=help_texts.SYNC, epilog=help_texts.SYNC_END.format(program=program),
    )  # fmt: skip
    sync.set_defaults(run=partial(_sync, sync), command="sync")

    demo = add_command(
        "demo", _add_demo_options, help="measure this library on this computer",
        description=help_texts.DEMO, epilog=help_texts.DEMO_END.format(program=program),
    )  # fmt: skip
    demo.set_defaults(run=_demo, timeout=limits, command="demo")
    return parser


def _add_demo_options(demo: Parser) -> None:
    demo.add_argument("--url", help="download this, many times, instead of the demo's own files")
    demo.add_argument("--json", action="store_true", help="print JSON instead of a chart")
    demo.add_argument(
        "--files", metavar="COUNT", type=file_count,
        help="transfer so many in each way (default: as many as there is time for)",
    )  # fmt: skip
    demo.add_argument(
        "--seed", metavar="NUMBER", type=whole_number, default=1,
        help="of the files' contents, which it determines (default: %(default)s)",
    )  # fmt: skip
    demo.add_argument(
        "--damage", action="store_true", help="send a wrong byte, to see that it is found"
    )


def _send(parser: Parser, options: argparse.Namespace) -> int:
    from .sending import send  # noqa: PLC0415 - as slow as the rest, and --help needs it not

    return send(parser, options)


def _sync(parser: Parser, options: argparse.Namespace) -> int:
    from .sync import sync  # noqa: PLC0415 - as above

    return sync(parser, options)


def _demo(options: argparse.Namespace) -> int:
    from .demo import demo  # noqa: PLC0415 - half of the time of the other commands

    return demo(
        options.url,
        as_json=options.json,
        files=options.files,
        seed=options.seed,
        damage=options.damage,
    )
