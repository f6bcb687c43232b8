import argparse
import math
from functools import partial

import pytest

from dugong_like.cli import options
from dugong_like.cli.options import MAX_FILES, Parser, PrintVersion


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("0.5", 0.5), ("1e300", 1e300), ("inf", None), ("1e999", None), ("+3", 3)],
)
def test_a_time_limit_is_a_number_above_zero(text, seconds):
    assert options.time_limit(text) == seconds


def test_a_time_limit_of_the_user_holds_for_everything():
    assert options.time_limits("3") == (3, 3)
    assert options.time_limits("inf") == (None, None)


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("time_limits", ["nan", "-nan", "-1", "-inf", "0", "-0.0", "", "x", "1s", "\udce9"]),
        ("file_count", ["0", "-1", "1.5", "", "x", str(MAX_FILES + 1), "9" * 5000, "\udce9"]),
        ("whole_number", ["1.5", "", "x", "9" * 5000, "nan"]),
        ("field", ["", "Name", "\udce9"]),
        ("file_name", ["", "a\0b"]),
    ],
)
def test_other_values_are_refused_in_short_words(kind, texts):
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError) as problem:
            getattr(options, kind)(text)
        assert len(str(problem.value)) < 150


def test_values_at_the_limit_are_taken():
    assert options.file_count(str(MAX_FILES)) == MAX_FILES
    assert options.whole_number("-" + "9" * 4000) < 0
    assert options.field("A:") == ("A", "")
    assert options.field("A: b:c \t") == ("A", "b:c")
    assert options.file_name("caf\udce9") == "caf\udce9"
    assert options.time_limit(repr(math.ulp(0.0))) > 0


def parser():
    made = Parser(prog="prog")
    made.add_argument("--version", action=PrintVersion, version="1.2")
    made.add_argument("--timeout", type=options.time_limit)
    return made


@pytest.mark.parametrize(
    "arguments",
    [["--timeout", "nan"], ["--timeout"], ["extra\n\x1b[m"], ["--nonsense=\udce9"]],
)
def test_a_wrong_argument_is_one_line_and_status_2(arguments, capfd):
    with pytest.raises(SystemExit) as end:
        parser().parse_args(arguments)

    out, err = capfd.readouterr()
    assert (end.value.code, out) == (2, "")
    assert err.startswith("dugong_like: ")
    assert err.count("\n") == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(("argument", "text"), [("--version", "1.2\n"), ("--help", "usage: prog")])
def test_help_and_version_are_written_to_standard_output(argument, text, capfd):
    with pytest.raises(SystemExit) as end:
        parser().parse_args([argument])

    assert end.value.code == 0
    assert capfd.readouterr().out.startswith(text)


def test_arguments_are_added_for_the_command_that_is_given():
    added = []

    def add(parser, name):
        added.append(name)
        parser.add_argument(f"--{name}", action="store_true")

    commands = options.CommandParser("one", prog="prog")
    add_command = commands.add_commands()
    for name in ("one", "two"):
        add_command(name, partial(add, name=name), help=name)

    assert "two" in commands.format_help()
    assert added == []
    for _ in range(2):
        assert commands.parse_args(["two", "--two"]).two
    assert added == ["two"]
