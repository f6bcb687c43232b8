"""The file system for fsspec over http: the cases of fsspec's own tests for HTTP, and more."""

import asyncio
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import tomllib

import fsspec
import pytest
from fsspec.callbacks import Callback
from kit.folder_site import FolderSite, cat_elsewhere
from kit.servers import refusing_port
from kit.support import ROOT, in_child

from dugong_like import ConnectFailed, InvalidRequest, Retry, StatusError, UnusableRange
from dugong_like.adapters.fsspec import DugongFileSystem
from dugong_like.adapters.fsspec_files import RemoteFile, RemoteStream
from dugong_like.adapters.fsspec_webdav import WebDAVFileSystem

DATA = b"\n".join(b"line %d of the file" % number for number in range(1000))
FILES = {"/index/real": DATA, "/index/other": DATA[::-1], "/index/sub/deep": b"deep"}


@pytest.fixture
def site():
    with FolderSite(FILES) as site:
        yield site


@pytest.fixture
def made():
    """A function that makes a file system, whose connections are closed at the end."""
    systems = []

    def made(**options):
        system = DugongFileSystem(skip_instance_cache=True, **options)
        systems.append(system)
        return system

    yield made
    for system in systems:
        system.client.close()


@pytest.fixture
def fs(made):
    return made()


# ---- what there is


def test_a_folder_is_a_page_with_links(site, fs):
    names = [f"{site.url}/index/{name}" for name in ("other", "real", "sub/")]

    assert sorted(fs.ls(f"{site.url}/index/", detail=False)) == names
    assert sorted(fs.ls(f"{site.url}/index", detail=False)) == names
    kinds = {entry["name"]: entry["type"] for entry in fs.ls(f"{site.url}/index/")}
    assert kinds == dict(zip(names, ["file", "file", "directory"], strict=True))
    assert fs.ls(f"dugong+{site.url}/index/real", detail=False) == []


def test_patterns_walking_and_finding(site, fs):
    index = f"{site.url}/index"

    assert fs.glob(f"{index}/*") == [f"{index}/other", f"{index}/real", f"{index}/sub/"]
    assert fs.glob(f"{index}/r*") == [f"{index}/real"]
    assert fs.glob(f"{index}/[or]*l") == [f"{index}/real"]
    assert fs.find(f"{index}/") == [f"{index}/other", f"{index}/real", f"{index}/sub/deep"]
    assert [each[1:] for each in fs.walk(index, maxdepth=1)] == [(["sub"], ["real", "other"])]
    with pytest.raises(ValueError, match="maxdepth"):
        list(fs.walk(index, maxdepth=0))
    # a question mark begins a query
    assert fs.glob(f"{index}/real?x=1") == [f"{index}/real?x=1"]
    assert fs.glob(f"{index}/none?x=1") == []
    assert fs.glob(f"{index}/real?x=1", detail=True)[f"{index}/real?x=1"]["size"] == len(DATA)


@pytest.mark.parametrize("status", [403, 404])
def test_a_pattern_finds_nothing_in_a_folder_without_a_page(site, fs, status):
    """Its files can be read, but not found; WebDAV would list them."""
    index = f"{site.url}/index"
    site.statuses["/index/"] = site.statuses["/index"] = status

    assert fs.glob(f"{index}/r*") == []
    assert fs.cat(f"{index}/real") == DATA
    with pytest.raises((FileNotFoundError, PermissionError)):
        fs.ls(f"{index}/")
    site.statuses["/index/"] = site.statuses["/index"] = 500
    with pytest.raises(StatusError):
        fs.glob(f"{index}/r*")
    site.statuses.clear()
    site.oddities.add("folders have no page")
    assert fs.glob(f"{index}/r*") == []
    dav = WebDAVFileSystem(skip_instance_cache=True)
    assert dav.glob(f"{index}/r*") == [f"{index}/real"]
    dav.client.close()


def test_a_listing_is_kept_if_asked_for(site, made):
    fs = made(use_listings_cache=True, listings_expiry_time=30)
    index = f"{site.url}/index/"

    assert not fs.dircache
    first = fs.ls(index, detail=False)
    site.files["/index/new"] = b""
    assert fs.ls(index, detail=False) == first
    assert f"{index}new" in fs.ls(index, detail=False, refresh=True)
    fs.pipe_file(f"{index}newer", b"1")
    assert f"{index}newer" in fs.ls(index, detail=False)
    fresh = made(use_listings_cache=False)
    fresh.ls(index)
    assert not fresh.dircache


