"""The file system for fsspec over WebDAV, on a server in memory."""

import datetime
import errno
import io
import pickle
import tomllib

import fsspec
import pytest
from kit.folder_site import FolderSite
from kit.support import ROOT

from dugong_like import InvalidResponse, StatusError
from dugong_like.adapters.fsspec_webdav import WebDAVFileSystem
from dugong_like.http.webdav import PROPFIND

FILES = {"/top/a": b"aaa", "/top/b c~": b"bbbb", "/top/sub/deep": b"deep"}


@pytest.fixture
def site():
    with FolderSite(FILES) as site:
        yield site


@pytest.fixture
def fs():
    fs = WebDAVFileSystem(skip_instance_cache=True)
    yield fs
    fs.client.close()


@pytest.fixture
def top(site):
    return f"{site.url}/top"


def test_a_folder_has_files_with_sizes_and_folders(site, fs, top):
    found = {entry["name"]: entry for entry in fs.ls(f"dugong+dav{top[4:]}/")}

    assert list(found) == [f"{top}/a", f"{top}/b%20c~", f"{top}/sub"]
    assert [entry["type"] for entry in found.values()] == ["file", "file", "directory"]
    assert [entry["size"] for entry in found.values()] == [3, 4, None]
    assert found[f"{top}/a"]["ETag"] == '"1"'
    assert fs.info(f"{top}/a")["size"] == 3
    assert fs.info(f"{top}/sub/")["type"] == "directory"
    assert fs.ls(f"{top}/a", detail=False) == [f"{top}/a"]
    method, _, fields = site.seen[-1]
    assert (method, fields["Depth"]) == ("PROPFIND", "1")
    assert int(fields["Content-Length"]) == len(PROPFIND)


def test_finding_walking_and_patterns(fs, top):
    assert fs.find(top) == [f"{top}/a", f"{top}/b%20c~", f"{top}/sub/deep"]
    assert [(folders, files) for _, folders, files in fs.walk(top)] == [
        (["sub"], ["a", "b%20c~"]), ([], ["deep"]),
    ]  # fmt: skip
    assert fs.glob(f"{top}/*") == [f"{top}/a", f"{top}/b%20c~", f"{top}/sub"]
    assert fs.glob(f"{top}/**/de*") == [f"{top}/sub/deep"]
    assert fs.du(top) == 11


def test_what_there_is_and_since_when(site, fs, top):
    assert fs.isfile(f"{top}/a")
    assert fs.isdir(f"{top}/sub")
    assert not fs.isdir(f"{top}/a")
    assert not fs.isfile(f"{top}/none")
    assert fs.exists(top)
    assert not fs.exists(f"{top}/none")
    site.statuses["/top/secret"] = 403
    assert not fs.exists(f"{top}/secret")
    with pytest.raises(PermissionError):
        fs.exists(f"{top}/secret", strict=True)
    then = datetime.datetime(1994, 11, 6, 8, 49, 37, tzinfo=datetime.UTC)
    assert fs.modified(f"{top}/a") == fs.created(f"{top}/a") == then
    with pytest.raises(FileNotFoundError):
        fs.info(f"{top}/none")
    with pytest.raises(FileNotFoundError):
        fs.ls(f"{top}/none")


def test_files_are_read_and_written(site, fs, top, tmp_path):
    with fs.open(f"{top}/b%20c~") as file:
        assert file.read() == b"bbbb"
    with fs.open(f"{top}/new", "wb") as file:
        file.write(b"1")
    fs.pipe_file(f"{top}/newer", b"22")
    fs.put_file(io.BytesIO(b"333"), f"{top}/newest")
    assert fs.cat_ranges([f"{top}/newer", f"{top}/newest"], 1, 3) == [b"2", b"33"]
    assert [entry["size"] for entry in fs.ls(top) if "new" in entry["name"]] == [1, 2, 3]
    fs.get(top, str(tmp_path / "copy"), recursive=True)
    assert (tmp_path / "copy" / "sub" / "deep").read_bytes() == b"deep"
    fs.put(str(tmp_path / "copy"), f"{top}/back", recursive=True)
    assert site.files["/top/back/sub/deep"] == b"deep"


