"""Text of bodies: encodings, byte order marks, lines and JSON, wherever the network cuts."""

import codecs
import json
import random

import pytest
from kit.cases import each_case

from dugong_like.http.text import (
    LineSplitter,
    TextDecoder,
    charset_in,
    codec_of,
    decode_text,
    encoding_for,
    json_encoding,
    json_text,
)

NO_ENDS = '{"a": "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e"}'  # of lines
SAMPLE = "aä€\U0001f600\n\u2028b"


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("utf-8", "utf-8"), ("UTF8", "utf-8"), ("latin1", "iso8859-1"), ("us-ascii", "ascii"),
        ("ISO-8859-15", "iso8859-15"), ("windows-1252", "cp1252"), ("cp1252", "cp1252"),
        ("utf-16", "utf-16"), ("utf-16le", "utf-16-le"), ("utf-32", "utf-32"),
        ("koi8-r", "koi8-r"), ("Shift_JIS", "cp932"), ("gb2312", "gb18030"), ("GBK", "gb18030"),
        ("euc-kr", "cp949"), ("x-sjis", "cp932"), ("big5", "big5"), ("iso-2022-jp", "iso2022_jp"),
        ("", None), ("nonsense", None), ("utf-8\0", None), ("ä", None), ("a b", None),
        ("x" * 41, None), ("../x", None), ("encodings.utf_8", None), ("aliases", None),
    ],
)  # fmt: skip
def test_charsets(charset, codec):
    assert codec_of(charset) == codec


@pytest.mark.parametrize(
    "name",
    [
        "base64", "base64_codec", "bz2", "zlib", "zip", "hex", "rot13", "rot_13", "uu", "quopri",
        "quoted-printable", "unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined",
        "mbcs", "oem",
    ],
)  # fmt: skip
def test_codecs_that_are_no_charsets_are_refused(name):
    assert codec_of(name) is None
    assert encoding_for(f"text/plain; charset={name}") == "utf-8"
    with pytest.raises(LookupError, match="no encoding of text"):
        TextDecoder(name)


def test_every_codec_of_python_that_is_taken_decodes_in_pieces():
    from encodings.aliases import aliases

    taken = {codec_of(name.replace("_", "-")) or codec_of(name) for name in aliases.values()}
    assert len(taken) > 80
    for name in taken - {None}:
        data = "abc\n".encode(name)
        decoder = TextDecoder(name)
        text = "".join(decoder.decode(data[i : i + 1]) for i in range(len(data)))
        assert text + decoder.decode(b"", final=True) == "abc\n", name


@pytest.mark.parametrize(
    ("content_type", "default", "encoding"),
    [
        ("", "utf-8", "utf-8"),
        ("text/html; charset=latin-1", "utf-8", "iso8859-1"),
        ("text/html; charset=nonsense", "latin-1", "iso8859-1"),
        ("text/html", "cp1252", "cp1252"),
        ("text/html", "nonsense", "utf-8"),
        ("text/html", lambda data: None, "utf-8"),
        ("text/html", lambda data: data.decode(), "iso8859-2"),
        ("text/html; charset=ascii", lambda data: 1 / 0, "ascii"),
        ('text/html; charset="UTF-16"', "utf-8", "utf-16"),
    ],
)
def test_which_encoding_a_body_has(content_type, default, encoding):
    assert encoding_for(content_type, default, b"iso-8859-2") == encoding


def test_charset_of_a_content_type():
    assert charset_in("text/html; charset=utf8") == "utf-8"
    assert charset_in("text/html") is None
    assert charset_in("text/html; charset=base64") is None