def test_files_and_folders_are_told_apart_by_their_pages(site, fs):
    assert fs.isdir(f"{site.url}/index/")
    assert not fs.isdir(f"{site.url}/index/real")
    assert not fs.isdir(f"{site.url}/none/")
    assert not fs.isdir(f"{site.url}none")  # no URL
    assert fs.isfile(f"{site.url}/index/real")
    assert not fs.isfile(f"{site.url}/none")


def test_a_large_file_is_not_read_to_see_that_it_is_no_folder(site, fs):
    site.files["/index/large"] = b'<a href="large/x">' + bytes(17 << 20)

    assert not fs.isdir(f"{site.url}/index/large")


def test_existence(site, fs):
    with refusing_port() as port, pytest.raises(ConnectFailed):
        fs.exists(f"http://127.0.0.1:{port}/")
    assert fs.exists(f"{site.url}/index/real")
    assert not fs.exists(f"{site.url}/none")
    site.statuses["/secret"] = 401
    assert not fs.exists(f"{site.url}/secret")
    with pytest.raises(PermissionError, match="401"):
        fs.exists(f"{site.url}/secret", strict=True)
    site.statuses["/broken"] = 500  # which says nothing about the file
    with pytest.raises(StatusError, match="500"):
        fs.exists(f"{site.url}/broken")


SIZES = {  # oddities of the server: is the size known, and what is asked for
    (): (True, ["HEAD"]),
    ("no HEAD",): (True, ["HEAD", "GET"]),
    ("HEAD is forbidden",): (True, ["HEAD", "GET"]),
    ("no length",): (False, ["HEAD", "GET"]),
    ("length by HEAD only",): (True, ["HEAD"]),
    ("gzip",): (False, ["HEAD", "GET"]),
    ("gzip if asked",): (True, ["HEAD"]),
}


@pytest.mark.parametrize("oddities", SIZES, ids=", ".join)
def test_what_is_known_of_a_file(made, oddities):
    known, asked = SIZES[oddities]
    with FolderSite(FILES, *oddities) as site:
        fs = made(headers={"X-Own": "kept"})
        info = fs.info(f"{site.url}/index/real")

        assert info["size"] == (len(DATA) if known else None)
        assert (info["type"], info["ETag"]) == ("file", '"1"')
        assert [method for method, _, _ in site.asked()] == asked
        fields = [fields for _, _, fields in site.seen]
        assert {each["Accept-Encoding"] for each in fields} == {"identity"}
        assert {each["X-Own"] for each in fields} == {"kept"}
        with pytest.raises(FileNotFoundError, match="none"):
            fs.info(f"{site.url}/none")


def test_what_is_known_after_a_redirect_and_of_a_page(site, fs, made):
    site.redirects["/old"] = "/index/real"

    assert fs.info(f"{site.url}/old")["url"] == f"{site.url}/index/real"
    assert fs.info(f"{site.url}/index/")["mimetype"] == "text/html"
    assert fs.size(f"{site.url}/index/real") == len(DATA)
    made(size_policy="get").info(f"{site.url}/index/real")
    assert site.asked()[-1][0] == "GET"


# ---- reading


def test_whole_files(site, fs):
    real, other = f"{site.url}/index/real", f"{site.url}/index/other"

    assert fs.cat(real) == fs.cat_file(f"dugong+{real}") == DATA
    assert fs.cat([real, other]) == {real: DATA, other: DATA[::-1]}
    assert fs.cat(f"{site.url}/index/[or]*") == {real: DATA, other: DATA[::-1]}
    with pytest.raises(FileNotFoundError):
        fs.cat(f"{site.url}/none")
    with pytest.raises(FileNotFoundError):
        fs.cat([real, f"{site.url}/none"])
    assert fs.cat([real, f"{site.url}/none"], on_error="omit") == {real: DATA}
    found = fs.cat([real, f"{site.url}/none"], on_error="return")
    assert isinstance(found[f"{site.url}/none"], FileNotFoundError)


