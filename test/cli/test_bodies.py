"""The values of --data, --json and --form; what is sent for them is in test_sending.py."""

import pytest

from dugong_like.cli.bodies import (
    FormField,
    at_file,
    form_field,
    form_problem,
    json_problem,
    open_body,
)


@pytest.mark.parametrize(
    ("value", "text", "file"),
    [
        ("", "", None),
        ("text", "text", None),
        ("@name", "", "name"),
        ("@", "", ""),
        ("@@text", "@text", None),
        ("@@", "@", None),
        ("a@b", "a@b", None),
    ],
)
def test_a_file_is_named_behind_one_at(value, text, file):
    assert at_file(value) == (text, file)


@pytest.mark.parametrize("value", ["1", '{"a": [null]}', "@file", '"@"'])
def test_json_is_right_or_in_a_file(value):
    assert json_problem(value) is None


@pytest.mark.parametrize("value", ["", "{", "{'a': 1}", "@@", "[" * 100_000])
def test_other_text_is_no_json(value):
    assert json_problem(value)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("a=b", FormField("a", "b", False)),
        ("a=", FormField("a", "", False)),
        ("a=b=c", FormField("a", "b=c", False)),
        ("a=@b", FormField("a", "b", True)),
        ("a=@@b", FormField("a", "@b", False)),
    ],
)
def test_a_form_field_is_text_or_a_file(value, field):
    assert form_problem(value) is None
    assert form_field(value) == field


@pytest.mark.parametrize("value", ["", "a", "=a", "=", "@a"])
def test_a_form_field_has_a_name(value):
    assert form_problem(value)


def test_nothing_is_no_body():
    with open_body(None) as body:
        assert body == ({}, [])


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("x.json", [("Content-Type", "application/json")]),
        ("x.tar.gz", []),
        ("x", []),
    ],
)
def test_the_type_of_a_file_is_guessed_from_its_name(tmp_path, name, fields):
    (tmp_path / name).write_bytes(b"1")
    with open_body(None, data=f"@{tmp_path / name}") as body:
        assert body == ({"content": b"1"}, fields)
    with open_body(None, file=str(tmp_path / name)) as body:
        assert body == ({"content": b"1"}, [])