CASES = [
    ("utf-8", b"", ""),
    ("utf-8", SAMPLE.encode(), SAMPLE),
    ("utf-8", codecs.BOM_UTF8 + SAMPLE.encode(), SAMPLE),
    ("latin-1", codecs.BOM_UTF8 + SAMPLE.encode(), SAMPLE),
    ("utf-8", codecs.BOM_UTF16_LE + SAMPLE.encode("utf-16-le"), SAMPLE),
    ("ascii", codecs.BOM_UTF16_BE + SAMPLE.encode("utf-16-be"), SAMPLE),
    ("utf-16", SAMPLE.encode("utf-16"), SAMPLE),
    ("utf-16", SAMPLE.encode("utf-16-le"), SAMPLE),
    ("utf-16-be", SAMPLE.encode("utf-16-be"), SAMPLE),
    ("utf-32", SAMPLE.encode("utf-32"), SAMPLE),
    ("utf-32", SAMPLE.encode("utf-32-le"), SAMPLE),
    ("utf-32-le", codecs.BOM_UTF32_LE + SAMPLE.encode("utf-32-le"), SAMPLE),
    ("utf-32-be", SAMPLE.encode("utf-32-be"), SAMPLE),
    ("utf-8", codecs.BOM_UTF8, ""),
    ("utf-8", codecs.BOM_UTF8 * 2, "\ufeff"),
    ("utf-8", b"\xef", "\ufffd"),
    ("utf-8", b"\xef\xbb", "\ufffd"),
    ("utf-8", b"\xef\xbbx", "\ufffdx"),
    ("latin-1", b"\xef\xbbx", "ï»x"),
    ("latin-1", b"\xfe", "þ"),
    ("latin-1", b"\xff\xfe", ""),
    ("utf-8", b"a\xffb\xe2\x82", "a\ufffdb\ufffd"),
    ("shift_jis", "日本語".encode("cp932"), "日本語"),
    ("gb2312", "中\U0001f600".encode("gb18030"), "中\U0001f600"),
    ("iso-2022-jp", "日本a語".encode("iso-2022-jp"), "日本a語"),
    ("utf-16-le", b"a\0b", "a\ufffd"),
]


@pytest.mark.parametrize(("encoding", "data", "text"), CASES)
def test_text_does_not_depend_on_where_the_network_cuts(encoding, data, text):
    assert decode_text(data, encoding) == text
    for seed in range(len(data) + 1):
        dice = random.Random(seed)
        cuts = sorted(dice.sample(range(len(data) + 1), min(len(data), dice.randrange(1, 9))))
        if seed == 0:
            cuts = list(range(len(data)))
        decoder = TextDecoder(encoding)
        pieces = zip([0, *cuts], [*cuts, len(data)], strict=True)
        found = [decoder.decode(data[start:end]) for start, end in pieces]
        assert "".join(found) + decoder.decode(b"", final=True) == text


def test_errors_may_be_strict():
    with pytest.raises(UnicodeDecodeError):
        decode_text(b"\xff", "utf-8", "strict")
    decoder = TextDecoder("utf-8", "strict")
    assert decoder.decode(b"a\xe2\x82") == "a"
    with pytest.raises(UnicodeDecodeError):
        decoder.decode(b"", final=True)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("\n", [""]),
        ("a\nb\r\nc\rd", ["a", "b", "c", "d"]),
        ("a\r\n\r\nb\r\rc\n\nd", ["a", "", "b", "", "c", "", "d"]),
        ("\r\n", [""]),
        ("\n\r", ["", ""]),
        ("\r\r\n\n", ["", "", ""]),
        (f"{NO_ENDS}\n{NO_ENDS}", [NO_ENDS, NO_ENDS]),
        ("a" * 1000 + "\n" + "b" * 1000, ["a" * 1000, "b" * 1000]),
    ],
)  # fmt: skip
def test_lines_do_not_depend_on_where_the_network_cuts(text, lines):
    for seed in range(30):
        dice = random.Random(seed)
        size = dice.choice([1, 2, 3, 500, 5000])
        splitter = LineSplitter()
        found = []
        for start in range(0, len(text), size):
            found += splitter.feed(text[start : start + size])
            found += splitter.feed("")
        assert found + splitter.finish() == lines
        assert splitter.finish() == []


def test_a_line_is_there_when_its_end_is():
    splitter = LineSplitter()
    assert splitter.feed("a\r") == ["a"]
    assert splitter.feed("\nb") == []
    assert splitter.feed("\n") == ["b"]
    assert splitter.finish() == []


DOCUMENTS = ["1", "{}", '"ä"', '{"a": "€\U0001f600"}', '["\\u0000"]', "10", "null"]
UTFS = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@each_case("mark", ["", "\ufeff"])
@each_case("encoding", UTFS)
@each_case("text", DOCUMENTS)
def test_encodings_of_json(text, encoding, mark):
    data = (mark + text).encode(encoding)

    assert json_encoding(data) == json_encoding(data[:4]) == encoding
    assert json_text(data) == text
    assert json.loads(json_text(data, "application/json; charset=latin-1")) == json.loads(text)


def test_bytes_of_json_count_more_than_its_charset():
    assert json_text("ä".encode(), "application/json; charset=latin-1") == "ä"
    assert json_text("ä".encode("latin-1"), "application/json; charset=latin-1") == "ä"
    assert json_text(b"") == ""
    for content_type in ("", "application/json", "a/b; charset=utf-8", "a/b; charset=nonsense"):
        with pytest.raises(UnicodeDecodeError):
            json_text(b'"\xe4"', content_type)
    with pytest.raises(UnicodeDecodeError):
        json_text(b'"\xe4"', "a/b; charset=ascii")