RANGES = [
    *((1, 10), (1, None), (-10, None), (-10, -2), (None, -10), (None, 10), (0, None), (5, 5)),
    *((7, 3), (-3, 2), (len(DATA) - 3, len(DATA) + 9), (len(DATA), None), (10**6, 10**6 + 9)),
    (-(10**6), 4),
]


ODD = [(), ("no ranges",), ("no HEAD",), ("no length",)]


@pytest.mark.parametrize("oddities", ODD, ids=", ".join)
def test_a_range_is_what_a_slice_is(made, oddities):
    with FolderSite(FILES, *oddities) as site:
        fs, real = made(), f"{site.url}/index/real"
        wrong = [
            (start, end)
            for start, end in RANGES
            if fs.cat_file(real, start=start, end=end) != DATA[slice(start, end)]
        ]
        assert not wrong
        starts, ends = zip(*RANGES, strict=True)
        found = fs.cat_ranges([real] * len(RANGES), starts, ends)
        assert found == [DATA[slice(*each)] for each in RANGES]
        assert fs.cat([real], start=1, end=5) == {real: DATA[1:5]}


def test_parts_of_an_encoded_file_are_refused(made):
    with FolderSite(FILES, "gzip") as site:
        fs, real = made(), f"{site.url}/index/real"
        for start, end in ((1, 10), (1, None), (-10, None), (0, 5)):
            with pytest.raises(UnusableRange, match="encoded"):
                fs.cat_file(real, start, end)
            (found,) = fs.cat_ranges([real], start, end)
            assert isinstance(found, UnusableRange)
        assert fs.cat_file(real) == DATA


@pytest.mark.feature("E46")
def test_many_ranges_are_pipelined_over_a_few_connections(site, fs):
    real = f"{site.url}/index/real"
    starts = list(range(0, len(DATA), 19))

    found = fs.cat_ranges([real] * len(starts), starts, [start + 19 for start in starts])

    assert b"".join(found) == DATA
    assert len(site.asked("GET")) == len(starts)
    assert fs.client.stats()[site.url].opened <= 8


def test_ranges_that_are_close_are_merged_if_asked_for(site, fs):
    real, other = f"{site.url}/index/real", f"{site.url}/index/other"
    paths = [real, other, real, real, real, real]
    starts, ends = [50, 0, 0, 12, 3, 500], [60, 5, 10, 20, 8, 600]

    found = fs.cat_ranges(paths, starts, ends, max_gap=5)

    wanted = [DATA[50:60], DATA[::-1][:5], DATA[:10], DATA[12:20], DATA[3:8], DATA[500:600]]
    assert found == wanted
    assert sorted(range_ for _, path, range_ in site.asked() if path == "/index/real") == [
        "bytes=0-19", "bytes=50-59", "bytes=500-599",
    ]  # fmt: skip
    assert fs.cat_ranges(paths, starts, ends, max_gap=10**6) == wanted


def test_errors_of_ranges_are_in_their_places(site, fs):
    real, none = f"{site.url}/index/real", f"{site.url}/none"

    first, second, third = fs.cat_ranges([none, real, none], [0, 0, -5], [5, 5, -1])
    assert isinstance(first, FileNotFoundError)
    assert isinstance(third, FileNotFoundError)
    assert second == DATA[:5]
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([none, real], 0, 5, on_error="raise")
    with pytest.raises(ValueError, match="as many"):
        fs.cat_ranges([real], [0, 1], [1, 2])
    with pytest.raises(TypeError, match="list"):
        fs.cat_ranges(real, 0, 1)


def test_numbers_need_not_be_of_python(site, fs):
    class Number:
        def __init__(self, value):
            self.value = value

        def __index__(self):
            return self.value

    real = f"{site.url}/index/real"
    assert fs.cat_file(real, start=Number(1), end=Number(10)) == DATA[1:10]


def test_a_file_is_read_in_blocks_at_any_place(site, fs):
    with fs.open(f"{site.url}/index/real", block_size=64, cache_type="readahead") as file:
        assert isinstance(file, RemoteFile)
        assert (file.size, file.read(5), file.tell()) == (len(DATA), DATA[:5], 5)
        file.seek(5, io.SEEK_CUR)
        assert file.read(5) == DATA[10:15]
        file.seek(-7, io.SEEK_END)
        assert file.read() == DATA[-7:]
        assert file.seek(1000) == 1000
        assert file.readline() + file.readline() == b"\n".join(DATA[1000:].split(b"\n")[:2]) + b"\n"
    assert file.closed
    assert all(range_ for _, _, range_ in site.asked("GET"))


