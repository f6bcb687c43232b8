"""Validators: which are strong, and which contradict each other."""

import pytest

from dugong_like.http.validators import contradicts, is_condition, strong_validator

DATE = "Tue, 15 Nov 1994 08:12:31 GMT"
LONG_BEFORE = "Tue, 15 Nov 1994 08:11:31 GMT"
JUST_BEFORE = "Tue, 15 Nov 1994 08:11:32 GMT"


class Fields(dict):
    """A response that has these fields."""

    def field(self, name):
        return self.get(name)


@pytest.mark.parametrize(
    ("fields", "validator"),
    [
        ({"etag": '"1"'}, '"1"'),
        ({"etag": '""'}, '""'),
        ({"etag": 'W/"1"'}, None),
        ({"etag": "1"}, None),
        ({"etag": '"1", "2"'}, None),
        ({"etag": 'W/"1"', "last-modified": LONG_BEFORE, "date": DATE}, None),
        ({"last-modified": LONG_BEFORE, "date": DATE}, LONG_BEFORE),
        ({"last-modified": JUST_BEFORE, "date": DATE}, None),
        ({"last-modified": DATE, "date": LONG_BEFORE}, None),
        ({"last-modified": LONG_BEFORE}, None),
        ({"last-modified": "yesterday", "date": DATE}, None),
        ({}, None),
    ],
)
def test_only_a_strong_validator_is_one(fields, validator):
    assert strong_validator(Fields(fields), 800_000_000) == validator


@pytest.mark.parametrize(
    ("validator", "fields", "other"),
    [
        ('"1"', {"etag": '"1"'}, False),
        ('"1"', {"etag": '"2"'}, True),
        ('"1"', {"etag": 'W/"1"'}, True),
        ('"1"', {"last-modified": DATE}, False),
        ('"1"', {}, False),
        (DATE, {"last-modified": DATE, "etag": '"2"'}, False),
        (DATE, {"last-modified": LONG_BEFORE}, True),
    ],
)
def test_another_validator_is_another_version(validator, fields, other):
    assert contradicts(Fields(fields), validator) is other


def test_conditions_are_entity_tags_or_a_star():
    right = ("*", '"1"', '""', 'W/"1"', '"1", W/"2"', '"1" ,"2"', '"a,b"')
    wrong = ("", "1", '"1', "**", '"1", *', '"1" "2"', "w/'1'", '"a b"', '"1",', '"1"\r\nX: "2"')
    assert [value for value in right if not is_condition(value)] == []
    assert [value for value in wrong if is_condition(value)] == []
