"""The fields of resumable uploads: what they say, and what counts as missing."""

import pytest

from dugong_like.http.upload_fields import (
    is_complete,
    takes_partial_uploads,
    upload_limits,
    upload_offset,
)


class Fields(dict):
    """A response that has these fields."""

    def field(self, name):
        return self.get(name)


@pytest.mark.parametrize(
    ("value", "offset"),
    [
        ("0", 0),
        (" 17;a=b ", 17),
        ("-1", None),
        ("1.0", None),
        ("x", None),
        ("", None),
        ("1 2", None),
    ],
)
def test_offsets_are_integers(value, offset):
    assert upload_offset(Fields({"upload-offset": value})) == offset
    assert upload_offset(Fields()) is None


def test_complete_is_a_boolean():
    for value, complete in (
        ("?1", True),
        ("?0", False),
        ("1", False),
        ("true", False),
        ("", False),
    ):
        assert is_complete(Fields({"upload-complete": value})) is complete


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ("max-size=5", (5, None, None)),
        ('max-append-size=7, min-size=1;x, max-age=3, other="a,b"', (None, 1, 7)),
        ("max-size=5, min-size=x", (None, None, None)),
        ("max-size=-5", (None, None, None)),
        ("max-size=5,", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_limits_are_a_dictionary_of_integers(value, limits):
    assert upload_limits(Fields({"upload-limit": value})) == limits


@pytest.mark.parametrize(
    ("value", "takes"),
    [
        ("application/partial-upload", True),
        ("text/x, Application/Partial-Upload;q=1", True),
        ("*/*", False),
        ("application/*", False),
        ("", False),
    ],
)
def test_support_is_told_by_accept_patch(value, takes):
    assert takes_partial_uploads(Fields({"accept-patch": value})) is takes