@pytest.mark.parametrize("cache", ["none", "bytes", "readahead", "blockcache", "first", "all"])
def test_every_cache_gives_the_same_bytes(site, fs, cache):
    with fs.open(f"{site.url}/index/real", block_size=1000, cache_type=cache) as file:
        file.seek(2500)
        assert file.read(3000) == DATA[2500:5500]
        file.seek(0)
        assert file.read(10) + file.read() == DATA


def test_all_of_a_file_is_one_request_with_any_coding(made):
    with FolderSite(FILES, "gzip if asked") as site:
        for size in (0, 64):
            fs = made()
            with fs.open(f"{site.url}/index/real", block_size=size) as file:
                assert file.read() == DATA
        asked = [fields for method, _, fields in site.seen if method == "GET"]
        assert [("gzip" in each["Accept-Encoding"], "Range" in each) for each in asked] == [
            (True, False)
        ] * 2
        fs = made(headers={"Accept-Encoding": "gzip"}, decompress=False)
        assert fs.cat_file(f"{site.url}/index/real", start=0, end=2) == b"\x1f\x8b"


@pytest.mark.parametrize("oddities", [("no length",), ("gzip",), ("says no ranges",)], ids=str)
def test_a_file_without_a_size_or_ranges_is_a_stream(made, oddities):
    with FolderSite(FILES, *oddities) as site:
        fs = made()
        with fs.open(f"{site.url}/index/real") as file:
            assert isinstance(file, RemoteStream)
            assert file.size is None
            file.seek(0)
            first = file.read(5)
            assert file.seek(5) == file.seek(0, io.SEEK_CUR) == 5
            with pytest.raises(ValueError, match="in order"):
                file.seek(6)
            assert first + file.read() == DATA
            assert file.read() == b""
        with pytest.raises(ValueError, match="closed"):
            file.read()


def test_a_server_without_ranges_lets_read_from_the_beginning_only(made):
    with FolderSite(FILES, "no ranges") as site:
        with made().open(f"{site.url}/index/real", block_size=100, cache_type="none") as file:
            file.seek(5)
            with pytest.raises(ValueError, match="whole files only.*block_size=0"):
                file.read(10)
            file.seek(0)
            assert file.read(10) == DATA[:10]


def test_errors_of_opening(site, fs):
    with pytest.raises(FileNotFoundError):
        fs.open(f"{site.url}/none")
    with pytest.raises(FileNotFoundError):
        fs.open(f"{site.url}/none", block_size=0)
    site.statuses["/secret"] = 403
    with pytest.raises(PermissionError):
        fs.open(f"{site.url}/secret")
    with pytest.raises(NotImplementedError, match="ab"):
        fs.open(f"{site.url}/index/real", "ab")
    with pytest.raises(InvalidRequest):
        fs.info("http://a b/")


def test_files_are_pickled_where_they_stand(site, fs, made):
    for options in ({}, {"block_size": 0}):
        with fs.open(f"{site.url}/index/real", **options) as file:
            first = file.read(7)
            kept = pickle.dumps(file)
            assert first + file.read() == DATA
        with pickle.loads(kept) as file:
            assert file.read() == DATA[7:]
    file.fs.client.close()
    DugongFileSystem.clear_instance_cache()


def test_downloads(site, fs, tmp_path):
    real, other = f"{site.url}/index/real", f"{site.url}/index/other"
    fs.get(real, tmp_path / "new" / "real")
    fs.get([real, other], [str(tmp_path / "a"), str(tmp_path / "b")])
    stream = io.BytesIO()
    fs.get_file(real, stream)
    fs.get(f"{site.url}/index/", str(tmp_path / "tree"), recursive=True)

    assert (tmp_path / "new" / "real").read_bytes() == DATA == (tmp_path / "a").read_bytes()
    assert (tmp_path / "b").read_bytes() == DATA[::-1]
    assert stream.getvalue() == DATA
    assert (tmp_path / "tree" / "sub" / "deep").read_bytes() == b"deep"
    with pytest.raises(FileNotFoundError):
        fs.get(f"{site.url}/none", tmp_path / "none")
    assert not (tmp_path / "none").exists()


