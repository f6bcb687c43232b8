"""``python3 -m dugong_like sync SOURCE DEST``: makes one folder like the other one.

Not here: the arguments (sync_options.py), and what is done (client/sync/).
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from typing import Final, Self

from ..client.sync.plan import Kind
from ..client.sync.results import SyncProgress, SyncResult, SyncStep
from ..client.sync.syncing import URLS
from ..errors import (
    DeadlineExceeded,
    DugongError,
    ProtocolError,
    ResponseError,
    StatusError,
    TransportError,
)
from ..http.url import URL
from ..polling.contract import run
from .clients import client_for
from .escaping import one_line
from .options import Parser
from .outcome import FAILED, SUCCESS, WRONG_ARGUMENTS, CommandFailed, failure_status, reason_of
from .progress import Bar, Bars, amount
from .request_options import check_identity
from .standard import complain, print_output, write_lines
from .urls import parse_url

NETWORK: Final = 3
SERVER: Final = 4
LOGIN_OF_S3: Final = "botocore has those of S3, such as $AWS_ACCESS_KEY_ID"
BARS: Final = ("copy", "compare", "verify")  # phases that have bytes
WORDS: Final = {Kind.CLEAR: "delete", Kind.CONFIRM: "ask", Kind.COMPARE: "compare"}  # for people


def sync(parser: Parser, options: argparse.Namespace) -> int:
    """Run the command with *options*, and return the exit status.

    Raises:
        SystemExit: arguments do not go together.
        OSError: standard output cannot be written.

    """
    check_identity(parser, options)
    report = _Report(options)
    total, options.max_time = options.max_time, None  # of each request
    try:
        source, target = _side(options.source), _side(options.target)
        with client_for(options, report.show_lines) as client, report:
            client.headers.add_pairs(options.header)
            result = run(
                client.co_sync(
                    source,
                    target,
                    delete=options.delete,
                    max_delete=options.max_delete,
                    dry_run=options.dry_run,
                    checksum=options.checksum,
                    verify=options.verify,
                    exclude=options.exclude,
                    links=options.links,
                    jobs=options.jobs,
                    total=total,
                    fsync=options.fsync,
                    server=options.server,
                    s3_endpoint=options.s3_endpoint and parse_url(options.s3_endpoint, LOGIN_OF_S3),
                    record=True if options.record is None else options.record,
                    on_progress=report.show_progress if report.has_bars else None,
                    on_step=report.show_step,
                )
            )
    except BrokenPipeError:
        raise
    except (CommandFailed, DugongError, OSError, ModuleNotFoundError) as exc:
        report.end(exc)
        return exit_status(exc)
    report.sum_up(result)
    return report.status


def _side(text: str) -> URL | str:
    return parse_url(text) if text.lower().startswith(URLS) else text


def exit_status(exc: BaseException) -> int:
    """Return the exit status of ``sync`` for an error: by whose fault it is."""
    if failure_status(exc) == WRONG_ARGUMENTS:
        return WRONG_ARGUMENTS
    if isinstance(exc, DeadlineExceeded):
        return FAILED  # the time of the user was up
    if isinstance(exc, TransportError):
        return NETWORK
    if isinstance(exc, StatusError | ResponseError | ProtocolError):
        return SERVER
    return FAILED


class _Report:
    """Writes what happens while it runs, and the sums at the end.

    Args:
        options: of the user.

    Attributes:
        status: the exit status: of the first file that has failed.
        has_bars: True if `show_progress` shows anything.

    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.status = SUCCESS
        self._is_json = options.json
        self._lists = options.lists or options.dry_run
        self._is_quiet = options.quiet
        self._patience = options.timeout.output
        self._bars = Bars(False if options.quiet else (options.progress or None))
        self.has_bars = self._bars.is_wanted
        self._stack = ExitStack()
        self._phase = ""
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def show_lines(self, lines: list[str]) -> None:
        """Write *lines* to standard error."""
        with self._bars.cleared():
            write_lines(lines, patience=self._patience)

    def show_progress(self, progress: SyncProgress) -> None:
        """Draw the bar."""
        if progress.phase != self._phase:
            self._stack.close()
            self._phase, self._bar = progress.phase, None
            if progress.phase in BARS and progress.files:
                bar = self._bars.bar(f"{progress.files} files", progress.bytes)
                self._bar = self._stack.enter_context(bar)
        if self._bar is not None:
            self._bar.show(progress.bytes_done)

    def show_step(self, step: SyncStep) -> None:
        """Write what has become of a file."""
        if step.error is not None:
            if self.status == SUCCESS:
                self.status = exit_status(step.error)
            if not self._is_quiet:
                with self._bars.cleared():
                    complain(f"{step.path}: {reason_of(step.error)}", patience=self._patience)
        if self._is_json:
            error = None if step.error is None else reason_of(step.error)
            facts = dict(zip(SyncStep.__annotations__, step, strict=True))
            self._write(json.dumps({**facts, "kind": step.kind.value, "error": error}))
        elif self._lists and step.error is None:
            kind = WORDS.get(step.kind, step.kind.value)
            self._write(f"{kind:6} {amount(step.size):>9}  {one_line(step.path)}  ({step.reason})")

    def _write(self, line: str) -> None:
        with self._bars.cleared():
            print_output(f"{line}\n")

    def end(self, exc: BaseException) -> None:
        """Report the error that has ended all."""
        if not self._is_quiet:
            complain(f"sync: {reason_of(exc)}", patience=self._patience)
        if self._is_json:
            self._write(json.dumps({"error": reason_of(exc)}))

    def sum_up(self, result: SyncResult) -> None:
        """Write the numbers."""
        if result.failed and self.status == SUCCESS:
            self.status = FAILED
        if self._is_json:
            numbers = dict(zip(SyncResult.__annotations__, result, strict=True))
            del numbers["failures"]
            self._write(json.dumps(numbers))
            return
        if self._is_quiet:
            return
        would = "would be " if result.is_dry_run else ""
        parts = [
            f"{result.copied} {would}copied ({amount(result.copied_bytes)})",
            f"{result.deleted} {would}deleted",
            f"{result.unchanged} unchanged",
        ]
        for count, what in (
            (result.verified, "verified"),
            (result.extra, "left that SOURCE does not have"),
            (result.skipped, "links, special and temporary files skipped"),
            (result.failed, "failed"),
        ):
            if count:
                parts.append(f"{count} {what}")
        self._write(", ".join(parts))
