"""python3 -m contrib.torture: its table and its exit status say what came of the programs."""

import os

import pytest

from contrib.torture import __main__ as command
from contrib.torture.__main__ import PROGRAMS, Program, Row, main, table
from contrib.torture.program import Summary

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """Put programs in the place of the real ones: texts by name."""

    def put(**texts):
        (tmp_path / "stand_ins").mkdir()
        made = {}
        for name, text in texts.items():
            (tmp_path / "stand_ins" / f"{name}.py").write_text(text)
            made[name.replace("_", "-")] = Program((name, "--option"))
        monkeypatch.setattr(command, "PROGRAMS", made)
        monkeypatch.setattr(command, "__package__", "stand_ins")
        monkeypatch.setattr(command, "CHECKOUT", tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return made

    return put


def ending(count, violations, status=None):
    """Return a program that prints its arguments and ends so."""
    status = int(violations > 0) if status is None else status
    return f"""
import sys
print(*sys.argv[1:])
print({str(Summary(count, "things", 7, violations))!r})
sys.exit({status})
"""


def lines_of(capsys):
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_all_programs_run_and_the_table_adds_up(programs, capsys):
    programs(one=ending(12, 0), two=ending(345, 0))

    assert main(["--count", "12", "--seed", "7"]) == 0
    out = lines_of(capsys)
    assert out.count("--option --count 12 --seed 7") == 2
    assert out[-3:] == [
        "name what it tried how many violations", "one things 12 0", "two things 345 0",
    ]  # fmt: skip


def test_a_violation_is_the_exit_status(programs, capsys):
    programs(one=ending(12, 3), two=ending(345, 0))

    assert main(["--seconds", "0.5"]) == 1
    out = lines_of(capsys)
    assert out[-2:] == ["one things 12 3", "two things 345 0"]
    assert "--option --seconds 0.5 --seed 1" in out


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("import os; os.kill(os.getpid(), 11)", "one died: exit status -11"),
        ("raise ValueError", "one died: exit status 1"),
        ("print('all is well')", "one died: exit status 0"),
        (ending(5, 0, status=1), "one died: exit status 1"),
        (ending(5, 1, status=0), "one died: exit status 0"),
    ],
)
def test_a_program_that_dies_or_contradicts_itself_is_a_failure(programs, capsys, text, row):
    programs(one=text, two=ending(345, 0))

    assert main([]) == 1
    out = lines_of(capsys)
    assert row in out
    assert out[-1] == "two things 345 0"


def test_a_program_that_hangs_is_aborted(programs, capsys, monkeypatch):
    programs(one="import threading; threading.Event().wait()")
    monkeypatch.setattr(command, "PATIENCE", 2)

    assert main(["--seconds", "0"]) == 1
    assert lines_of(capsys)[-1] == "one died: it hung"


def test_a_name_chooses_a_program_and_its_variants(programs, capsys):
    programs(soak=ending(1, 0), soak_tls=ending(2, 0), soaking=ending(3, 0))

    assert main(["soak"]) == 0
    assert lines_of(capsys)[-2:] == ["soak things 1 0", "soak-tls things 2 0"]
    assert main(["soak-tls", "soaking"]) == 0
    assert lines_of(capsys)[-2:] == ["soak-tls things 2 0", "soaking things 3 0"]
    with pytest.raises(SystemExit):
        main(["so"])
    assert "no such program: so; there are soak, soak-tls, soaking" in capsys.readouterr().err


def test_what_cannot_run_is_left_out_and_said(programs, capsys, monkeypatch):
    made = programs(one=ending(1, 0), two=ending(2, 0), three=ending(3, 0))
    made["one"] = made["one"]._replace(packages=("there_is_no_such_package",))
    made["two"] = made["two"]._replace(free_threaded=True)
    monkeypatch.setattr(command, "FREE_THREADED", ())

    assert main([]) == 0
    assert lines_of(capsys)[-3:] == [
        "one left out: needs there_is_no_such_package",
        "two left out: no Python without the GIL (see --free-threaded)",
        "three things 3 0",
    ]


def test_the_other_python_runs_without_the_gil(programs, capsys, tmp_path, monkeypatch):
    made = programs(one="", two=ending(2, 0))
    made["one"] = made["one"]._replace(free_threaded=True)
    other = tmp_path / "python3.13t"
    other.write_text('#!/bin/sh\necho "1 things with GIL=$PYTHON_GIL, seed 1; 0 violations"\n')
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert main([]) == 0
    expected = ["one things with GIL=0 1 0", "two things 2 0"]
    assert lines_of(capsys)[-2:] == expected
    monkeypatch.setattr(command, "FREE_THREADED", ())
    assert main(["--free-threaded", str(other)]) == 0
    assert lines_of(capsys)[-2:] == expected


def test_the_programs_are_there():
    folder = command.CHECKOUT / "contrib/torture"
    assert {program.arguments[0] for program in PROGRAMS.values()} == {
        file.stem for file in folder.glob("*.py") if "def main(" in file.read_text()
    } - {"__main__"}


def test_a_table_has_a_line_for_each_row():
    rows = [Row("one", Summary(1, "things", 1, 2), failed=True), Row("two", problem="left out")]

    assert [line.split() for line in table(rows).splitlines()[1:]] == [
        ["one", "things", "1", "2"], ["two", "left", "out"],
    ]  # fmt: skip
