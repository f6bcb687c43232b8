"""contrib/torture/bulk.py: a part of it, and that it finds what is wrong."""

import pytest

from contrib.torture import bulk
from contrib.torture.program import Summary

pytestmark = [pytest.mark.usefixtures("nothing_is_left_open"), pytest.mark.timeout(600)]


@pytest.mark.feature("N21")
@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_number_of_requests(count, capsys, monkeypatch):
    monkeypatch.setattr(bulk, "FIRST", min(bulk.FIRST, count // 3))
    assert bulk.main(["--count", str(count)]) == 0
    summary = Summary.parse(capsys.readouterr().out.splitlines()[-1])
    assert summary == (count, "requests by a map", 1, 0)


def test_growth_is_found(monkeypatch, capsys):
    monkeypatch.setattr(bulk, "FIRST", 10)
    sizes = iter([0, bulk.GROWTH + 1])
    monkeypatch.setattr(bulk, "resident", lambda: next(sizes))
    assert bulk.main(["--count", "20"]) == 1
    assert "it grew by 8388609 bytes" in capsys.readouterr().out
