"""contrib/bench/syncs.py: that it runs and finds what is missed, not how fast anything is."""

import json
import shutil
import subprocess
import sys

import pytest
from kit.support import ROOT, program

from contrib.bench import syncs

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads what Linux tells"),
    pytest.mark.timeout(600),
]


@pytest.mark.slow
def test_all_rows_with_little_work(tmp_path):
    program("nginx")
    command = [sys.executable, "-m", "contrib.bench.syncs", "--quick", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "out.json")],
        capture_output=True, text=True, timeout=580, check=False, cwd=ROOT,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    ours = [each for each in results if each["tool"] == "sync"]
    rows = 2 if shutil.which("rclone") else 1
    assert [each["step"] for each in ours] == [*syncs.STEPS] * rows
    assert not any(cost["missed"] for each in ours for cost in each["rounds"])


def test_files_that_are_missed_are_counted(tmp_path):
    syncs.make_files(tmp_path / "root", 3)
    shutil.copytree(tmp_path / "root", tmp_path / "kept")
    assert syncs.missed(tmp_path / "root", tmp_path / "kept") == 0

    syncs.change_files(tmp_path / "root", 3, 1)
    (tmp_path / "kept" / "2" / "2").unlink()

    assert syncs.missed(tmp_path / "root", tmp_path / "kept") == 2