# ---- writing


def test_uploads(site, fs, tmp_path):
    source = tmp_path / "file"
    source.write_bytes(DATA)
    callback = Callback()

    fs.put_file(source, f"{site.url}/a", callback=callback)
    fs.put_file(source, f"dugong+{site.url}/b", method="POST")
    with source.open("rb") as stream:
        fs.put_file(stream, f"{site.url}/c")
    fs.put_file(io.BytesIO(b"xxx"), f"{site.url}/d")
    fs.put(str(tmp_path), f"{site.url}/tree", recursive=True)

    assert site.files["/a"] == site.files["/b"] == site.files["/c"] == DATA
    assert site.files["/d"] == b"xxx"
    assert site.files["/tree/file"] == DATA
    assert (callback.size, callback.value) == (len(DATA), len(DATA))
    with pytest.raises(FileExistsError):
        fs.put_file(source, f"{site.url}/a", mode="create")
    with pytest.raises(ValueError, match="append"):
        fs.put_file(source, f"{site.url}/a", mode="append")


@pytest.mark.parametrize("content", ["text", 5, None, [1, 2]])
def test_only_bytes_are_written(site, fs, content):
    """A number would be that many zeros, which nobody has meant."""
    with pytest.raises(TypeError, match="/a: bytes, bytearray or memoryview are needed, not"):
        fs.pipe_file(f"{site.url}/a", content)
    with pytest.raises(TypeError) as caught:
        fs.pipe_file(site.url.replace("//", "//user:secret@") + "/a?sig=secret", content)
    assert "secret" not in str(caught.value)
    assert not any(method == "PUT" for method, *_ in site.asked())


def test_values_are_written_and_files_removed(site, fs):
    fs.pipe_file(f"{site.url}/a", b"1")
    fs.pipe_file(f"{site.url}/a", b"2", headers={"Content-Type": "text/plain"})
    fs.pipe({f"{site.url}/b": b"3", f"{site.url}/c": b"4"})

    assert [site.files[f"/{name}"] for name in "abc"] == [b"2", b"3", b"4"]
    with pytest.raises(FileExistsError):
        fs.pipe_file(f"{site.url}/a", b"5", mode="create")
    fs.rm(f"{site.url}/a")
    assert "/a" not in site.files
    with pytest.raises(FileNotFoundError):
        fs.rm_file(f"{site.url}/a")


def test_files_are_written_when_they_are_closed(site, fs):
    with fs.open(f"{site.url}/a", "wb", block_size=1000) as file:
        for at in range(0, len(DATA), 700):
            file.write(DATA[at : at + 700])
        assert "/a" not in site.files
    with fs.open(f"{site.url}/empty", "wb"):
        pass
    with fs.open(f"{site.url}/text", "w", encoding="utf-8") as file:
        file.write("ä")
    with pytest.raises(FileExistsError), fs.open(f"{site.url}/a", "xb") as file:
        file.write(b"other")

    assert (site.files["/a"], site.files["/empty"]) == (DATA, b"")
    assert site.files["/text"] == "ä".encode()


def test_nothing_is_written_after_an_exception(site, fs):
    for part in (b"", b"part", bytes(5000)):
        with pytest.raises(KeyError), fs.open(f"{site.url}/a", "wb", block_size=1000) as file:
            file.write(part)
            raise KeyError

    assert "/a" not in site.files


def test_a_transaction_writes_at_its_end_or_nothing(site, fs):
    with fs.transaction:
        fs.open(f"{site.url}/a", "wb").close()
        assert "/a" not in site.files
    assert site.files["/a"] == b""
    with pytest.raises(KeyError), fs.transaction:
        with fs.open(f"{site.url}/b", "wb") as file:
            file.write(b"1")
        raise KeyError
    assert "/b" not in site.files


# ---- coroutines, threads, processes


