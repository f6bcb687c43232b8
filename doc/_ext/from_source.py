"""Tables made from the source, so that they are true: features, states, imports.

``.. marked-table:: features.toml feature`` lists the rows of features.toml with the tests
that are marked with ``@pytest.mark.feature("B12")``. ``.. names-table:: names.toml awscrt``
lists the rows of one table of names.toml, each with a test;
``.. rules-table:: safety.toml retries`` those of a file that has a test for each rule.
``.. errors-table:: ours`` and ``.. errors-table:: theirs`` show
dugong_like/adapters/httpx_errors.py. ``.. state-table:: SENDING`` shows a table of
a machine of the states of connections. ``.. import-table::`` lists which file imports which.

In signatures, the type of operations is put back as it is in the source: ``Co[T]``.
"""

import ast
import functools
import re
import runpy
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from dugong_like.connection.h1.sending_states import SENDING
from dugong_like.connection.states import SESSION

OPERATION = re.compile(
    r"~?(?:[a-z.]+\.)?Generator\[[~\w.]*PollNeeded, None, ((?:[^\[\]]|\[[^\]]*\])*)\]",
)
NO_TEST = {"?": "to be checked", "-": "nothing yet"}  # what a name may have instead of one
ROOT = Path(__file__).resolve().parent.parent.parent


def table(widths: list[int], header: list[str], rows: list[list[nodes.Node]]) -> nodes.table:
    """Return a table; each cell is a node that may stand in a paragraph."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in widths), cols=len(widths))
    head = nodes.thead("", row([nodes.Text(text) for text in header]))
    group += [head, nodes.tbody("", *map(row, rows))]
    return nodes.table("", group)


def row(cells: list[nodes.Node]) -> nodes.row:
    """Return one row of a table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def marked_tests(folder: Path, marker: str) -> Iterator[tuple[str, str]]:
    """Find ``pytest.mark.<marker>``: each row, and the file and function it marks."""
    for path in sorted(folder.rglob("test_*.py")):
        place = path.relative_to(folder.parent).as_posix()
        source = path.read_text()
        if f".{marker}(" not in source:  # most files; to parse one takes longer than to look
            continue
        for name, tree in functions(ast.parse(source)):
            for mark in ast.walk(tree):
                if (
                    isinstance(mark, ast.Call)
                    and isinstance(mark.func, ast.Attribute)
                    and mark.func.attr == marker
                ):
                    for argument in mark.args:
                        yield str(ast.literal_eval(argument)), f"{place}{name}"


