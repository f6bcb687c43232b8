"""The program that measures boto3 with and without this library: it runs, and prints a table."""

import re

import pytest
from kit.support import installed

from contrib.bench import s3


@pytest.mark.slow
def test_each_way_is_measured(capsys):
    installed("boto3", "sdk")
    s3.main(["--rounds", "1", "--count", "2"])
    head, *lines = capsys.readouterr().out.splitlines()

    assert head.split() == ["CPU", "µs", "of", "boto3", "wall", "µs", "spread"]
    assert len(lines) == 3
    assert all(re.fullmatch(r"[a-z3_, ]+ \d+ +\d+% +\d+ +\d+%", line) for line in lines)
