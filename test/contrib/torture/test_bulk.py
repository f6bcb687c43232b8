"""contrib/torture/bulk.py: a part of it, and that it finds what is wrong."""

import gc
import tracemalloc

import pytest
from kit.cases import rest_slow

from contrib.torture import bulk
from contrib.torture.faulty.stage import Violation
from contrib.torture.program import Limit, Summary
from dugong_like.client.bulk.map_results import MapResults

pytestmark = [pytest.mark.usefixtures("nothing_is_left_open"), pytest.mark.timeout(600)]


@pytest.mark.feature("N21")
@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "options", rest_slow(1, [[], ["--dispatcher"], ["--dispatcher", "--unordered"]])
)
def test_memory_does_not_grow_with_the_number_of_requests(count, options, capsys, monkeypatch):
    monkeypatch.setattr(bulk, "FIRST", min(bulk.FIRST, count // 3))
    assert bulk.main(["--count", str(count), *options]) == 0
    summary = Summary.parse(capsys.readouterr().out.splitlines()[-1])
    assert summary == (count, "requests by a map", 1, 0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("ordered", [True, False])
def test_nothing_is_kept_of_requests_that_are_done(ordered, monkeypatch):
    """By what Python has allocated, which the resident set would not show so exactly."""

    def allocated():
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    monkeypatch.setattr(bulk, "resident", allocated)
    tracemalloc.start()
    try:
        count, growth = bulk.attempt(None, Limit(count=50_000), ordered=ordered)
    finally:
        tracemalloc.stop()
    assert count == 50_000
    assert growth < 100_000, "less than two bytes for each"


def test_a_result_that_is_missing_or_wrong_is_found(monkeypatch):
    monkeypatch.setattr(bulk, "WRONG", 7)
    take = MapResults.next

    def every_third(results):
        item = take(results)
        return take(results) if item is not None and item.index % 3 == 2 else item

    monkeypatch.setattr(MapResults, "next", every_third)
    with pytest.raises(Violation, match="3 in place of 2"):
        bulk.attempt(None, Limit(count=20))
    with pytest.raises(Violation, match="a result is missing"):
        bulk.attempt(None, Limit(count=20), ordered=False)


def test_growth_is_found(monkeypatch, capsys):
    monkeypatch.setattr(bulk, "FIRST", 10)
    sizes = iter([0, bulk.GROWTH + 1])
    monkeypatch.setattr(bulk, "resident", lambda: next(sizes))
    assert bulk.main(["--count", "20"]) == 1
    assert "it grew by 8388609 bytes" in capsys.readouterr().out
