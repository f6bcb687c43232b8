"""The options of commands that send requests, and which of them go together.

Not here: checks of single values (options.py), and what they are used for (clients.py, bodies.py).
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from . import help_texts
from .bodies import FormField, form_field, form_problem, json_problem
from .options import (
    Parser,
    TimeLimits,
    byte_rate,
    count,
    field,
    file_name,
    is_url,
    time_limit,
    time_limits,
)
from .standard import is_terminal

WITH_BODY: Final = ("post", "put", "patch", "delete")
MISSING: Final[dict[str, Any]] = {
    "list": None,
    "remote_name": False,
    "resume": False,
    "head": False,
    "data": None,
    "json": None,
    "form": (),
}  # the options that some commands do not have


def add_request_options(parser: Parser, name: str, limits: TimeLimits) -> None:
    """Add the arguments of the command *name*; *limits* are those by default."""
    is_get = name == "get"
    parser.add_argument("urls", metavar="URL", nargs="*" if is_get else "+", help=help_texts.URL)
    parser.further = "urls"
    if is_get:
        parser.before_urls = ("-i", "--include")  # as of the other commands
    _add_outputs(parser, name)
    _add_bodies(parser, name)
    group = add_identity(parser)
    group.add_argument(
        "--compressed", action="store_true", help="ask for a compressed body, and decompress it"
    )
    group.add_argument(
        "--no-location", dest="location", action="store_false", help="do not follow redirects"
    )
    add_connections(parser, limits)


def add_identity(parser: Parser) -> Any:
    """Add the options that say who asks, and return their group."""
    group = parser.add_argument_group("request")
    group.add_argument(
        "-H", "--header", action="append", default=[], metavar="'NAME: VALUE'", type=field,
        help="a header field of the request; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "-u", "--user", metavar="USER:PASSWORD",
        help="for servers that ask for Basic authentication; without password it is asked for",
    )  # fmt: skip
    group.add_argument(
        "--netrc", action="store_true", help="take user and password from ~/.netrc, or $NETRC"
    )
    return group


def _add_outputs(parser: Parser, name: str) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", metavar="FILE", type=file_name,
        help="write to this file, not to standard output",
    )  # fmt: skip
    if name == "get":
        group.add_argument(
            "-O", "--remote-name", action="store_true",
            help="write to a file that is called as the server says, or as in the URL",
        )  # fmt: skip
        group.add_argument(
            "-c", "--continue", dest="resume", action="store_true",
            help="with -o or -O: go on with FILE.part, which a download with -c has left",
        )  # fmt: skip
        group.add_argument(
            "-i", "--input-file", dest="list", metavar="FILE", type=file_name,
            help="download all URLs of this list, or of standard input for -, one in each line, "
            "into files as with -O, many at the same time; before a URL, -i is --include",
        )  # fmt: skip
        group.add_argument(
            "-I", "--head", action="store_true", help="ask for the head only, as the command head"
        )
    short = () if name == "get" else ("-i",)
    group.add_argument(
        *short, "--include", action="store_true", help="write the head in front of the body"
    )
    add_loudness(group)


def add_loudness(group: Any) -> None:
    """Add the options that say how much is reported: the same for all commands, to *group*."""
    loudness = group.add_mutually_exclusive_group()
    loudness.add_argument(
        "-v", "--verbose", action="store_true",
        help="show the heads of requests and responses on standard error",
    )  # fmt: skip
    loudness.add_argument(
        "-q", "--quiet", action="store_true", help="write no progress and no errors"
    )
    group.add_argument(
        "--progress", action="store_true",
        help="show the progress also if standard error is no terminal",
    )  # fmt: skip


def _add_bodies(parser: Parser, name: str) -> None:
    if name not in WITH_BODY:
        return
    group = parser.add_argument_group("body", help_texts.BODY)
    one = group.add_mutually_exclusive_group()
    one.add_argument("--data", metavar="TEXT", help="send this text, or @FILE")
    one.add_argument("--json", metavar="JSON", type=_json, help="send this JSON, or @FILE")
    one.add_argument(
        "--form", metavar="NAME=VALUE", action="append", default=[], type=_form,
        help="a field of a form, or NAME=@FILE; may be given several times",
    )  # fmt: skip


def _json(text: str) -> str:
    problem = json_problem(text)
    if problem is not None:
        raise argparse.ArgumentTypeError(problem)
    return text


def _form(text: str) -> FormField:
    problem = form_problem(text)
    if problem is not None:
        raise argparse.ArgumentTypeError(problem)
    return form_field(text)


def add_connections(
    parser: Parser, limits: TimeLimits, *, retries: int = 0, whole: str = "a request"
) -> None:
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--timeout", type=time_limits, default=limits, metavar="SECONDS",
        help="give up after so long without progress; 'inf' is never (default: "
        f"{limits.usual}, and {limits.output} for an output that takes nothing)",
    )  # fmt: skip
    group.add_argument(
        "--max-time", type=time_limit, metavar="SECONDS",
        help=f"give up if {whole} is not complete after so long, redirects and retries included",
    )  # fmt: skip
    group.add_argument(
        "--retry", type=count, default=retries, metavar="COUNT",
        help="send again if the connection fails, or for 429, 502, 503 and 504 "
        f"(default: {retries})",
    )  # fmt: skip
    parser.set_defaults(repeats=retries > 0)
    group.add_argument(
        "--limit-rate", type=byte_rate, metavar="RATE",
        help="bytes a second, of either direction, such as 500k or 2M",
    )  # fmt: skip
    group.add_argument(
        "--proxy", metavar="URL",
        help="use this proxy, such as http://host:port or socks5h://host (default: that of "
        "http_proxy, https_proxy, all_proxy and no_proxy)",
    )  # fmt: skip
    group.add_argument(
        "--http1.1", dest="http1", action="store_true",
        help="use HTTP/1.1 with https, too (default: HTTP/2 if the server chooses that)",
    )  # fmt: skip
    trust = group.add_mutually_exclusive_group()
    trust.add_argument(
        "--cacert", metavar="FILE", type=file_name, help="certificate authorities to trust, as PEM"
    )
    trust.add_argument(
        "--insecure", action="store_true", help="accept any certificate: anybody may listen"
    )
    group.add_argument("--cert", metavar="FILE", type=file_name, help="client certificate, as PEM")
    group.add_argument(
        "--key", metavar="FILE", type=file_name, help="its private key, if it is in another file"
    )


def check_together(parser: Parser, options: argparse.Namespace, name: str) -> None:
    """Report arguments that do not go together, and end; set ``file`` and ``user``.

    Args:
        parser: of the command.
        options: its arguments; ``file`` is None afterwards, or the file to upload.
        name: of the command.

    """
    options.file = None
    for missing, value in MISSING.items():
        if not hasattr(options, missing):
            setattr(options, missing, value)
    _check_list(parser, options)
    _check_urls(parser, options, name)
    if options.remote_name and options.output is not None:
        parser.error("-o and -O are two names for one file")
    _check_resume(parser, options)
    check_identity(parser, options)


def check_identity(parser: Parser, options: argparse.Namespace) -> None:
    """Report credentials that do not go together, and end; set ``user``."""
    if options.key is not None and options.cert is None:
        parser.error("--key is the key of a --cert")
    if options.netrc and options.user is not None:
        parser.error("--user and --netrc are two sources of a password")
    if options.user is not None:
        options.user = _login(parser, options.user)


def _check_list(parser: Parser, options: argparse.Namespace) -> None:
    if options.list is None:
        return
    if is_url(options.list):
        parser.error("-i takes the name of a list of URLs; the head is written by --include")
    for given, name in (
        (bool(options.urls), "URLs"),
        (options.output is not None, "-o"),
        (options.include, "--include"),
        (options.head, "-I"),
    ):
        if given:
            parser.error(f"-i FILE does not go with {name}")
    options.remote_name = True


def _check_urls(parser: Parser, options: argparse.Namespace, name: str) -> None:
    urls = options.urls
    if not urls and options.list is None:
        parser.error("the following arguments are required: URL")
    has_body = options.data is not None or options.json is not None or bool(options.form)
    if name == "put" and not has_body:
        if len(urls) != 2:  # noqa: PLR2004 - both of them
            parser.error("FILE and URL are needed, or URL and one of --data, --json and --form")
        options.file = urls.pop(0)
        _check_file_name(parser, options.file)
    if len(urls) > 1 and name in WITH_BODY:
        parser.error("there may be one URL only")
    if len(urls) > 1 and options.output is not None:
        parser.error("there are several URLs for one FILE: use -O, or standard output")


def _check_file_name(parser: Parser, name: str) -> None:
    try:
        file_name(name)
    except argparse.ArgumentTypeError as exc:
        parser.error(str(exc))


def _check_resume(parser: Parser, options: argparse.Namespace) -> None:
    if not options.resume:
        return
    if not options.remote_name and options.output in {None, "-"}:
        parser.error("-c needs a file: -o FILE or -O")
    for given, name in (
        (options.compressed, "--compressed"),
        (options.include, "-i"),
        (options.head, "-I"),
        (any(key.lower() in {"range", "if-range"} for key, _ in options.header), "-H 'Range: …'"),
    ):
        if given:
            parser.error(f"-c does not go with {name}")


def _login(parser: Parser, user: str) -> tuple[str, str]:
    name, colon, password = user.partition(":")
    if colon:
        return name, password
    if not is_terminal(sys.stdin):
        parser.error("no password behind the user: USER:PASSWORD, or --netrc")
    from getpass import getpass  # noqa: PLC0415 - seldom needed

    return name, getpass()
