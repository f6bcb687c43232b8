"""Docstrings of all that `dugong_like` exports: they are there, and name arguments and errors.

A docstring may refer to another one, by a name in backquotes: then that one counts as well.
"""

import ast
import builtins
import functools
import inspect
import re
import types
from pathlib import Path

import dugong_like

LINK = re.compile(r"`~?([A-Za-z_][\w.]*)(?:\(\))?`")
FOLLOWED = 12  # references of one docstring, and of those that it refers to
NAMES = [name for name in dugong_like.__all__ if not name.startswith("__")]


def found(name, owner):
    """Return the object called *name* in a docstring of *owner*, and the class that it is of."""
    first, *rest = name.split(".")
    if not rest and owner is not None and hasattr(owner, name):
        return getattr(owner, name), owner
    thing = getattr(dugong_like, first, None)
    for part in rest:
        owner, thing = thing, getattr(thing, part, None)
    return thing, thing if inspect.isclass(thing) else owner


@functools.cache
def all_said(doc, owner):
    """Return *doc*, of something in the class *owner*, with all that it refers to."""
    said, todo, seen = [], [(doc, owner)], set()
    while todo:
        doc, owner = todo.pop(0)
        said.append(doc)
        for name in LINK.findall(doc):
            if (name, owner) in seen or len(seen) == FOLLOWED:
                continue
            seen.add((name, owner))
            thing, its_owner = found(name, owner)
            if callable(thing) or isinstance(thing, property):
                todo.append((inspect.getdoc(thing) or "", its_owner))
    return "\n".join(said)


@functools.cache
def of_bases(kind):
    """Return the docstrings of a class and of those that it is made of."""
    own = [each for each in kind.__mro__ if each.__module__.startswith("dugong_like")]
    return "\n".join(all_said(inspect.getdoc(each) or "", each) for each in own)


def classes():
    return [(name, kind) for name in NAMES if inspect.isclass(kind := getattr(dugong_like, name))]


def members(kind):
    """Return the names of the public members of a class that this library defines."""
    own = [vars(each) for each in kind.__mro__ if each.__module__.startswith("dugong_like")]
    return sorted({name for each in own for name in each if not name.startswith("_")})


@functools.cache
def functions():
    """Return all functions: their names, themselves, what they say, and what their classes say."""
    listed = []
    for name in NAMES:
        thing = getattr(dugong_like, name)
        if inspect.isfunction(thing):
            listed.append((name, thing, all_said(inspect.getdoc(thing) or "", None), ""))
    for name, kind in classes():
        for member in members(kind):
            if isinstance(
                inspect.getattr_static(kind, member),
                types.FunctionType | staticmethod | classmethod,
            ):
                thing = getattr(kind, member)
                said = all_said(inspect.getdoc(thing) or "", kind)
                listed.append((f"{name}.{member}", thing, said, of_bases(kind)))
    return listed


def properties():
    for name, kind in classes():
        for member in members(kind):
            thing = inspect.getattr_static(kind, member)
            if isinstance(thing, property):
                yield f"{name}.{member}", thing


def test_everything_has_a_docstring():
    undocumented = [name for name, kind in classes() if not inspect.getdoc(kind)]
    undocumented += [name for name, thing, *_ in functions() if not inspect.getdoc(thing)]
    undocumented += [name for name, thing in properties() if not thing.__doc__]
    assert undocumented == []


def test_setters_have_one_too():
    setters = [(name, thing.fset) for name, thing in properties() if thing.fset is not None]
    assert {"ClientRequest.headers", "HTTPConnection.timeout", "Response.encoding"} <= {
        name for name, _ in setters
    }
    assert [name for name, setter in setters if not setter.__doc__] == []


def unnamed(name, thing, said):
    """Return the parameters of *thing* that *said* does not name."""
    parameters = inspect.signature(thing).parameters
    return [
        f"{name}({each})"
        for each in parameters
        if each not in ("self", "cls")
        and not each.startswith("_")
        and each != "unknown"  # which takes what is refused
        and not re.search(rf"\b{re.escape(each)}\b", said)
    ]


def test_arguments_are_named():
    missing = []
    for name, thing, said, of_class in functions():
        missing += unnamed(name, thing, said + of_class)
    for name, kind in classes():
        if not getattr(kind, "_is_protocol", False) and "__init__" in dir(kind):
            missing += unnamed(name, kind, of_bases(kind))
    assert missing == []


@functools.cache
def tree_of(path):
    """Return the functions of a file by their first lines, those of decorators included."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    return {
        min([each.lineno for each in node.decorator_list] + [node.lineno]): node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def raised(thing):
    """Return the classes of the exceptions that a function raises itself."""
    code = inspect.unwrap(thing).__code__
    for node in ast.walk(tree_of(code.co_filename)[code.co_firstlineno]):
        if isinstance(node, ast.Raise) and node.exc is not None:
            made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = made.id if isinstance(made, ast.Name) else ""
            kind = getattr(dugong_like, name, None) or getattr(builtins, name, None)
            if inspect.isclass(kind) and kind is not NotImplementedError:
                yield kind


def test_errors_are_named():
    missing = []
    for name, thing, said, of_class in functions():
        for error in raised(thing):
            names = [each.__name__ for each in error.__mro__[:-1]]
            if not any(re.search(rf"\b{each}\b", said + of_class) for each in names):
                missing.append(f"{name}: {error.__name__}")
    assert missing == []


def test_results_are_described():
    word = re.compile("return|iterat|true|yield|give|result|context manager", re.IGNORECASE)
    of_nothing = {"None", "Co[None]", "NoReturn", None, inspect.Signature.empty}
    undescribed = [
        name
        for name, thing, said, _ in functions()
        if inspect.signature(thing).return_annotation not in of_nothing and not word.search(said)
    ]
    assert undescribed == []
