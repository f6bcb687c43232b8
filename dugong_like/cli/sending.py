"""The commands that send requests: from the arguments of a user to an exit status.

Not here: the arguments (request_options.py), and a single request (transfer.py).
"""

from __future__ import annotations

import argparse
import errno
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from ..client.client import Client
from ..client.request import ClientRequest
from ..client.response import Response
from ..errors import InvalidRequest
from ..http.redaction import mask_target
from ..http.url import URL, Origin
from ..polling.contract import Co, run
from .bodies import Body, open_body
from .clients import LIST_CONNECTIONS, client_for, retry_for
from .naming import name_for, name_in_url
from .options import Parser, TimeLimits
from .outcome import SUCCESS, CommandFailed, names_url, reason_of
from .output_file import OutputFile, is_folder_plain
from .progress import Bars, SummedBars
from .request_options import check_together
from .standard import StandardOutput, write_lines
from .transfer import Manner, Output, Transfers
from .urls import parse_url

if TYPE_CHECKING:
    from .several import Job
    from .url_list import URLList

STANDARD: Final = frozenset({None, "-"})  # values of -o for standard output
MOST: Final = 64  # downloads of a list at a time, of all origins or over HTTP/2


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
    manner = Manner(
        limits.output,
        options.quiet,
        options.include,
        options.compressed,
        retry_for(options),
        with_page=not options.list,
    )
    wanted = False if options.quiet else (options.progress or None)
    file = None if options.output in STANDARD else OutputFile(options.output)
    content = open_body(
        limits.usual,
        file=options.file, data=options.data, json_text=options.json, form=options.form,
    )  # fmt: skip

    def show(lines: list[str]) -> None:
        with bars.cleared():
            write_lines(lines, patience=limits.output)

    with ExitStack() as stack:
        several = len(urls) > 1 and options.remote_name
        bars = SummedBars(wanted) if options.list else Bars(wanted, several=several)
        body = stack.enter_context(content)
        client = stack.enter_context(client_for(options, show))
        requests = _Requests(
            parser.command, options, client, Transfers(client, manner, bars), body, file
        )
        if options.list:
            return _send_list(requests, options.list, bars)
        if len(urls) == 1:
            return run(requests.co_run(urls[0]))
        from .several import AT_ONCE, GivenJobs, run_all  # noqa: PLC0415 - for several

        jobs = [partial(requests.co_run, url) for url in urls]
        room = AT_ONCE if options.remote_name else 1
        return run_all(GivenJobs(jobs, room), requests.transfers.report).first


def _send_list(requests: _Requests, name: str, bars: Bars) -> int:
    """Download the URLs of a list into files, and return the worst exit status."""
    from .several import run_all  # noqa: PLC0415 - for those who have several
    from .url_list import open_list  # noqa: PLC0415

    with bars, open_list(name) as urls:
        jobs = _ListedJobs(requests, urls)
        return run_all(jobs, requests.transfers.report).worst


class _ListedJobs:
    """The jobs for a list; see `several.Jobs`.

    Args:
        requests: they are sent.
        urls: of the list.

    """

    def __init__(self, requests: _Requests, urls: URLList) -> None:
        self._requests = requests
        self._urls = urls
        self._origins: set[Origin] = set()

    @property
    def room(self) -> int:
        """As many as there are connections; all that there may be once they are streams.

        More may be of one origin than that has connections: they wait for these, without limit.
        """
        if self._requests.transfers.uses_streams:
            return MOST
        return min(LIST_CONNECTIONS * max(len(self._origins), 1), MOST)

    def co_next(self) -> Co[Job | None]:
        """Return the job for the next line."""
        line = yield from self._urls.co_next()
        return None if line is None else partial(self._co_run, *line)

    def _co_run(self, number: int, text: str) -> Co[int]:
        try:
            url = parse_url(text)
        except InvalidRequest as exc:
            raise InvalidRequest(f"{self._urls.name}, line {number}: {exc}") from exc
        if len(self._origins) < MOST:
            self._origins.add(url.origin)
        try:
            return (yield from self._requests.co_run(url))
        except BrokenPipeError:
            raise
        except (CommandFailed, OSError) as exc:  # some are about a file, and name no URL
            if names_url(exc):
                raise
            line = f"GET {mask_target(str(url))}: {reason_of(exc)}"
            raise CommandFailed(line, names_url=True) from exc


class _Requests:
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
        self._into_files: set[URL] = set()  # those that were given
        self._is_folder_plain = is_folder_plain()

    def co_run(self, url: URL) -> Co[int]:
        """Send the request to *url*; see `Transfers.co_send`.

        One that is given again is not downloaded again: its file would be the same one.
        """
        options = self._options
        if options.remote_name:
            if url in self._into_files:
                return _co_success()
            self._into_files.add(url)
        request = self._request(url)
        title = name_in_url(url) if options.remote_name else mask_target(url.target)
        if options.resume:
            file = self._file
            if file is None:
                title = name_in_url(url)
                file = self._named(title)
            return self.transfers.co_resume(request, file, file.name, title)
        return self.transfers.co_send(request, partial(self._output, title), title)

    def _request(self, url: URL) -> ClientRequest:
        fields = self._options.header
        given = {name.lower() for name, _ in fields}
        own = [pair for pair in self._body.fields if pair[0].lower() not in given]
        return self._client.build_request(
            self._method,
            url,
            headers=[*own, *fields] or None,
            follow_redirects=self._options.location,
            **self._body.options,
        )

    def _output(self, name: str, response: Response) -> Output:
        if self._options.remote_name:
            return self._named(*name_for(name, response))
        return StandardOutput() if self._file is None else self._file

    def _named(self, name: str, is_new: bool = False) -> OutputFile:
        """Return the file called *name*, unless another URL has it; see `OutputFile`.

        Raises:
            OSError: it has, or the file cannot be written.

        """
        if name in self._names:
            raise FileExistsError(errno.EEXIST, "another URL is saved as this file", name)
        self._names.add(name)
        return OutputFile(name, is_new=is_new, is_plain=self._is_folder_plain)


def _co_success() -> Co[int]:
    """Do nothing, and return that it has succeeded."""
    return SUCCESS
    yield
