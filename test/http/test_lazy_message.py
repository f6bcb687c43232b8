"""Fields of a response: an email.message.Message that is filled when it has to be."""

import copy
import pickle
from email.message import Message

import pytest

from dugong_like.http.lazy_message import FieldsMessage

WIRE = b"\r\nA: 1\r\nb:2 \r\nA:\t=?utf-8?q?x?= \xe9\r\nEmpty:\r\n"
ITEMS = [("A", "1"), ("b", "2"), ("A", "=?utf-8?q?x?= é"), ("Empty", "")]


def looks(message):
    """What can be found without filling the message."""
    return [
        message["a"], message["A"], message["B"], message["empty"], message["c"], message["\r\nA"],
        message["A: 1\r\nb"], message["é"], message[""], message.get("x", 5), message.get("b", 5),
        message.get_all("a"), message.get_all("B"), message.get_all("x"), message.get_all("x", []),
        "a" in message, "Empty" in message, "1" in message, 5 in message,
    ]  # fmt: skip


@pytest.mark.feature("B31")
def test_message_keeps_order_repetition_and_bytes():
    message = FieldsMessage(WIRE)

    assert isinstance(message, Message)
    assert message.items() == ITEMS
    assert message.get_all("a") == ["1", "=?utf-8?q?x?= é"]
    assert FieldsMessage(b"\r\n").items() == []


def test_looking_says_the_same_before_and_after_filling():
    message = FieldsMessage(WIRE)
    before = looks(message)
    assert before[:6] == ["1", "1", "2", "", None, None]
    assert len(message) == 4
    assert looks(message) == before
    assert looks(FieldsMessage(WIRE)) == before


def test_message_is_like_any_other_once_it_is_filled():
    message = FieldsMessage(WIRE + b"Content-Type: text/html; charset=utf-8\r\n")
    message["New"] = "x"
    assert message["new"] == "x"
    del message["a"]
    assert message.keys() == ["b", "Empty", "Content-Type", "New"]
    assert message.get_content_type() == "text/html"
    assert message.get_content_charset() == "utf-8"
    with pytest.raises(AttributeError, match="nonsense"):
        message.nonsense


@pytest.mark.parametrize("filled", [False, True])
def test_copies_are_equal(filled):
    message = FieldsMessage(WIRE)
    if filled:
        assert message.items()
    for other in (copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert other.items() == ITEMS


@pytest.mark.reliability(14, 30)
def test_parameter_that_cannot_be_understood_is_as_if_missing():
    value = b"text/plain; charset*" + b"9" * 5000 + b"*=x"
    message = FieldsMessage(b"\r\nContent-Type: " + value + b"\r\n")

    assert message.get_content_charset("utf-8") == "utf-8"
    assert message.get_param("charset") is None
    assert message.get_content_type() == "text/plain"
