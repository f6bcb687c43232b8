"""The commands that send requests: from the arguments of a user to an exit status.

Not here: the arguments (request_options.py), and a single request (transfer.py).
"""

from __future__ import annotations

import argparse
import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from ..client.client import Client
from ..client.request import ClientRequest
from ..client.response import Response
from ..http.redaction import mask_target
from ..http.url import URL
from ..polling.contract import Co, run
from .bodies import Body, open_body
from .clients import client_for, retry_for
from .naming import name_for, name_in_url
from .options import Parser, TimeLimits
from .output_file import OutputFile
from .progress import Bars
from .request_options import check_together
from .standard import Writer, standard_output, write_lines
from .transfer import Manner, Transfers
from .urls import parse_url

STANDARD: Final = frozenset({None, "-"})  # values of -o for standard output


def send(parser: Parser, options: argparse.Namespace) -> int:
    """Run the command of *parser* with *options*, and return the exit status.

    Raises:
        SystemExit: arguments do not go together.
        CommandFailed, DugongError, OSError: the only request has failed, see `Transfers.co_send`;
            of several each is reported instead.

    """
    check_together(parser, options, parser.command)
    urls = [parse_url(text) for text in options.urls]
    limits: TimeLimits = options.timeout
    manner = Manner(limits.output, options.quiet, options.include, options.compressed)
    wanted = False if options.quiet else (options.progress or None)
    bars = Bars(wanted, several=len(urls) > 1 and options.remote_name)
    file = None if options.output in STANDARD else OutputFile(options.output)
    content = open_body(
        limits.usual,
        file=options.file, data=options.data, json_text=options.json, form=options.form,
    )  # fmt: skip

    def show(lines: list[str]) -> None:
        with bars.cleared():
            write_lines(lines, patience=limits.output)

    with content as body, client_for(options, show) as client:
        job = _Job(parser.command, options, client, Transfers(client, manner, bars), body, file)
        if len(urls) == 1:
            return run(job.co_run(urls[0]))
        from .several import AT_ONCE, run_all  # noqa: PLC0415 - for those who have several

        return run_all(
            [partial(job.co_run, url) for url in urls],
            job.transfers.report,
            at_once=AT_ONCE if options.remote_name else 1,
        )


class _Job:
    """The steps that each URL goes through.

    Args:
        command: its name.
        options: of the user.
        client: it sends.
        transfers: they use *client*.
        body: of the request.
        file: the file to write; None for another one, or standard output.

    """

    def __init__(
        self,
        command: str,
        options: argparse.Namespace,
        client: Client,
        transfers: Transfers,
        body: Body,
        file: OutputFile | None,
    ) -> None:
        self.transfers = transfers
        self._method = "HEAD" if options.head else command.upper()
        self._options = options
        self._client = client
        self._body = body
        self._file = file
        self._names: set[str] = set()  # of files

    def co_run(self, url: URL) -> Co[int]:
        """Send the request to *url*; see `Transfers.co_send`."""
        options = self._options
        request = self._request(url)
        title = mask_target(url.target)
        if options.resume:
            file = self._file
            if file is None:
                title = name_in_url(url)
                file = self._named(title)
            request.headers.setdefault("Accept-Encoding", "identity")
            return self.transfers.co_resume(request, file, title, retry_for(options))
        if options.remote_name:
            title = name_in_url(url)
        return self.transfers.co_send(request, self._destination(url), title)

    def _request(self, url: URL) -> ClientRequest:
        fields = self._options.header
        given = {name.lower() for name, _ in fields}
        own = [pair for pair in self._body.fields if pair[0].lower() not in given]
        return self._client.build_request(
            self._method,
            url,
            headers=[*own, *fields],
            follow_redirects=self._options.location,
            **self._body.options,
        )

    def _destination(self, url: URL) -> Callable[[Response], AbstractContextManager[Writer]]:
        patience: float | None = self._options.timeout.output
        if self._options.remote_name:
            return lambda response: self._named(*name_for(url, response)).open(patience)
        file = self._file
        if file is None:
            return lambda _: standard_output(patience)
        return lambda _: file.open(patience)

    def _named(self, name: str, is_new: bool = False) -> OutputFile:
        """Return the file called *name*, unless another URL has it; see `OutputFile`.

        Raises:
            OSError: it has, or the file cannot be written.

        """
        if name in self._names:
            raise FileExistsError(errno.EEXIST, "another URL is saved as this file", name)
        self._names.add(name)
        return OutputFile(name, is_new=is_new)