def test_folders_are_made(site, fs, top):
    fs.mkdir(f"{top}/x/y/z")
    assert site.folders == {"/top/x", "/top/x/y", "/top/x/y/z"}
    assert fs.isdir(f"{top}/x/y")
    fs.makedirs(f"{top}/x/y", exist_ok=True)
    with pytest.raises(FileExistsError):
        fs.makedirs(f"{top}/x/y")
    with pytest.raises(FileExistsError) as caught:
        fs.mkdir(f"{top}/x")
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, f"{top}/x")
    with pytest.raises(FileExistsError):
        fs.makedirs(f"{top}/a", exist_ok=True)
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{top}/none/x", create_parents=False)
    assert ("MKCOL", "/top/x/y/z/", None) in site.asked()


def test_folders_come_into_being_with_their_files(fs, tmp_path):
    source = tmp_path / "file"
    source.write_bytes(b"1")
    with FolderSite(FILES, "PUT needs a folder", "no slash behind files") as site:
        fs.put_file(source, f"{site.url}/p/a/1")
        stream = io.BytesIO(b"-2")
        stream.seek(1)
        fs.put_file(stream, f"{site.url}/p/b/2")
        fs.pipe_file(f"{site.url}/p/c/3", b"3")
        with fs.open(f"{site.url}/p/d/4", "wb") as file:
            file.write(b"4")

        made = {path: data for path, data in site.files.items() if path[:3] == "/p/"}
        assert made == {"/p/a/1": b"1", "/p/b/2": b"2", "/p/c/3": b"3", "/p/d/4": b"4"}
        assert fs.ls(f"{site.url}/p/a/1", detail=False) == [f"{site.url}/p/a/1"]
        with pytest.raises(FileExistsError):
            fs.open(f"{site.url}/p/a/1", "xb")


def test_files_and_folders_are_removed(site, fs, top):
    fs.rm(f"{top}/a")
    assert "/top/a" not in site.files
    with pytest.raises(FileNotFoundError):
        fs.rm_file(f"{top}/a")
    with pytest.raises(IsADirectoryError):
        fs.rm_file(f"{top}/sub")
    with pytest.raises(IsADirectoryError) as caught:
        fs.rm(f"{top}/sub")
    assert (caught.value.errno, caught.value.filename) == (errno.EISDIR, f"{top}/sub")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(f"{top}/sub")
    with pytest.raises(NotADirectoryError):
        fs.rmdir(f"{top}/b%20c~")
    fs.mkdir(f"{top}/empty")
    fs.rmdir(f"{top}/empty")
    assert not fs.exists(f"{top}/empty")
    fs.rm(f"{top}/sub", recursive=True)
    assert list(site.files) == ["/top/b c~"]
    assert site.asked("DELETE")[-1][1] == "/top/sub/"


@pytest.mark.feature("E46")
def test_the_server_copies_and_moves(site, fs, top):
    fs.cp(f"{top}/a", f"{top}/copied")
    fs.mv(f"{top}/a", f"{top}/moved")
    fs.mv(f"{top}/moved", f"{top}/moved")
    assert (site.files["/top/copied"], site.files["/top/moved"]) == (b"aaa", b"aaa")
    assert "/top/a" not in site.files
    fs.cp(f"{top}/sub", f"{top}/second", recursive=True)
    assert site.files["/top/second/deep"] == b"deep"
    with pytest.raises(IsADirectoryError):
        fs.mv(f"{top}/second", f"{top}/third")
    fs.mv(f"{top}/second", f"{top}/third", recursive=True)
    assert site.files["/top/third/deep"] == b"deep"
    assert not fs.exists(f"{top}/second")
    fs.mv(f"{top}/third", f"{top}/sub", recursive=True)  # into a folder that is there
    assert site.files["/top/sub/third/deep"] == b"deep"
    with pytest.raises(FileNotFoundError):
        fs.mv(f"{top}/none", f"{top}/x")
    with pytest.raises(FileNotFoundError):
        fs.mv(f"{top}/moved", f"{top}/none/x")
    assert not site.asked("GET", "PUT")


