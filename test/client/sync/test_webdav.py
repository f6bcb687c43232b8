"""WebDAV servers."""

import pytest
from kit.sites import answer_of
from kit.sync_pair import OLD, pair_of, tree_of
from kit.sync_server import BASE, Store

from dugong_like import DugongError, StatusError, TransferError


def multistatus(*resources):
    parts = "".join(
        f"<D:response><D:href>{href}</D:href><D:propstat><D:prop>{prop}</D:prop>"
        "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
        for href, prop in resources
    )
    body = f'<D:multistatus xmlns:D="DAV:">{parts}</D:multistatus>'.encode()
    return answer_of(207, body=body)


FOLDER = "<D:resourcetype><D:collection/></D:resourcetype>"
FILE = "<D:resourcetype/><D:getcontentlength>1</D:getcontentlength><D:getetag>1</D:getetag>"


def listed(pair, *resources):
    """Return the paths that are found if the server lists *resources*."""
    pair.store.by.append(
        lambda seen, path: multistatus(*resources) if seen.method == "PROPFIND" else None
    )
    pair.down(dry_run=True, record=False)
    return set(pair.kinds())


def test_urls_of_listings_in_all_forms(webdav):
    found = listed(
        webdav,
        ("/files", FOLDER),
        ("/files/a%20b", FILE),
        ("http://example.org/files/c", FILE),
        ("http://other.name:81/files/d%2fe", FILE),
        ("//other.name/%66iles/f:1", FILE),
        ("\n /files/a:b?x=1\n", FILE),
        ("relative", FILE),
        ("./g:h", FILE),
        ("/files/%FF", FILE),
    )

    assert found == {"a b", "c", "d/e", "f:1", "relative", "g:h", "\udcff", "a:b"}


ITSELF = ("/files/", FOLDER)


def test_a_list_of_something_else_is_no_empty_folder(webdav):
    """A proxy changes paths, or a redirect leads to another folder: nothing may be deleted then."""
    webdav.write("a")
    webdav.up()
    webdav.down()
    kept = []
    for resources in (
        [],
        [("/files/a", FILE)],
        [("/inner/", FOLDER), ("/inner/a", FILE)],
        [ITSELF, ("/other/x", FILE)],
        [ITSELF, ("/filesystem", FILE)],
        [ITSELF, ("../x", FILE)],
        [("/files/d/", FOLDER), ("/files/d/a", FILE)],
        [("http://inner:8080/", FOLDER), ("http://inner:8080/a", FILE)],
    ):
        webdav.store.by[:] = [
            lambda seen, path, listed=resources: (
                multistatus(*listed) if seen.method == "PROPFIND" else None
            )
        ]
        try:
            result = webdav.down(delete=True)
        except TransferError as exc:
            reason = str(exc)
        else:
            reason = str(result.failures[0].error)
        assert "PROPFIND http" in reason or "leads out of the folder" in reason, resources
        kept.append(sorted(tree_of(webdav.back)))

    assert kept == [["a"]] * len(kept)


def test_what_cannot_be_listed_is_reported_and_keeps_everything(webdav):
    webdav.write("a")
    webdav.write("hidden/b")
    webdav.up()
    webdav.down()
    webdav.store.put(b"new", b"new")

    def answer(seen, path):
        if seen.method == "PROPFIND" and path == b"hidden/":
            return answer_of(404)
        if seen.method == "PROPFIND":
            new = "<D:resourcetype/><D:getcontentlength>3</D:getcontentlength>"
            no_size = "<D:resourcetype/><D:getetag>1</D:getetag>"
            return multistatus(
                ITSELF, ("/files/hidden/", FOLDER), ("/files/new", new), ("/files/a", no_size)
            )
        return None

    webdav.store.by.append(answer)
    planned = webdav.down(delete=True, dry_run=True)
    result = webdav.down(delete=True)

    assert planned[1:9] == result[1:9]  # all numbers
    assert (result.copied, result.deleted, result.failed) == (1, 0, 2)
    assert sorted(tree_of(webdav.back)) == ["a", "hidden/b", "new"]
    errors = webdav.errors()
    assert str(errors["a"]) == "the server does not say how large it is"
    assert str(errors["hidden"]).startswith("PROPFIND http://example.org/files/hidden/: ")


