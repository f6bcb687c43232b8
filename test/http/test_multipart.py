"""The parts of forms with files: what each kind of argument becomes."""

import email.parser
import email.policy
import io
import os
import tempfile
from pathlib import Path

import pytest

from dugong_like.http.headers import Headers
from dugong_like.http.multipart import multipart


class Named(io.BytesIO):
    """A file with a name."""

    def __init__(self, data, name):
        super().__init__(data)
        self.name = name


def parts(form):
    """Return the parts as the email package reads them: fields and content of each."""
    text = b"Content-Type: " + form.content_type.encode() + b"\r\n\r\n" + form.read()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(text)
    return [(dict(part.items()), part.get_payload(decode=True)) for part in message.iter_parts()]


def one(value):
    """Return the head of a form with one file, without its boundaries."""
    body = multipart(files={"f": value}, boundary="B").read()
    head, _, content = body.partition(b"\r\n\r\n")
    assert content.endswith(b"\r\n--B--\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"--B"
    return b"\r\n".join(lines[1:]), content[: -len(b"\r\n--B--\r\n")]


def test_the_whole_body():
    form = multipart({"a": "1", "b": ["ä", None]}, {"f": ("x.txt", b"content")}, boundary="B")

    assert form.content_type == "multipart/form-data; boundary=B"
    assert form.read() == (
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--B\r\nContent-Disposition: form-data; name="b"\r\n\r\n\xc3\xa4\r\n'
        b'--B\r\nContent-Disposition: form-data; name="b"\r\n\r\n\r\n'
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\ncontent\r\n--B--\r\n"
    )


def test_others_can_read_it():
    files = [("f", ("a.json", b"{}")), ("f", ("b.bin", bytes(range(256)))), ("g", (None, "text"))]
    found = parts(multipart([("a", "ä"), ("a", 2)], files))

    disposition = "Content-Disposition"
    assert [fields[disposition].params for fields, _ in found] == [
        {"name": "a"}, {"name": "a"}, {"name": "f", "filename": "a.json"},
        {"name": "f", "filename": "b.bin"}, {"name": "g"},
    ]  # fmt: skip
    contents = [content for _, content in found]
    assert contents == ["ä".encode(), b"2", b"{}", bytes(range(256)), b"text"]


@pytest.mark.parametrize(
    ("value", "head"),
    [
        (b"x", 'filename="upload"\r\nContent-Type: application/octet-stream'),
        ("x", 'filename="upload"\r\nContent-Type: application/octet-stream'),
        (bytearray(b"x"), 'filename="upload"\r\nContent-Type: application/octet-stream'),
        (memoryview(b"x"), 'filename="upload"\r\nContent-Type: application/octet-stream'),
        (io.BytesIO(b"x"), 'filename="upload"\r\nContent-Type: application/octet-stream'),
        (Named(b"x", "/tmp/a b.html"), 'filename="a b.html"\r\nContent-Type: text/html'),
        (Named(b"x", b"/tmp/a.png"), 'filename="a.png"\r\nContent-Type: image/png'),
        (Named(b"x", Path("d/a.css")), 'filename="a.css"\r\nContent-Type: text/css'),
        (Named(b"x", 3), 'filename="upload"\r\nContent-Type: application/octet-stream'),
        (Named(b"x", "<stdin>"), 'filename="upload"\r\nContent-Type: application/octet-stream'),
        (Named(b"x", "d/"), 'filename="upload"\r\nContent-Type: application/octet-stream'),
        (("a.txt", "x"), 'filename="a.txt"\r\nContent-Type: text/plain'),
        (("a.txt", b"x", None), 'filename="a.txt"\r\nContent-Type: text/plain'),
        (("a.txt", b"x", "a/b"), 'filename="a.txt"\r\nContent-Type: a/b'),
        (("a.tar.gz", b"x"), 'filename="a.tar.gz"\r\nContent-Type: application/gzip'),
        (("a.svg.Z", b"x"), 'filename="a.svg.Z"\r\nContent-Type: application/octet-stream'),
        (("a.txt", b"x", "a/b", {"A": "b"}),
         'filename="a.txt"\r\nA: b\r\nContent-Type: a/b'),
        (("a.txt", b"x", "a/b", {"content-type": "c/d"}),
         'filename="a.txt"\r\ncontent-type: c/d'),
        (("a.txt", b"x", "a/b", Headers([("A", "1"), ("A", "ä")])),
         'filename="a.txt"\r\nA: 1\r\nA: ä\r\nContent-Type: a/b'),
        (("a.txt", b"x", "a/b", None), 'filename="a.txt"\r\nContent-Type: a/b'),
        ((None, b"x"), ""),
        ((None, "x", "application/json"), "\r\nContent-Type: application/json"),
        (("", b"x"), 'filename=""'),
        (('a"\r\n\\ä.txt', b"x", ""), 'filename="a%22%0D%0A\\ä.txt"\r\nContent-Type: '),
        (("../a/b.txt", b"x"), 'filename="../a/b.txt"\r\nContent-Type: text/plain'),
    ],
)  # fmt: skip
def test_heads_of_files(value, head):
    expected = 'Content-Disposition: form-data; name="f"'
    expected += f"; {head}" if head.startswith("filename") else head

    assert one(value) == (expected.encode(), b"x")


def test_bytes_of_a_name_of_the_file_system_are_kept():
    assert b'filename="\xff.txt"' in one((os.fsdecode(b"\xff.txt"), b"x"))[0]
    with pytest.raises(ValueError, match="surrogates"):
        one(("\ud800", b"x"))


def test_names_of_fields_are_escaped_as_browsers_do():
    body = multipart({'a"\r\nä%': "v"}, {'b"': b"x"}, boundary="B").read()

    assert 'name="a%22%0D%0Aä%"\r\n'.encode() in body
    assert b'name="b%22"; filename' in body


def test_a_list_is_several_files_of_one_name():
    form = multipart(files={"f": [b"1", ("a.txt", b"2"), io.BytesIO(b"3")]})
    assert [content for _, content in parts(form)] == [b"1", b"2", b"3"]


def test_paths(tmp_path):
    path = tmp_path / "some.json"
    path.write_bytes(b"{}")

    expected = b'Content-Disposition: form-data; name="f"; filename="some.json"\r\n'
    assert one(path) == (expected + b"Content-Type: application/json", b"{}")
    assert one((None, path)) == (b'Content-Disposition: form-data; name="f"', b"{}")
    with pytest.raises(FileNotFoundError):
        multipart(files={"f": tmp_path / "other"})
    with pytest.raises(IsADirectoryError):
        multipart(files={"f": tmp_path})


@pytest.mark.parametrize("data", [{}, (), {"a": []}])
def test_a_form_may_be_empty(data):
    assert multipart(data, boundary="B").read() == b"--B--\r\n"


def test_boundaries():
    first, second = multipart({"a": 1}), multipart({"a": 1})
    assert first.content_type != second.content_type
    assert multipart(boundary="a b:c").content_type == 'multipart/form-data; boundary="a b:c"'
    for wrong in ("", "a ", 'a"', "ä", "a" * 71, "a\r\n"):
        with pytest.raises(ValueError, match="boundary is 1 to 70"):
            multipart(boundary=wrong)
    with pytest.raises(TypeError, match="boundary is a string"):
        multipart(boundary=b"B")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (b"x", "files is a mapping, or pairs"),
        ([b"x"], "files: each item is a pair"),
        ({"f": 5}, r"files\['f'\]: content is bytes, str, a binary file or a path, .* not int"),
        ({"f": {"a": 1}}, "not dict"),
        ({"f": None}, "not NoneType"),
        ({"f": iter([b"x"])}, "not list_iterator"),
        ({"f": ("a",)}, r"files\['f'\]: a tuple is \(filename, content\)"),
        ({"f": ("a", b"x", None, None, None)}, "a tuple is .*, not of 5"),
        ({"f": (b"a", b"x")}, r"files\['f'\]: filename is a string"),
        ({"f": ("a", b"x", 5)}, "type is a string, not 5"),
        ({"f": ("a", b"x", None, 5)}, "header fields are a mapping"),
        ({"f": io.StringIO("x")}, r"files\['f'\] is opened as text: open it with 'rb'"),
        ({None: b"x"}, "the name of a field is a string"),
    ],
)
def test_other_types_are_refused(files, message):
    with pytest.raises(TypeError, match=message):
        multipart(files=files)


def test_text_files_are_refused():
    with tempfile.TemporaryFile("w+") as file, pytest.raises(TypeError, match="opened as text"):
        multipart(files={"f": file})


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with (tmp_path / "new").open("wb") as file:
        with pytest.raises(TypeError, match="not opened for reading"):
            multipart(files={"f": file})
    with (tmp_path / "new").open("rb") as file:
        pass
    with pytest.raises(ValueError, match="closed"):
        multipart(files={"f": file})


@pytest.mark.parametrize(
    "headers", [{"A b": "c"}, {"": "c"}, {"A": "b\r\nC: d"}, {"A": "\x00"}, {"Ä": "c"}]
)
def test_fields_of_parts_cannot_smuggle_others(headers):
    with pytest.raises(ValueError, match="a part cannot have the field"):
        multipart(files={"f": ("a", b"x", None, headers)})
    with pytest.raises(ValueError, match="a part cannot have the field"):
        multipart(files={"f": ("a", b"x", "text/plain\r\nA: b")})
