"""Files with names and passwords: grammar, place and permissions."""

import os
from pathlib import Path

import pytest

from dugong_like import InvalidOption
from dugong_like.http.auth.netrc_file import MAX_SIZE, default_path, read_entries


@pytest.fixture
def file(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / "netrc"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", []),
        ("\ufeff \r\n\t", []),
        ("machine a login b password c", [("a", "b", "c")]),
        ("machine a\r\n\tlogin b\r\n\tpassword c\r\n", [("a", "b", "c")]),
        ("default login b password c", [(None, "b", "c")]),
        ("machine a user b account x password c", [("a", "b", "c")]),
        ("machine a password c", [("a", None, "c")]),
        ("machine a", [("a", None, None)]),
        ("machine a login b login c", [("a", "b", None)]),
        ("machine a login b\nmachine a login c", [("a", "b", None), ("a", "c", None)]),
        ('machine a login "b c" password ""', [("a", "b c", "")]),
        (r'machine a login "b\"\\" password c\ d\"', [("a", 'b"\\', 'c d"')]),
        ("machine a password #c", [("a", None, "#c")]),
        ("# x machine y\nmachine a # login b\n password c", [("a", None, "c")]),
        ("#\n#machine x\nmachine a", [("a", None, None)]),
        ("machine machine login login password password", [("machine", "login", "password")]),
        ("macdef init\nmachine x\n\nmachine a", [("a", None, None)]),
        ("machine a\nmacdef m\n put x\n \t\nlogin b", [("a", "b", None)]),
        ("macdef m\nnever ends", []),
        ("machine p\xe4 login \u20ac", [("p\xe4", "\u20ac", None)]),
    ],
)
def test_entries(file, text, entries):
    assert read_entries(file(text), private=True) == entries


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("s3cret", 1, "a machine"),
        ("login s3cret", 1, "a machine"),
        ("machine a\nlogin b s3cret", 2, "a machine"),
        ("machine a login", 1, "a value of login"),
        ("machine a\n\npassword", 3, "a value of password"),
        ("machine", 1, "a value of machine"),
        ("macdef", 1, "a value of macdef"),
        ('machine a\npassword "s3cret', 2, "the end of a text"),
        ("machine a Login s3cret", 1, "a machine"),
    ],
)
def test_text_that_is_none(file, text, line, problem):
    path = file(text)
    message = rf"netrc, line {line}: {problem}.* is missing"
    with pytest.raises(InvalidOption, match=message) as caught:
        read_entries(path, private=True)
    assert "s3cret" not in str(caught.value).replace(str(path), "")


def test_files_that_cannot_be_read(file, tmp_path):
    with pytest.raises(InvalidOption, match="No such file"):
        read_entries(tmp_path / "none", private=True)
    with pytest.raises(InvalidOption, match="directory"):
        read_entries(tmp_path, private=True)
    with pytest.raises(InvalidOption, match="not UTF-8") as caught:
        read_entries(file(b"machine a password s3cret\xff"), private=True)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidOption, match=f"more than {MAX_SIZE} bytes"):
        read_entries(file(b" " * (MAX_SIZE + 1)), private=True)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666])
def test_files_that_others_may_use(file, mode):
    path = file("machine a login b password s3cret", mode)

    with pytest.raises(InvalidOption, match="others may use it: chmod 600") as caught:
        read_entries(path, private=True)
    assert "s3cret" not in str(caught.value)
    assert len(read_entries(path, private=False)) == 1
    assert len(read_entries(file("machine a login b", mode), private=True)) == 1  # no password


@pytest.mark.skipif(os.name != "posix", reason="owners of POSIX")
def test_files_of_others(file, monkeypatch):
    path = file("default password c")
    uid = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: uid + 1)

    if uid == 0:
        assert len(read_entries(path, private=True)) == 1  # of the administrator
    else:
        with pytest.raises(InvalidOption, match="another owner"):
            read_entries(path, private=True)
    assert len(read_entries(path, private=False)) == 1


def test_place(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NETRC", "~/mine")
    assert default_path() == tmp_path / "mine"
    monkeypatch.delenv("NETRC")
    assert default_path() == tmp_path / ".netrc"
    (tmp_path / "_netrc").touch()
    assert default_path() == tmp_path / "_netrc"
    (tmp_path / ".netrc").touch()
    assert default_path() == tmp_path / ".netrc"

    def no_home():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(InvalidOption, match="no home folder"):
        default_path()