def test_what_is_left_out_need_not_be_listed(webdav):
    webdav.write("a")
    webdav.up()
    webdav.down()

    def answer(seen, path):
        if seen.method == "PROPFIND" and path == b"hidden/":
            return answer_of(404)
        if seen.method == "PROPFIND":
            no_size = ("/files/odd", "<D:resourcetype/><D:getetag>1</D:getetag>")
            return multistatus(ITSELF, ("/files/hidden/", FOLDER), no_size)
        return None

    webdav.store.by.append(answer)
    for patterns in (["hidden/", "odd"], ["/hidden", "o*"]):
        result = webdav.down(exclude=patterns, dry_run=True, delete=True)
        assert (result.failed, result.deleted) == (0, 1)
    assert webdav.down(exclude=["hidden/"], dry_run=True).failed == 1
    assert webdav.down(exclude=["odd"], dry_run=True).failed == 1
    assert webdav.down(exclude=["hid", "od"], dry_run=True).failed == 2


def test_folders_whose_urls_are_redirected_are_listed(webdav):
    webdav.write("d/a")
    webdav.up()

    def answer(seen, path):
        if seen.method == "PROPFIND" and path == b"d/":
            return answer_of(301, "Location: /files/d")
        return None

    webdav.store.by.append(answer)

    assert webdav.down(delete=True).copied == 1
    assert webdav.down(delete=True).unchanged == 1


@pytest.mark.parametrize("size", [4, 300_000])
def test_a_page_in_place_of_a_file_is_not_stored(webdav, size):
    """Also if it has the same size, but another tag."""
    webdav.write("a", b"x" * size)
    webdav.up()
    webdav.down()
    webdav.write("a", b"y" * size, OLD + 1)
    webdav.up()

    for page in (b"page", b"p" * size):

        def answer(seen, path, page=page):
            if seen.method == "GET" and path == b"a":
                return answer_of(302, "Location: /files/login")
            if path == b"login":
                return answer_of(200, 'ETag: "page"', body=page)
            return None

        webdav.store.by[:] = [answer]
        result = webdav.down()

        assert result.failed == 1, page[:10]
        assert "another version than its list says" in str(webdav.errors()["a"])
        assert tree_of(webdav.back) == {"a": b"x" * size}


def test_a_folder_that_lists_itself_ends(webdav):
    """A server that is asked for a folder names others, or the same one again."""
    assert listed(webdav, ("/files/", FOLDER), ("/files/a/", FOLDER), ("/files/a/b", FILE)) == {
        "a/b"
    }
    assert len(webdav.store.asked("PROPFIND")) == 2


def test_folders_without_end_are_given_up(webdav):
    def deeper(seen, path):
        if seen.method == "PROPFIND":
            return multistatus((seen.target, FOLDER), (f"{seen.target}x/", FOLDER))
        return None

    webdav.store.by.append(deeper)

    with pytest.raises(TransferError, match="nested too deeply"):
        webdav.down()


def test_folders_are_made_once_and_those_above_first(webdav):
    for path in ("a/b/c", "a/b/d", "a/e", "f/g"):
        webdav.write(path)

    webdav.up()
    made = webdav.store.asked("MKCOL")
    webdav.write("a/b/new")
    webdav.write("a/n/new")
    webdav.up()

    assert sorted(made) == [b"a/", b"a/b/", b"f/"]
    assert made.index(b"a/") < made.index(b"a/b/")
    assert webdav.store.asked("MKCOL") == [b"a/n/"]


