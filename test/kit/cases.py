"""Tables of cases that make up one test.

For pytest a test costs more than most pure functions do: to collect it in each process, to set it
up, and to report it. A table of hundreds of such cases is one test, which names all that fail.
"""

import functools
import inspect

import pytest


class CasesFailed(ExceptionGroup):
    """Some cases of a table failed; each exception has the case as its note."""

    def derive(self, excs):
        return CasesFailed(self.message, excs)


def each_case(names, cases):
    """Have the test called with each of *cases*, as `pytest.mark.parametrize` would, but in one go.

    All cases share the other fixtures of the test. Several of these stand above each other like
    those of pytest; they make each combination. A case that skips itself leaves the others to be
    tried; if all do, the test is skipped.

    Args:
        names: of the arguments, separated by commas, or a sequence of names.
        cases: a value, or a sequence of values if there are several names, for each call.

    """
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    rows = [(case,) if len(names) == 1 else tuple(case) for case in cases]
    assert rows, f"no cases for {', '.join(names)}"
    assert all(len(row) == len(names) for row in rows), f"not as many values as {names}"

    def decorate(function):
        @functools.wraps(function)
        def test(*args, **fixtures):
            failed, skipped = [], []
            for row in rows:
                values = dict(zip(names, row, strict=True))
                try:
                    function(*args, **fixtures, **values)
                except pytest.skip.Exception as exc:
                    skipped.append(exc)
                except (Exception, pytest.fail.Exception) as exc:
                    failed += noted(exc, ", ".join(f"{k}={v!r}" for k, v in values.items()))
            if failed:
                raise CasesFailed(f"{function.__name__}: {len(failed)} cases", failed)
            if len(skipped) == len(rows):
                raise skipped[0]

        signature = inspect.signature(function)
        left = [value for name, value in signature.parameters.items() if name not in names]
        assert len(left) == len(signature.parameters) - len(names), f"{function} takes no {names}"
        test.__signature__ = signature.replace(parameters=left)
        return test

    return decorate


def noted(exc, case):
    """Return what failed, with *case* in the message of each."""
    if isinstance(exc, CasesFailed):
        return [one for each in exc.exceptions for one in noted(each, case)]
    if not isinstance(exc, Exception):  # `pytest.fail`, `pytest.raises` without an exception
        exc = AssertionError(str(exc)).with_traceback(exc.__traceback__)
    exc.add_note(f"case: {case}")
    return [exc]


def rest_slow(count, values, always=None):
    """Return *values* for `pytest.mark.parametrize`, all but some of them marked as slow.

    Not slow are the first *count*, and those that *always* is true of.
    """
    return [
        value
        if number < count or (always is not None and always(value))
        else pytest.param(*several(value), marks=pytest.mark.slow)
        for number, value in enumerate(values)
    ]


def several(value):
    return value if isinstance(value, tuple) else (value,)
