"""Numbers that callers pass: what is refused, by name, before anything else happens."""

import decimal
import fractions
import math
import os
import select
import time

import pytest
from kit.cases import each_case
from kit.ways import WAYS

from dugong_like import (
    Budget,
    InvalidOption,
    MinimumRate,
    PollNeeded,
    RateLimit,
    Timeouts,
    run,
    within,
)
from dugong_like.polling.combinators import first_of, stall
from dugong_like.polling.numbers import (
    MAX_SHOWN,
    check_deadline,
    check_flag,
    check_int,
    check_limit,
    check_positive,
    check_seconds,
    shown,
)

HUGE = 10**5000  # Python refuses to write it down
NO_NUMBERS = ["x", True, None, [1], 1j, decimal.Decimal(1), object]
NO_LIMITS = [-1, -0.5, math.nan, 10**400, HUGE, -HUGE]


class Stranger:
    def __repr__(self):
        raise KeyError("no")

    def __add__(self, other):
        raise KeyError("no")


def test_values_are_shown_unless_they_may_have_secrets():
    assert [shown(value) for value in ("x", 5, -1.5, None, True)] == [
        "'x'",
        "5",
        "-1.5",
        "None",
        "True",
    ]
    assert shown(10**30) == "1" + 30 * "0"
    for value in ("x" * (MAX_SHOWN + 1), "https://me:secret@h.test/", "/?token=secret"):
        assert shown(value) == "str"
    assert (shown(HUGE), shown(Stranger()), shown(["secret"])) == ("int", "Stranger", "list")


@pytest.mark.parametrize("value", [*NO_NUMBERS, Stranger()])
def test_what_is_no_number(value):
    for check in (check_seconds, lambda value, name: check_positive(name, value), check_deadline):
        with pytest.raises(TypeError, match=r"^some is .*number.*, not ") as failure:
            check(value, "some")
        assert shown(value) in str(failure.value)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 1.0, Stranger()])
def test_what_is_no_int(value):
    with pytest.raises(TypeError, match=r"^some is an int, not "):
        check_int("some", value, 0)


@pytest.mark.parametrize("value", [0, -1, 6, HUGE, -HUGE], ids=shown)
def test_ints_that_are_too_small_or_too_large(value):
    with pytest.raises(InvalidOption, match=r"^some cannot be .*: it is from 1 to 5$"):
        check_int("some", value, 1, 5)
    for good in (1, 5):
        check_int("some", good, 1, 5)


@pytest.mark.parametrize("value", NO_LIMITS, ids=shown)
def test_limits_that_make_no_sense(value):
    with pytest.raises(InvalidOption, match="some"):
        check_seconds(value, "some")
    with pytest.raises(InvalidOption, match="some"):
        check_limit(value, "some")
    with pytest.raises(InvalidOption, match="some"):
        check_positive("some", value)


@pytest.mark.parametrize("value", [0, 0.0, False, fractions.Fraction(0)])
def test_an_interval_of_zero_makes_no_sense(value):
    error = TypeError if value is False else InvalidOption
    with pytest.raises(error, match="some"):
        check_limit(value, "some")


@pytest.mark.parametrize("value", [0, 0.0, 3, 1e300, math.inf, fractions.Fraction(1, 3)])
def test_limits_that_make_sense(value):
    check_seconds(value, "some")
    check_deadline(value, "some")
    check_deadline(-value, "some")
    if value:
        check_limit(value, "some")
    if 0 < value < math.inf:
        check_positive("some", value)


@pytest.mark.parametrize("value", [math.nan, 10**400, HUGE, -HUGE], ids=shown)
def test_deadlines_that_make_no_sense(value):
    with pytest.raises(InvalidOption, match="some"):
        check_deadline(value, "some")


def test_flags():
    for good in (True, False, 1, 0):
        check_flag("some", good)
    for bad in (2, None, "no", 1.0, [1]):
        with pytest.raises(TypeError, match=r"^some is True or False, not "):
            check_flag("some", bad)


# ---- who checks


class Untouched:
    """An operation that notes whether it was begun or closed."""

    def __init__(self):
        self.begun = self.closed = False

    def __iter__(self):
        return self

    def __next__(self):
        self.begun = True
        raise StopIteration

    def throw(self, *exc):
        raise AssertionError(exc)

    def close(self):
        self.closed = True


LIMITS = {
    "deadline": lambda value, op: run(within(value, op)),
    "timeout": lambda value, op: run(op, value),
    "seconds": lambda value, op: run(stall(value, op)),
}


@pytest.mark.parametrize("value", ["x", math.nan, 10**400, HUGE, [1], True], ids=shown)
@pytest.mark.parametrize("name", LIMITS)
def test_operations_are_not_begun_under_such_a_limit(name, value):
    op = Untouched()
    with pytest.raises((TypeError, InvalidOption), match=name):
        LIMITS[name](value, op)
    assert not op.begun
    assert op.closed


@pytest.mark.parametrize("way", WAYS)
def test_every_driver_tells_it(way):
    for op in (within("x", Untouched()), stall("x", Untouched())):
        with pytest.raises(TypeError, match="not 'x'"):
            way(op)
    with pytest.raises(TypeError, match="stagger is a number of seconds, not 'x'"):
        way(first_of(Untouched(), stagger="x"))


PHASES = ["connect", "dns", "tls", "read", "write", "stall", "total", "expect100"]


@pytest.mark.parametrize("phase", PHASES)
def test_timeouts_name_the_phase(phase):
    for value in ("x", [1], True):
        with pytest.raises(TypeError, match=f"^{phase} is a number of seconds, or None, not "):
            Timeouts(**{phase: value})
    for value in NO_LIMITS:
        with pytest.raises(InvalidOption, match=phase):
            Timeouts(**{phase: value})


NAMED = [
    (RateLimit, "bytes_per_second"),
    (lambda value: RateLimit(1, value), "burst"),
    (lambda value: MinimumRate(value, 1), "bytes_per_second"),
    (lambda value: MinimumRate(1, value), "seconds"),
    (lambda value: Budget(max_body=value), "max_body"),
    (lambda value: Budget(download=value), "download"),
    (lambda value: Budget(upload=value), "upload"),
    (lambda value: Budget(minimum_rate=value), "minimum_rate"),
]


@each_case("value", ["x", [1], True, 1j, HUGE, -1])
@each_case(("make", "name"), NAMED)
def test_rates_and_budgets_name_the_argument(make, name, value):
    with pytest.raises((TypeError, InvalidOption), match=name):
        make(value)


def test_limits_that_have_passed_are_no_mistake():
    reader, writer = os.pipe()
    try:

        def co_wait():
            yield PollNeeded(reader, select.POLLIN)

        with pytest.raises(TimeoutError):
            run(within(time.monotonic() - 1, co_wait()))
        with pytest.raises(TimeoutError):
            run(co_wait(), 0)
    finally:
        for fd in (reader, writer):
            os.close(fd)
