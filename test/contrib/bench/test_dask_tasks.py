"""contrib/bench/dask_tasks.py: that it runs and finds what is missing, not how fast anything is."""

import json
import subprocess
import sys

import pytest
from kit.support import ROOT, installed, program

from contrib.bench import dask_tasks
from contrib.bench.dask_tasks import Row
from contrib.bench.server import SMALL


class Here:
    """What is used of a client of Dask, without a cluster."""

    def __init__(self):
        self.tasks = []

    def submit(self, task, *given, pure):
        assert not pure
        self.tasks.append(given)
        return task(*given)

    def gather(self, results):
        return results

    def run(self, function):
        return {"a worker": function()}


@pytest.mark.parametrize(("tasks", "count"), [(20, 20), (None, 45)])
def test_each_url_is_in_one_task_and_wrong_files_are_counted(tasks, count):
    urls, dask = [f"/{number}" for number in range(45)], Here()
    sizes = {"/7": 3, "/8": None}

    def task(given, part):
        found = [sizes.get(url, SMALL) for url in part]
        return [size for size in found if size is not None]

    cost = dask_tasks.measured(dask, Row("a row", task, "given", tasks), urls)
    assert cost.wrong == 2
    assert len(dask.tasks) == count
    assert sorted(url for _, part in dask.tasks for url in part) == sorted(urls)
    assert {given for given, _ in dask.tasks} == {"given"}


def test_without_dask_it_is_left_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr(sys, "argv", ["dask_tasks"])
    assert dask_tasks.main() == 0
    assert "Dask is not installed" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_rows_with_little_work(tmp_path):
    installed("distributed", "data")
    program("nginx")
    command = [sys.executable, "-m", "contrib.bench.dask_tasks", "--quick", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "out.json")],
        capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    assert [len(result["rounds"]) for result in results] == [1] * len(dask_tasks.ROWS)
