"""Names of files that servers send, and what is safe of them."""

import pytest
from kit.cases import each_case

from dugong_like.http.content_disposition import MAX_NAME, filename_in, safe_filename


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("", None),
        ("inline", None),
        ("attachment", None),
        ("attachment; filename=a.txt", "a.txt"),
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename=a b.txt", "a b.txt"),
        ("attachment; filename=a,b.txt", "a,b.txt"),
        ("inline; FileName = a.txt ; size=3", "a.txt"),
        (r'attachment; filename="a\"b\\c;d.txt"', 'a"b\\c;d.txt'),
        ("attachment; filename=a.txt; filename*=UTF-8''%e2%82%ac.txt", "€.txt"),
        ("attachment; filename*=UTF-8''%e2%82%ac.txt; filename=a.txt", "€.txt"),
        ("attachment; filename*=nonsense; filename=a.txt", "a.txt"),
        ("attachment; filename*=nonsense", None),
        ("attachment; filename*=\"UTF-8''a%20b\"", "a b"),
        ('attachment; filename="\xe2\x82\xac.txt"', "€.txt"),
        ('attachment; filename="\xe4.txt"', "ä.txt"),
        ('attachment; filename="a%20b.txt"', "a%20b.txt"),
        ("attachment; filename=a; filename=b", "a"),
        ("attachment;filename=", ""),
        ('attachment; filename="', None),
        ("filename=a.txt", "a.txt"),
        ('; filename="a"', "a"),
        ("attachment; xfilename=a", None),
        ("attachment; filename", ""),
    ],
)
def test_names_in_fields(value, name):
    assert filename_in(value) == name


@each_case(("name", "safe"), [
        ("a.txt", "a.txt"), ("ä €.txt", "ä €.txt"), ("a b (1).tar.gz", "a b (1).tar.gz"),
        ("/etc/passwd", "passwd"), ("../../a", "a"), ("..\\..\\a", "a"), ("C:\\x\\y.txt", "y.txt"),
        ("C:y.txt", "C_y.txt"), ("a/b\\c", "c"), ("a/", None), ("", None), (".", None),
        ("..", None), ("...", None), ("/", None), (".bashrc", "bashrc"), ("..a", "a"),
        (" . a . ", "a"), ("a.", "a"), ("a\0b\r\nc\x1b[0m\x7f\x85", "abc[0m"),
        ("a\u202etxt.exe", "atxt.exe"), ("a\u200b\ufeffb", "ab"), ("a\ud800b", "ab"),
        ('a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"), ("con", "_con"), ("NUL.txt", "_NUL.txt"),
        ("com1", "_com1"), ("COM\u00b9.a.b", "_COM\u00b9.a.b"), ("nul .txt", "_nul .txt"),
        ("console", "console"), ("com10", "com10"), ("\u2028", None),
    ])  # fmt: skip
def test_safe_names(name, safe):
    assert safe_filename(name) == safe
    if safe is not None:
        assert safe_filename(safe) == safe


@pytest.mark.parametrize(
    ("name", "stem", "suffix"),
    [
        ("a" * 300 + ".tar.gz", "aaa", ".gz"), ("€" * 300 + ".txt", "€€", ".txt"),
        ("a" * 300, "aaa", "aaa"), ("a." + "b" * 300, "a.bbb", "bbb"),
        ("a" * 250 + " . ." * 20 + "." + "c" * 10, "aaa", ".cccccccccc"),
    ],
)  # fmt: skip
def test_long_names_are_cut_and_keep_their_suffix(name, stem, suffix):
    safe = safe_filename(name)

    assert len(safe.encode()) <= MAX_NAME
    assert len(safe.encode()) > MAX_NAME - 20
    assert safe.startswith(stem)
    assert safe.endswith(suffix)
    assert safe_filename(safe) == safe
