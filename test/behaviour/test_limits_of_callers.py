"""A time limit of a caller is thrown into what waits, and is not taken for something else there."""

import ast
from pathlib import Path

import pytest

import dugong_like
from dugong_like import ConnectionTimedOut
from dugong_like.client.transfers import destination
from dugong_like.polling.wake import Wake

SYSTEM = {"OSError", "TimeoutError"}  # the error of a limit is both
OF_LIMITS = {"ConnectionTimedOut", "TransportError", "DugongError", "BaseException"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def names_of(kind):
    return {each.id for each in ast.walk(kind) if isinstance(each, ast.Name)} if kind else set()


def waits(statements):
    """Return True if an operation may wait in *statements*."""
    rest = list(statements)
    while rest:
        node = rest.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, FUNCTIONS):
            rest += ast.iter_child_nodes(node)
    return False


def mistaken(source):
    """Return the lines where errors of the system are caught around a wait, and limits, too."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Try) and waits(node.body)):
            continue
        for handler in node.handlers:
            caught = names_of(handler.type)
            if caught & OF_LIMITS:
                break
            if caught & SYSTEM and ast.unparse(handler.body[-1]) != "raise":
                lines.append(handler.lineno)
    return lines


def test_what_is_looked_for_is_found():
    wrong = "def op():\n try:\n  yield 1\n except OSError as exc:\n  return\n"
    right = " except ConnectionTimedOut:\n  raise\n except OSError"
    assert mistaken(wrong) == [4]
    assert mistaken(wrong.replace(" except OSError", right)) == []
    assert mistaken(wrong.replace("  yield 1", "  x()")) == []


def test_a_limit_is_not_caught_as_an_error_of_the_system():
    """The program for the command line is left out: there it is an error like others."""
    found = {}
    root = Path(dugong_like.__file__).parent
    for path in root.rglob("*.py"):
        if path.relative_to(root).parts[0] == "cli":
            continue
        source = path.read_text("utf-8")
        if not any(f"except {name}" in source or f", {name}" in source for name in SYSTEM):
            continue
        if lines := mistaken(source):
            found[str(path.relative_to(root))] = lines
    assert found == {}


def co_wait(wake):
    yield from wake.co_wait()


@pytest.mark.parametrize("old", [True, False])
def test_limit_while_the_storage_is_waited_for(tmp_path, monkeypatch, old):
    path = tmp_path / "file"
    if old:
        path.write_bytes(b"old")
    with Wake() as wake:
        monkeypatch.setattr(destination, "co_sync", lambda *_: co_wait(wake))
        going = destination.Destination(path).co_write_whole(b"new", synced=True)
        next(going)
        with pytest.raises(ConnectionTimedOut, match="^mine$"):
            going.throw(ConnectionTimedOut("mine"))
    assert [each.name for each in tmp_path.iterdir()] == (["file"] if old else [])
    assert not old or path.read_bytes() == b"old"