def test_the_folder_itself_is_made(webdav):
    webdav.store.folders.clear()
    webdav.store.folders.add(b"")
    webdav.write("x/y")

    webdav.client.sync(webdav.root, f"{BASE}new", record=False)

    assert webdav.store.asked("MKCOL") == [b"new/", b"new/x/"]
    assert webdav.store.texts() == {"new/x/y": b"data"}
    (webdav.root / "x/y").rename(webdav.root / "y")
    webdav.client.sync(webdav.root, f"{BASE}other", record=False)
    assert webdav.store.texts() == {"new/x/y": b"data", "other/y": b"data"}


def test_a_folder_that_cannot_be_made_is_the_failure_of_its_files(webdav):
    webdav.store.by.append(lambda seen, path: answer_of(403) if path.startswith(b"x") else None)
    for path in ("x/y", "x/deep/er/z", "other/a", "top"):
        webdav.write(path)

    result = webdav.up()

    assert (result.copied, result.failed) == (2, 2)
    assert webdav.store.texts() == {"other/a": b"data", "top": b"data"}
    for path in ("x/y", "x/deep/er/z"):
        assert str(webdav.errors()[path]) == (
            "MKCOL http://example.org/files/x/: the server answered 403 for the folder"
        )
    assert sorted(webdav.store.asked("MKCOL")) == [b"other/", b"x/"]


def test_folders_above_the_one_that_is_synchronised_are_made(webdav):
    webdav.store.folders.clear()
    webdav.store.folders.add(b"")
    webdav.write("x/y")

    webdav.client.sync(webdav.root, f"{BASE}a%20b/c/d", record=False)

    assert webdav.store.texts() == {"a b/c/d/x/y": b"data"}
    webdav.store.by.append(lambda seen, path: answer_of(409) if seen.method == "MKCOL" else None)
    with pytest.raises(StatusError, match="MKCOL .*/files/new/: .*409"):
        webdav.client.sync(webdav.root, f"{BASE}new", record=False)


def test_an_answer_that_is_not_valid_is_named_by_its_url(pair):
    pair.write("a")
    cut = answer_of(207 if pair.store.webdav else 200, body=b"<multistatus xmlns='DAV:'><resp")
    pair.store.by.append(lambda seen, path: None if seen.method == "OPTIONS" else cut)

    with pytest.raises(DugongError, match=r"(PROPFIND|GET) http://example.org/files/.* valid"):
        pair.up()
    assert not pair.store.asked("PUT")