def test_coroutines_on_several_event_loops(site, made):
    fs = made(asynchronous=True)
    real = f"{site.url}/index/real"

    async def main():
        assert await fs._cat([real]) == {real: DATA}
        assert await fs._cat_ranges([real] * 3, [0, 5, 9], [3, 7, 10]) == [
            DATA[:3], DATA[5:7], DATA[9:10],
        ]  # fmt: skip
        async with await fs.open_async(real) as file:
            first = await file.read(10)
            assert first + await file.read() == DATA
        with pytest.raises(ValueError, match="closed"):
            await file.read()
        names = await asyncio.gather(*(fs._ls(f"{site.url}/index/", detail=False) for _ in "abc"))
        assert names[0] == names[2]
        assert await fs._expand_path(f"{site.url}/index/sub", recursive=True, maxdepth=1) == [
            f"{site.url}/index/sub", f"{site.url}/index/sub/deep",
        ]  # fmt: skip

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(main())


def test_blocking_calls_in_many_threads(site, fs):
    real, wrong = f"{site.url}/index/real", []

    def work(number):
        for at in range(number, 100, 7):
            if fs.cat_file(real, at, at + 9) != DATA[at : at + 9]:
                wrong.append(at)
        with fs.open(real, block_size=500) as file:
            if file.read() != DATA:
                wrong.append("all")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_pickling_keeps_the_settings(site, made):
    fs = made(headers={"X-Own": "1"}, auth=("me", "secret"), client_kwargs={"timeout": 5})
    for copied in (pickle.loads(pickle.dumps(fs)), DugongFileSystem.from_json(fs.to_json())):
        assert copied.cat_file(f"{site.url}/index/real") == DATA
        fields = site.seen[-1][2]
        assert (fields["X-Own"], fields["Authorization"]) == ("1", "Basic bWU6c2VjcmV0")
        copied.client.close()
        DugongFileSystem.clear_instance_cache()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_file_system_survives_a_fork(site, fs):
    real = f"{site.url}/index/real"
    with fs.open(real, block_size=100) as file:
        assert file.read(10) == fs.cat_file(real, 0, 10)

        def use():
            right = fs.cat([real, real]) == {real: DATA} and file.read(10) == DATA[10:20]
            return right and fs.ls(f"{site.url}/index/", detail=False) != []

        assert in_child(use) == 1
        assert file.read(10) == DATA[10:20]
        assert fs.cat_file(real) == DATA


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.slow
def test_a_file_system_goes_to_new_processes(site, fs, method):
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    arguments = (fs, f"{site.url}/index/real", answers)
    process = context.Process(target=cat_elsewhere, args=arguments)
    process.start()

    assert answers.get(timeout=60) == DATA
    process.join()


# ---- around it


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its own files
def test_other_file_systems_of_fsspec_stand_on_it(site, made, tmp_path):
    fs = made()
    real, other = f"{site.url}/index/real", f"{site.url}/index/other"

    kept = fsspec.filesystem("blockcache", fs=fs, cache_storage=str(tmp_path / "1"))
    with kept.open(real) as file:
        assert file.read() == DATA
    simple = fsspec.filesystem("simplecache", fs=fs, cache_storage=str(tmp_path / "2"))
    assert simple.cat([real, other]) == {real: DATA, other: DATA[::-1]}
    mapper = fs.get_mapper(f"{site.url}/index")
    assert mapper["sub/deep"] == b"deep"
    assert "none" not in mapper


def test_the_protocols_are_registered_and_lead_here(site, made):
    specs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    mine = {
        name: where for name, where in specs["fsspec.specs"].items() if name[:11] == "dugong+http"
    }
    assert mine.keys() == set(DugongFileSystem.protocol)
    for name, where in mine.items():
        fsspec.register_implementation(name, where, clobber=True)
    with fsspec.open(f"dugong+{site.url}/index/real", timeout=20) as file:
        assert file.read() == DATA
        assert file.full_name == f"dugong+{site.url}/index/real"
        assert type(file.fs) is DugongFileSystem
        file.fs.client.close()
        DugongFileSystem.clear_instance_cache()


def test_settings_are_those_of_a_client(made):
    made(retry=Retry(2), verify=False, timeout=3, auth=["me", "secret"])
    with pytest.raises(TypeError, match="use_foobar"):
        made(use_foobar=True)


def test_without_fsspec_the_error_names_the_extra():
    code = "import sys; sys.modules['fsspec'] = None; import dugong_like.adapters.fsspec"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stderr.splitlines()[-1].endswith("needs fsspec: install 'dugong-like[fsspec]'")
