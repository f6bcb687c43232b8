import pytest
from kit.cases import each_case

from dugong_like.cli.escaping import HarmlessText, harmless, one_line


@each_case("code", [*range(9), *range(11, 32), 0x7F, *range(0x80, 0xA0)])
def test_control_characters_are_shown_as_escapes(code):
    assert harmless(f"a{chr(code)}b") == f"a\\x{code:02x}b"


@pytest.mark.parametrize("code", [0x61C, 0x200E, 0x2028, 0x2029, *range(0x202A, 0x202F), 0x2066])
def test_what_changes_the_direction_or_the_line_is_shown_as_an_escape(code):
    assert harmless(f"a{chr(code)}b") == f"a\\u{code:04x}b"


def test_everything_else_stays():
    text = "ASCII \\ \t\n, Ünï, \N{HEBREW LETTER ALEF}, \N{SNOWMAN}\U0001f600"

    assert harmless(text) == text


def test_bytes_that_were_not_decoded_are_shown_as_what_they_are():
    argument = b"caf\xe9".decode("utf-8", "surrogateescape")

    assert harmless(argument) == "caf\\xe9"
    assert harmless("\ud800") == "\\ud800"


def test_one_line_has_no_end_within():
    assert one_line("a\r\nb\tc\x1b[m") == "a\\x0d\\x0ab\\x09c\\x1b[m"


PAGE = "né \x1b[2J\r\nnext\rlast \u202e".encode() + b"\xff\xc3"


@pytest.mark.parametrize("cut", range(len(PAGE) + 1))
def test_text_does_not_depend_on_where_it_is_cut(cut):
    text = HarmlessText()

    shown = text.add(PAGE[:cut]) + text.add(memoryview(PAGE)[cut:]) + text.end()

    assert shown == "né \\x1b[2J\nnext\nlast \\u202e\ufffd\ufffd"
