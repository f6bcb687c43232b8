"""Plain sentences: none in the library's texts or in the documentation begins with Who or What.

A sentence such as "What is left is closed" has no subject that a reader can look up: a thing that
has a noun in the field gets that noun. Questions are no such sentences.

Files that the texts name exist, too.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.cases import each_case
from kit.support import ROOT

PACKAGE = ROOT / "dugong_like"
SOURCES = list(PACKAGE.rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "doc").rglob("*.rst")]
FORBIDDEN = re.compile(r"(?:\A|[.!?:] |\n\s*\n\s*(?:[-*#]+ )?)(?:Who|Whoever|What)\b[^.!?]*[.:!]")

FOLDERS = ("dugong_like", "test", "contrib", "doc")
FILES = [
    path.relative_to(ROOT).as_posix() for each in FOLDERS for path in (ROOT / each).rglob("*.py")
]
FILE = re.compile(r"(?<![\w.*/])(?:\w+/)*\w+\.py\b")


def texts(source: str) -> Iterator[str]:
    """Find the docstrings of a module, and its comments, those of following lines joined."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    joined = ""
    for line, comment in comments.items():
        joined += f" {comment}" if line - 1 in comments else f"\n\n{comment}"
    yield joined.strip()


@functools.cache
def texts_of(path: Path) -> tuple[str, ...]:
    return tuple(texts(path.read_text()))


def missing_files(text: str) -> list[str]:
    """Return the files of Python that *text* names and that do not exist."""
    return [name for name in FILE.findall(text) if not any(_is(name, path) for path in FILES)]


def _is(name: str, path: str) -> bool:
    return path == name or path.endswith(f"/{name}")


def offences(text: str) -> list[str]:
    return [" ".join(match[0].split()) for match in FORBIDDEN.finditer(text)]


@each_case("path", SOURCES)
def test_docstrings_and_comments(path: Path) -> None:
    assert [offence for text in texts_of(path) for offence in offences(text)] == []


@each_case("path", PAGES)
def test_documents(path: Path) -> None:
    assert offences(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("What is left is closed.", 1),
        ("It ends. Whoever waits is woken.", 1),
        ("Note: Who waits here pays nothing.", 1),
        ("Title\n\nWhat follows is\nlost.", 1),
        ("- one\n\n- What is two.", 1),
        ("What comes next? It ends.", 0),
        ("It says what it is. Somewhat.", 0),
    ],
)
def test_sentences_are_found(text: str, count: int) -> None:
    assert len(offences(text)) == count


def test_comments_of_several_lines_are_one_text() -> None:
    source = "x = 1  # one.\n# What is two\n# goes on.\ny = 2\n# What is three?\n"

    assert [offence for text in texts(source) for offence in offences(text)] == [
        ". What is two goes on."
    ]


@each_case("path", [*PACKAGE.rglob("*.py"), *PAGES])
def test_files_that_are_named_exist(path: Path) -> None:
    shown = texts_of(path) if path.suffix == ".py" else [path.read_text()]

    assert [name for text in shown for name in missing_files(text)] == []


def test_missing_files_are_found() -> None:
    text = "Not here: words.py, test/docs/test_words.py, h1/test_words.py and *.py."

    assert missing_files(text) == ["words.py", "h1/test_words.py"]