def test_listings_are_kept_until_something_changes(site, top):
    fs = WebDAVFileSystem(skip_instance_cache=True, use_listings_cache=True)
    before = fs.ls(top, detail=False)
    site.files["/top/other"] = b""
    assert fs.ls(top, detail=False) == before
    fs.mkdir(f"{top}/made")
    assert fs.ls(top, detail=False) != before
    before = fs.ls(top, detail=False)
    fs.mv(f"{top}/other", f"{top}/renamed")
    assert fs.ls(top, detail=False) != before
    fs.client.close()


def test_a_server_without_webdav_is_reported(site, fs, top):
    site.statuses["/top"] = site.statuses["/top/"] = 405
    with pytest.raises(StatusError, match="405"):
        fs.ls(top)
    site.statuses["/top/"] = 200
    with pytest.raises(StatusError, match="no WebDAV"):
        fs.ls(top)
    site.statuses["/top/"] = 207
    with pytest.raises(InvalidResponse, match="PROPFIND"):
        fs.ls(top)


def test_names_lead_to_the_protocol_they_came_from():
    strip, unstrip = WebDAVFileSystem._strip_protocol, WebDAVFileSystem().unstrip_protocol
    assert (
        strip("dugong+davs://h/a/") == strip("davs://h/a") == strip("https://h/a") == "https://h/a"
    )
    assert unstrip("https://h/a") == "dugong+davs://h/a"
    assert unstrip("dugong+dav://h/a") == "dugong+dav://h/a"
    specs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for name in WebDAVFileSystem.protocol:
        fsspec.register_implementation(name, specs["fsspec.specs"][name], clobber=True)
        assert fsspec.get_filesystem_class(name) is WebDAVFileSystem
    copied = pickle.loads(pickle.dumps(WebDAVFileSystem(timeout=3)))
    assert type(copied) is WebDAVFileSystem
    WebDAVFileSystem.clear_instance_cache()


def test_a_folder_is_no_file(site, fs, top, tmp_path):
    site.oddities.add("folders have no page")
    folder = f"{top}/sub"
    ways = {
        "open": lambda: fs.open(folder),
        "stream": lambda: fs.open(folder, block_size=0),
        "cat_file": lambda: fs.cat_file(folder),
        "cat_ranges": lambda: fs.cat_ranges([folder], 0, 2, on_error="raise"),
        "get_file": lambda: fs.get_file(folder, str(tmp_path / "copy")),
        "pipe_file": lambda: fs.pipe_file(folder, b"x"),
        "put_file": lambda: fs.put_file(io.BytesIO(b"x"), folder),
    }
    for name, way in ways.items():
        with pytest.raises(IsADirectoryError) as caught:
            way()
        assert caught.value.filename == folder, name
    for missing in (lambda: fs.open(f"{top}/none"), lambda: fs.cat_file(f"{top}/none")):
        with pytest.raises(FileNotFoundError):
            missing()
    assert fs.cat_ranges([folder, f"{top}/a"], 0, 2, on_error="return")[1] == b"aa"
    assert fs.find(folder) == [f"{folder}/deep"]


def test_a_folder_with_a_page_is_not_opened_either(fs, top):
    with pytest.raises(IsADirectoryError):
        fs.open(f"{top}/sub")


def test_errors_have_no_credentials(site, fs, top):
    signed = f"{top}/none?X-Amz-Signature=geheim"
    login = signed.replace("://", "://user:geheim@")
    site.statuses["/top/none"] = 403
    ways = [
        lambda: fs.open(f"{top}/missing?token=geheim"),
        lambda: fs.cat_file(signed),
        lambda: fs.cat_file(login),
        lambda: fs.info(login),
        lambda: fs.rmdir(f"{top}/a?sig=geheim"),
        lambda: fs.mkdir(f"{top}/sub?sig=geheim"),
        lambda: fs.rm_file(f"{top}/sub?sig=geheim"),
    ]
    for number, way in enumerate(ways):
        with pytest.raises((OSError, StatusError, InvalidResponse)) as caught:
            way()
        for told in (str(caught.value), repr(caught.value), str(caught.value.__cause__)):
            assert "geheim" not in told, number
