"""The fixture of pytest, in runs of its own: what it checks, and what loading it costs."""

import subprocess
import sys

import pytest
from kit.support import ROOT

PLUGIN = "dugong_like.adapters.pytest_fixture"
TESTS = """
from dugong_like import Client, StateError

def test_passes(mock_dispatcher):
    mock_dispatcher.add("GET", "http://a.test/").reply(json=1)
    assert Client(dispatcher=mock_dispatcher).get("http://a.test/").json() == 1

def test_misses_a_request(mock_dispatcher):
    mock_dispatcher.add("GET", "http://a.test/")

def test_swallows_an_unexpected_one(mock_dispatcher):
    try:
        Client(dispatcher=mock_dispatcher).get("http://b.test/")
    except StateError:
        pass
"""


def run_of(code, folder, *options):
    (folder / "test_it.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", PLUGIN, *options],
        cwd=folder, env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_fixture(tmp_path):
    done = run_of(TESTS, tmp_path, "-v")
    assert "3 passed, 2 errors" in done.stdout
    assert "ERROR at teardown of test_misses_a_request" in done.stdout
    assert "GET http://a.test/ (1 missing)" in done.stdout
    assert "ERROR at teardown of test_swallows_an_unexpected_one" in done.stdout
    assert "no rule of the MockDispatcher fits GET http://b.test/" in done.stdout


NOTHING = """
import sys

BEFORE = {"asyncio", "ssl"} & set(sys.modules)  # by others

def test_modules():
    assert not {"dugong_like.client", "asyncio", "ssl"} & (set(sys.modules) - BEFORE)
"""


def test_project_that_does_not_use_it_imports_no_client(tmp_path):
    done = run_of(NOTHING, tmp_path)
    assert done.returncode == 0, done.stdout


def test_entry_point_names_the_module():
    tomllib = pytest.importorskip("tomllib")
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert project["entry-points"]["pytest11"] == {"dugong_like": PLUGIN}
