"""Fields are found by their names in a section that was not taken apart."""

import pytest

from dugong_like.http import field_search
from dugong_like.http.field_search import NOWHERE, key_of, keys
from dugong_like.http.lazy_message import FieldsMessage

WIRE = b"\r\nServer: x\r\nX-A:b:c\r\nEmpty:\r\nX-A: second\r\nVary: \xe4\r\n"


def test_key_is_in_front_of_the_value():
    lower = WIRE.lower()
    at = lower.find(key_of("SERVER"))
    assert WIRE[at + len(key_of("SERVER")) :].startswith(b" x\r\n")
    assert keys["SERVER"] == b"\nserver:"


@pytest.mark.parametrize(
    "name", ["x-a:b", "a\n", "\r\nserver", "\xe4", "\N{KELVIN SIGN}", ":", "\n"]
)
def test_what_cannot_be_a_name_is_nowhere(name):
    assert key_of(name) == NOWHERE
    assert WIRE.find(key_of(name)) < 0
    message = FieldsMessage(WIRE)
    assert message[name] is None
    assert message.get(name, 1) == 1
    assert message.get_all(name) is None
    assert name not in message


def test_few_names_are_remembered(monkeypatch):
    monkeypatch.setattr(field_search, "MOST_KEYS", 3)
    for number in range(300):
        assert key_of(f"n{number}") == b"\nn%d:" % number
        assert len(keys) <= 300
    assert len(keys) <= 3
