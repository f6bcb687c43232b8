"""Files of cookies: replaced in one step, secret, and checked when they are read."""

import json
import os
import stat

import pytest

from dugong_like import Cookie, Cookies, InvalidOption
from dugong_like.http import cookie_files
from dugong_like.http.cookie_files import load_cookies, save_cookies

ALL = [
    Cookie("a", "b", "example.com", "/x", 2e9, secure=True, http_only=True, same_site="lax"),
    Cookie("", 'no "name"', "sub.example.com", host_only=False),
    Cookie("\xfc", "\xfc \xff", "127.0.0.1"),
    Cookie("unbound", ""),
]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cookies.json"


def test_cookies_come_back_as_they_were(file):
    save_cookies(file, ALL)

    assert load_cookies(file) == load_cookies(str(file)) == ALL


@pytest.mark.skipif(os.name == "nt", reason="no modes of files")
@pytest.mark.parametrize("before", [None, 0o644])
def test_only_the_owner_may_read_it(file, before):
    if before is not None:
        file.write_text("older")
        file.chmod(before)
    save_cookies(file, ALL)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == [file.name]


def test_a_link_stays_one(file, tmp_path):
    target = tmp_path / "target.json"
    file.symlink_to(target)
    save_cookies(file, ALL)

    assert file.is_symlink()
    assert load_cookies(target) == ALL


def test_an_older_file_survives_an_error(file, monkeypatch):
    save_cookies(file, ALL)

    def full(_):
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(cookie_files.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_cookies(file, ALL[:1])
    assert load_cookies(file) == ALL
    assert os.listdir(file.parent) == [file.name]


def test_a_file_that_is_missing(file):
    with pytest.raises(FileNotFoundError):
        load_cookies(file)
    with pytest.raises(FileNotFoundError):
        save_cookies(file / "x", ALL)


def changed(**fields):
    cookie = ALL[0].as_dict() | fields
    return {"format": cookie_files.FORMAT, "version": 1, "cookies": [ALL[0].as_dict(), cookie]}


WITHOUT_VALUE = {key: value for key, value in ALL[0].as_dict().items() if key != "value"}
DAMAGED = {
    "empty": (b"", "not JSON"),
    "cut": (json.dumps(changed()).encode()[:-5], "not JSON"),
    "bytes": (b"\xff\xfe\x00", "not JSON"),
    "deep": (b"[" * 100_000, "not JSON"),
    "list": ([], "its format is not"),
    "other": ({"cookies": []}, "its format is not"),
    "later": (changed() | {"version": 2}, "of version 2; this is version 1"),
    "no version": ({"format": cookie_files.FORMAT, "cookies": []}, "of version None"),
    "no list": (changed() | {"cookies": {}}, "no list"),
    "no object": (changed() | {"cookies": ["a=b"]}, "cookie 1: damaged"),
    "field missing": (changed() | {"cookies": [WITHOUT_VALUE]}, "cookie 1: damaged"),
    "another field": (changed(more=1), "cookie 2: damaged"),
    "type": (changed(secure=1), "cookie 2: damaged: secure has the wrong type"),
    "null": (changed(value=None), "cookie 2: damaged: value has the wrong type"),
    "time": (changed(expires=float("nan")), "cookie 2: damaged: its expires"),
    "infinite": (changed(expires=float("inf")), "cookie 2: damaged: its expires"),
    "bool": (changed(expires=True), "cookie 2: damaged: expires has the wrong type"),
    "line end": (changed(value="x\r\nSet-Cookie: y"), "cookie 2: damaged: its name or value"),
    "semicolon": (changed(value="x; y=z"), "cookie 2: damaged: its name or value"),
    "equals": (changed(name="x=y"), "cookie 2: damaged: its name or value"),
    "unicode": (changed(value="\u20ac"), "cookie 2: damaged: its name or value"),
    "nothing": (changed(name="", value=""), "cookie 2: damaged: its name and value"),
    "long": (changed(value="x" * 5000), "cookie 2: damaged: its name and value"),
    "path": (changed(path="x"), "cookie 2: damaged: its path"),
    "domain": (changed(domain="EXAMPLE.com"), "cookie 2: damaged: its domain"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_say_so_and_change_nothing(name, file):
    contents, message = DAMAGED[name]
    file.write_bytes(contents if isinstance(contents, bytes) else json.dumps(contents).encode())
    jar = Cookies({"kept": "1"})

    with pytest.raises(InvalidOption, match=message) as caught:
        jar.load(file)
    assert str(file) in str(caught.value)
    assert jar.items() == [("kept", "1")]
