"""contrib/bench/transfers.py: that it runs and finds what is missing, not how fast anything is."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from kit.support import ROOT, program

from contrib.bench import transfers
from contrib.bench.faulty_site import SIZE, body_of
from contrib.bench.link import obstacle

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads what Linux tells"),
    pytest.mark.timeout(600),
]

FAR = ("delays", "lossy", "lossy_http2", "lossy_ranges")  # rows over a link


def measure(tmp_path, names):
    """Measure these rows with little work; return how many tables and figures of ours there are."""
    program("nginx")
    command = [sys.executable, "-m", "contrib.bench.transfers", "--quick", "--rounds", "1"]
    for name in names:
        command += ["--only", name]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "out.json")],
        capture_output=True, text=True, timeout=580, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    ours = [each for each in results if re.match(r"map|get|put|download|upload", each["tool"])]
    assert all(not cost["wrong"] for each in ours for cost in each["rounds"])
    return len({result["row"] for result in results}), len(ours)


@pytest.mark.slow
def test_rows_without_a_link_with_little_work(tmp_path):
    assert measure(tmp_path, [name for name in transfers.ROWS if name not in FAR]) == (8, 17)


@pytest.mark.slow
def test_rows_over_a_link_with_little_work(tmp_path):
    if reason := obstacle("bbr"):
        pytest.skip(reason)
    assert set(FAR) < set(transfers.ROWS)
    assert measure(tmp_path, FAR) == (8, 18)


def test_the_server_fails_as_it_is_told():
    command = [sys.executable, "-m", "contrib.bench.faulty_site", "--refuse", "1", "--close", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            base = f"http://127.0.0.1:{int(process.stdout.readline())}"
            with pytest.raises(urllib.error.HTTPError, match="503") as refused:
                urllib.request.urlopen(f"{base}/1")
            assert refused.value.headers["Retry-After"] == "1"
            refused.value.close()
            with urllib.request.urlopen(f"{base}/counts") as response:
                counts = json.load(response)
            assert (counts["requests"], counts["refused"]) == (1, 1)
        finally:
            process.terminate()


def test_files_that_are_missing_or_wrong_are_counted(tmp_path):
    assert len(body_of(1)) == SIZE
    assert body_of(1) != body_of(2)
    assert body_of(1, 10_000)[:SIZE] == body_of(1)
    (tmp_path / "1").write_bytes(body_of(1))
    assert transfers._has(tmp_path / "1", body_of(1))
    assert not transfers._has(tmp_path / "1", body_of(2))
    assert not transfers._has(tmp_path / "2", body_of(2))


def test_without_a_link_its_rows_are_left_out(monkeypatch, capsys):
    monkeypatch.setattr(transfers, "obstacle", lambda _: "no devices")
    bench = transfers.Bench(site=None, rounds=1, quick=True)
    bench._measure("a row", {}, lambda _: 0, far=bench._far(0.01))
    assert capsys.readouterr().out == "\na row\nleft out, as there is no link: no devices\n"
    assert bench.results == []


def test_the_median_is_that_of_the_time_that_has_passed():
    costs = [transfers.Cost(cpu, wall, 0, 0, 0) for cpu, wall in ((1, 9), (3, 2), (2, 5), (9, 4))]
    assert transfers._median(costs) == costs[3]
    assert transfers._spread(costs) == "wall 2.00 to 9.00"


def test_a_process_is_measured(tmp_path):
    code = "import sys; x = bytearray(50 << 20); sum(range(10**6)); sys.exit(3)"
    cost = transfers._run([sys.executable, "-c", code], tmp_path)
    assert cost.status == 3
    assert cost.rss > 50 << 20
    assert cost.cpu > 0
