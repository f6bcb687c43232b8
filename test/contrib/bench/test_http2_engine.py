"""The benchmark of the HTTP/2 engine runs, and measures what it says."""

import re

from contrib.bench import http2_engine


def test_both_libraries_do_the_same_work(monkeypatch, capsys):
    monkeypatch.setattr(http2_engine, "SIZE", 2**18)
    http2_engine.main(["--count", "10", "--rounds", "2"])
    lines = capsys.readouterr().out.splitlines()

    assert [line.partition(":")[0] for line in lines] == ["dugong_like", "h2"]
    for line in lines:
        assert len(re.findall(r"[\d,]+\.\d \(spread \d+%\)", line)) == 3
