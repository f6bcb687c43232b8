"""How many connections a pool may have: checked, and never changed."""

import copy
import pickle

import pytest

from dugong_like import InvalidOption, Limits

COUNTS = {
    "max_connections": 1, "max_per_origin": 1, "max_keepalive": 0,
    "max_keepalive_per_origin": 0, "max_requests": 1,
}  # fmt: skip


def test_defaults():
    assert repr(Limits()) == (
        "Limits(keepalive_expiry=60.0, max_age=None, max_connections=100, max_keepalive=50, "
        "max_keepalive_per_origin=10, max_per_origin=None, max_requests=None, "
        "ping_after=60.0)"
    )


@pytest.mark.parametrize(("name", "least"), COUNTS.items())
def test_counts(name, least):
    assert getattr(Limits(**{name: least}), name) == least
    assert getattr(Limits(**{name: None}), name) is None
    with pytest.raises(InvalidOption, match=name):
        Limits(**{name: least - 1})
    for wrong in (1.5, "1", True):
        with pytest.raises(TypeError, match=name):
            Limits(**{name: wrong})


@pytest.mark.parametrize("name", ["keepalive_expiry", "max_age", "ping_after"])
def test_seconds(name):
    assert getattr(Limits(**{name: 0}), name) == 0
    assert getattr(Limits(**{name: None}), name) is None
    for wrong in (-1, float("nan")):
        with pytest.raises(InvalidOption, match=name):
            Limits(**{name: wrong})
    with pytest.raises(TypeError, match=name):
        Limits(**{name: "1"})


def test_values():
    limits = Limits(max_connections=3)
    with pytest.raises(AttributeError, match="never changed"):
        limits.max_connections = 4
    for again in (copy.copy(limits), pickle.loads(pickle.dumps(limits))):
        assert again == limits
        assert hash(again) == hash(limits)
    assert limits != Limits()
    assert limits != 3