def functions(module: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Take a module apart: functions with their decorators, and the rest of it."""
    for statement in module.body:
        if isinstance(statement, ast.ClassDef):
            for decorator in statement.decorator_list:
                yield f"::{statement.name}", decorator
            for member in statement.body:
                yield f"::{statement.name}::{getattr(member, 'name', '')}".rstrip(":"), member
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"::{statement.name}", statement
        else:
            yield "", statement


class MarkedTable(Directive):
    """The rows of a file, and the tests that are marked with them. Each row has one."""

    required_arguments = 2  # the file, and the name of the marker

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        name, marker = self.arguments
        environment = self.state.document.settings.env
        source = Path(environment.srcdir, name)
        environment.note_dependency(name)
        tests: defaultdict[str, set[str]] = defaultdict(set)
        for number, test in marked_tests(ROOT / "test", marker):
            tests[number].add(test)
        [table_of_file] = tomllib.loads(source.read_text()).values()
        missing = table_of_file.keys() - tests.keys()
        assert not missing, f"no test is marked with {sorted(missing)}"
        rows = []
        for number, text in table_of_file.items():
            names = nodes.inline()
            for test in sorted(tests.pop(number)):
                names += [nodes.literal(text=test), nodes.Text(" ")]
            parsed, problems = self.state.inline_text(text, self.lineno)
            assert not problems, problems
            rows.append([nodes.Text(number), nodes.inline("", "", *parsed), names])
        assert not tests, f"tests are marked with rows that do not exist: {dict(tests)}"
        return [table([5, 45, 50], ["Row", "What", "Shown by"], rows)]


class NamesTable(Directive):
    """One table of a file: a name elsewhere, what does it here, and a test that exists.

    What begins with a question mark instead of a test is still to be checked; a dash says that
    the row comes later.
    """

    required_arguments = 2  # the file, and the name of the table in it

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        name, key = self.arguments
        environment = self.state.document.settings.env
        environment.note_dependency(name)
        rows = []
        for other, (text, test) in tomllib.loads(
            Path(environment.srcdir, name).read_text(),
        )[key].items():
            assert test[0] in NO_TEST or is_test(test), f"there is no {test}"
            parsed, problems = self.state.inline_text(text, self.lineno)
            assert not problems, problems
            shown = NO_TEST.get(test[0], test)
            rows.append(
                [
                    nodes.literal(text=other),
                    nodes.inline("", "", *parsed),
                    nodes.literal(text=shown),
                ],
            )
        return [table([30, 40, 30], ["There", "Here", "Shown by"], rows)]


class RulesTable(Directive):
    """One table of a file: a rule, and a test that shows it."""

    required_arguments = 2  # the file, and the name of the table in it

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        name, key = self.arguments
        environment = self.state.document.settings.env
        environment.note_dependency(name)
        rows = []
        for rule, test in tomllib.loads(Path(environment.srcdir, name).read_text())[key].items():
            assert is_test(test), f"there is no {test}"
            parsed, problems = self.state.inline_text(rule, self.lineno)
            assert not problems, problems
            rows.append([nodes.inline("", "", *parsed), nodes.literal(text=test)])
        return [table([60, 40], ["Rule", "Shown by"], rows)]


def is_test(name: str) -> bool:
    """Return True if there is a test called *name*, or a file with tests."""
    file, _, function = name.partition("::")
    path = ROOT / file
    if not path.exists():
        return False
    return not function or f"::{function}" in names_of_tests(path)


@functools.cache
def names_of_tests(path: Path) -> frozenset[str]:
    """Return the names of what a file has, as `functions` gives them."""
    return frozenset(name for name, _ in functions(ast.parse(path.read_text())))


class ErrorsTable(Directive):
    """The exceptions here and those of httpx and httpcore: ``ours`` first, or ``theirs``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        source = ROOT / "dugong_like" / "adapters" / "httpx_errors.py"
        self.state.document.settings.env.note_dependency(str(source))
        names = runpy.run_path(str(source))
        if self.arguments == ["ours"]:
            rows = [
                [self._text(f"`{ours}`"), *(nodes.literal(text=name) for name in theirs)]
                for ours, theirs in names["ERRORS"].items()
            ]
            header = ["Here", *(f"There, when it is to {phase}" for phase in names["PHASES"])]
            return [table([28, 24, 24, 24], header, rows)]
        rows = []
        for name, here in names["THEIRS"].items():
            text = here if isinstance(here, str) else ", ".join(f"`{ours}`" for ours in here)
            rows.append([nodes.literal(text=name), self._text(text)])
        return [table([30, 70], ["There", "Here"], rows)]

    def _text(self, text: str) -> nodes.Node:
        parsed, problems = self.state.inline_text(text, self.lineno)
        assert not problems, problems
        return nodes.inline("", "", *parsed)


MACHINES = {"SESSION": SESSION, "SENDING": SENDING}


class StateTable(Directive):
    """One of the machines in connection/states.py and connection/h1/sending_states.py."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows = [
            [nodes.literal(text=cell.name) for cell in (before, event, after)]
            for (before, event), after in MACHINES[self.arguments[0]].items()
        ]
        return [table([1, 1, 1], ["State", "Event", "Next state"], rows)]


class ImportTable(Directive):
    """Which file of the library imports which other ones."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        package = ROOT / "dugong_like"
        rows = []
        for path in sorted(package.rglob("*.py")):
            if path.name not in {"__init__.py", "__main__.py"}:
                names = ", ".join(sorted(set(imports(path, package)))) or "nothing"
                rows.append(
                    [nodes.literal(text=path.relative_to(package).as_posix()), nodes.Text(names)],
                )
        return [table([1, 2], ["File", "Imports"], rows)]


def imports(path: Path, package: Path) -> Iterator[str]:
    """Find what *path* imports from the package, as names with dots."""
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            parents = path.relative_to(package).parts[:-1]
            base = parents[: len(parents) - statement.level + 1]
            if statement.module:
                yield ".".join((*base, statement.module))
            else:
                yield from (".".join((*base, alias.name)) for alias in statement.names)


def shorten(*event: object) -> tuple[str | None, str | None]:
    """Write ``Co[T]`` in a signature; a handler of autodoc-process-signature."""
    arguments, result = (
        text and OPERATION.sub(r"~dugong_like.Co[\1]", str(text)) for text in event[-2:]
    )
    return arguments, result


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx about the directives."""
    app.add_directive("marked-table", MarkedTable)
    app.add_directive("names-table", NamesTable)
    app.add_directive("rules-table", RulesTable)
    app.add_directive("errors-table", ErrorsTable)
    app.add_directive("state-table", StateTable)
    app.add_directive("import-table", ImportTable)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True}