def test_the_time_goes_with_the_file_and_comes_back(webdav):
    times = []

    def note(seen, path):
        if seen.method == "PUT":
            times.append(seen.headers.get("x-oc-mtime"))
        elif seen.method == "GET":
            return answer_of(
                200, 'ETag: "1"', "Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT", body=b"data"
            )
        return None

    webdav.store.by.append(note)
    webdav.write("a")
    webdav.up()
    webdav.down()

    assert times == [str(OLD // 10**9)]
    assert (webdav.back / "a").stat().st_mtime_ns == 1640995200 * 10**9


def test_a_weak_tag_that_becomes_a_strong_one_is_the_same(webdav):
    """As of Apache, for a file that is less than a second old."""
    webdav.write("a")

    def weak(seen, path):
        if seen.method != "PUT":
            return None
        webdav.store.put(path, seen.body)
        return answer_of(201, f'ETag: W/"{webdav.store.versions[path]}"')

    webdav.store.by.append(weak)

    assert webdav.up().copied == 1
    assert webdav.up().unchanged == 1


def test_a_list_that_is_refused_stops_the_run_and_deletes_nothing(webdav):
    webdav.write("a/b")
    webdav.up()
    webdav.store.by.append(
        lambda seen, path: answer_of(403) if (seen.method, path) == ("PROPFIND", b"a/") else None
    )
    (webdav.root / "a/b").unlink()

    with pytest.raises(StatusError, match="403 for a list of files"):
        webdav.up(delete=True)
    with pytest.raises(StatusError):
        webdav.down(delete=True)

    assert tree_of(webdav.back) == {}
    assert webdav.store.texts() == {"a/b": b"data"}


def test_files_that_are_gone_when_they_are_deleted_are_no_error(webdav):
    webdav.write("a")
    webdav.up()
    (webdav.root / "a").unlink()
    webdav.store.by.append(lambda seen, path: answer_of(404) if seen.method == "DELETE" else None)

    result = webdav.up(delete=True)

    assert (result.deleted, result.failed) == (1, 0)


def test_names_of_temporary_files_on_the_server_are_left_there(webdav):
    """Here the next run would remove such a file, and copy it again."""
    webdav.write("a")
    webdav.store.put(b".dugong-0123456789abcdef", b"1")

    assert webdav.up(delete=True).skipped == 1
    result = webdav.down(delete=True)

    assert (result.copied, result.skipped, result.failed) == (1, 1, 0)
    assert [path.name for path in webdav.back.iterdir()] == ["a"]
    assert b".dugong-0123456789abcdef" in webdav.store.files


def in_the_way(pair):
    """Make ``a`` a file here; on the server it is a folder, with ``a/b``."""
    pair.write("a/b")
    pair.up()
    (pair.root / "a/b").unlink()
    (pair.root / "a").rmdir()
    pair.write("a", b"file")


@pytest.mark.parametrize("name", ["", "deep/er/"], ids=["in it", "below"])
def test_a_folder_in_the_way_stays_if_files_are_in_it_that_are_left_alone(webdav, name):
    in_the_way(webdav)
    stray = f"a/{name}.dugong-0123456789abcdef".encode()
    webdav.store.folders |= {b"a/deep", b"a/deep/er"}
    webdav.store.put(stray, b"1")

    result = webdav.up(delete=True)

    assert (result.failed, result.skipped) == (1, 1)
    assert "with files that are left alone" in str(webdav.errors()["a"])
    assert webdav.store.files == {stray: b"1"}


def test_a_file_that_came_after_the_listing_stays_with_its_folder(webdav):
    in_the_way(webdav)

    def another_one_stores(seen, path):
        if (seen.method, path) == ("DELETE", b"a/b"):
            webdav.store.put(b"a/new", b"of another one")

    webdav.store.by.append(another_one_stores)

    assert webdav.up(delete=True).failed == 1
    assert set(webdav.errors()) == {"a"}
    assert webdav.store.files == {b"a/new": b"of another one"}


def test_a_folder_in_the_way_stays_if_not_all_of_it_can_be_listed(webdav):
    in_the_way(webdav)
    webdav.store.folders.add(b"a/hidden")
    webdav.store.put(b"a/hidden/file", b"of another one")
    webdav.store.by.append(
        lambda seen, path: answer_of(404) if path.startswith(b"a/hidden") else None
    )

    webdav.up(delete=True)

    assert "with files that are left alone" in str(webdav.errors()["a"])
    assert webdav.store.files == {b"a/hidden/file": b"of another one"}


def test_a_folder_in_the_way_that_went_with_its_last_file_is_no_failure(webdav):
    """As of servers that store no folders."""
    in_the_way(webdav)

    def goes(seen, path):
        if (seen.method, path) == ("DELETE", b"a/b"):
            webdav.store.folders.discard(b"a")

    webdav.store.by.append(goes)

    assert webdav.up(delete=True).failed == 0
    assert webdav.store.files == {b"a": b"file"}


def test_what_the_list_does_not_have_and_is_in_the_way_is_named(webdav):
    """Such as folders without files, and files that are excluded."""
    webdav.store.folders.add(b"empty")
    webdav.store.put(b"file", b"1")
    webdav.store.by.append(_refuse_what_is_there(webdav.store))
    webdav.write("empty")
    webdav.write("file/a")
    webdav.write("other/b")

    result = webdav.up(exclude=["/file"], record=False)
    assert (result.copied, result.failed) == (1, 1)
    assert str(webdav.errors()["empty"]).endswith("answered 409: a folder has this name there")

    webdav.store.by.append(
        lambda seen, path: (
            multistatus(ITSELF)
            if (seen.method, seen.headers.get("depth")) == ("PROPFIND", "1")
            else None
        )
    )
    result = webdav.up(record=False)
    assert str(webdav.errors()["file/a"]) == (
        "MKCOL http://example.org/files/file/: the server answered 400 for the folder: a file has "
        "this name there"
    )


def _refuse_what_is_there(store):
    def answer(seen, path):
        path = path.removesuffix(b"/")
        if seen.method == "PUT" and path in store.folders:
            return answer_of(409)
        if seen.method == "MKCOL" and path in store.files:
            return answer_of(400)
        return None

    return answer


def test_a_folder_that_is_missing_and_a_server_without_webdav_are_named(webdav):
    with pytest.raises(StatusError, match="404 for a list of files: there is no such folder"):
        webdav.client.sync(f"{BASE}nosuch", webdav.back, record=False)
    webdav.store.webdav = False
    with pytest.raises(StatusError, match="405 for a list of files: it knows no WebDAV"):
        webdav.down(server="webdav")


# ---- digests of ownCloud and Nextcloud


@pytest.fixture(params=["owncloud", "nextcloud"])
def cloud(request, tmp_path):
    with pair_of(tmp_path, Store(webdav=True, digests=request.param)) as pair:
        yield pair


def test_digests_of_the_server_spare_reading(cloud):
    cloud.write("a/small", b"1")
    cloud.write("large", bytes(100_000))
    assert cloud.up(checksum=True).copied == 2

    assert cloud.up(checksum=True, record=False).unchanged == 2
    assert cloud.store.asked("GET") == []
    cloud.write("a/small", b"2")  # of the same time
    assert cloud.up(checksum=True).copied == 1
    assert cloud.store.texts()["a/small"] == b"2"
    assert cloud.store.asked("GET") == []
    assert cloud.down(checksum=True).copied == 2
    assert cloud.down(checksum=True, record=False).unchanged == 2
    assert cloud.store.asked("GET") == []


def test_they_are_asked_for_only_if_they_are_compared(cloud):
    bodies = []
    cloud.store.by.append(
        lambda seen, path: bodies.append(seen.body) if seen.method == "PROPFIND" else None
    )
    cloud.write("a")
    cloud.up()

    assert bodies
    assert not [body for body in bodies if b"owncloud" in body]


def test_what_was_copied_is_verified_by_digests_that_the_server_has_computed(cloud):
    for path in "abc":
        cloud.write(path)
    is_computed = cloud.store.digests == "owncloud"

    assert cloud.up(verify=True).verified == 3
    assert len(cloud.store.asked("GET")) == (0 if is_computed else 3)
    for path in "abc":
        cloud.write(path, b"other")
    assert cloud.up(checksum=True, verify=True).verified == 3
    assert len(cloud.store.asked("GET")) == (0 if is_computed else 3)


def test_a_digest_of_other_bytes_leads_to_reading_them(cloud):
    cloud.write("a", b"right")

    def store_other(seen, path):
        if seen.method == "PUT":
            cloud.store.put(path, b"wrong")
            return answer_of(201, 'ETag: "x"')
        return None

    cloud.store.by.append(store_other)

    assert cloud.up(verify=True).failed == 1
    assert "both sides have other bytes" in str(cloud.errors()["a"])


def test_a_server_that_names_none_is_asked_for_one_file(webdav):
    for number in range(5):
        webdav.write(f"{number}")

    assert webdav.up(verify=True, jobs=1).verified == 5
    assert len(webdav.store.asked("GET")) == 5
    assert webdav.up(checksum=True).unchanged == 5
    assert len(webdav.store.asked("GET")) == 5
