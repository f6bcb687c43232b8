"""`--help`: what it says holds."""

import shlex
import sys

import pytest

from dugong_like.cli import help_texts, outcome
from dugong_like.cli.commands import command_parser

WHOLE = {
    "": help_texts.END,
    **{name: end for name, (_, _, end) in help_texts.COMMANDS.items()},
    "demo": help_texts.DEMO_END,
}
STATUSES = {outcome.SUCCESS, outcome.FAILED, outcome.WRONG_ARGUMENTS, outcome.READER_GONE}
FROM_SERVER = {outcome.REDIRECTED, outcome.REFUSED, outcome.NOT_MODIFIED}


def examples(text):
    """Return the arguments of each example."""
    lines = text.split("examples:\n")[1].split("\n\n")[0].splitlines()
    assert all(line.startswith("  {program} ") for line in lines)
    return [shlex.split(line.partition(" > ")[0].partition(" < ")[0])[1:] for line in lines]


@pytest.mark.parametrize("command", WHOLE)
def test_each_example_is_possible(command, capfd):
    for arguments in examples(WHOLE[command]):
        assert command in {"", arguments[0]}
        if "--help" in arguments:
            with pytest.raises(SystemExit) as end:
                command_parser().parse_args(arguments)
            assert end.value.code == 0
        else:
            assert command_parser().parse_args(arguments).run


@pytest.mark.parametrize("command", WHOLE)
def test_each_exit_status_is_listed(command):
    lines = WHOLE[command].split("exit status:\n")[1].splitlines()

    listed = {line.split()[0] for line in lines} - {f"{outcome.SIGNALLED}+N"}
    possible = STATUSES if command == "demo" else STATUSES | FROM_SERVER
    assert listed == {str(status) for status in possible}


@pytest.mark.parametrize(
    ("started", "program"),
    [
        ("/usr/bin/dugong_like", "dugong_like"),
        ("dugong_like.exe", "dugong_like"),
        ("/lib/dugong_like/__main__.py", "python3 -m dugong_like"),
        ("", "python3 -m dugong_like"),
    ],
)
@pytest.mark.parametrize("command", WHOLE)
def test_help_names_the_program_as_it_was_started(monkeypatch, capfd, command, started, program):
    monkeypatch.setattr(sys, "argv", [started])

    with pytest.raises(SystemExit):
        command_parser().parse_args([*command.split(), "--help"])

    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith(f"usage: {program} {command}".rstrip())
    assert f"\n  {program} {command or 'get'} " in out
    assert "{" not in out
