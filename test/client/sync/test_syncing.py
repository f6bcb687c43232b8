"""From arguments to a run: which kind of server it is."""

import pytest
from kit.sites import answer_of
from kit.sync_server import BASE

from dugong_like import URL, StatusError
from dugong_like.client.sync.manifest import NAME, ManifestRemote


def test_the_server_is_asked_for_its_kind(pair):
    pair.write("a")
    pair.up()

    assert pair.store.seen[0] == ("OPTIONS", b"")
    assert (NAME.encode() in pair.store.files) is not pair.store.webdav


def test_it_is_not_asked_if_that_is_said(pair):
    pair.write("a")
    pair.up(server="manifest")

    assert pair.store.asked("OPTIONS") == []
    assert NAME.encode() in pair.store.files


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_is_an_error(pair, status):
    pair.store.by.append(lambda seen, path: answer_of(status))

    with pytest.raises(StatusError, match=str(status)):
        pair.up()


@pytest.mark.parametrize("value", ["", "2", "1x", "x1, 21"])
def test_a_server_without_class_1_is_none_of_webdav(manifest, value):
    manifest.store.by.append(
        lambda seen, path: answer_of(200, f"DAV: {value}") if seen.method == "OPTIONS" else None
    )
    manifest.write("a")
    manifest.up()

    assert NAME.encode() in manifest.store.files


def test_a_remote_may_be_given(manifest):
    manifest.write("a")
    remote = ManifestRemote(manifest.client.build_request, URL(BASE))

    result = manifest.client.sync(manifest.root, remote, record=False)

    assert result.copied == 1
    assert manifest.store.asked("OPTIONS") == []


def test_urls_with_and_without_a_slash_are_the_same_folder(pair):
    pair.write("a")
    for url in (BASE, BASE.removesuffix("/"), URL(BASE)):
        pair.client.sync(pair.root, url, record=pair.record)

    assert pair.store.asked("PUT").count(b"a") == 1


def test_requests_have_the_settings_of_the_client(pair):
    pair.client.headers["X-Own"] = "1"
    seen = []
    pair.store.by.append(lambda request, path: seen.append(request.headers.get("x-own")))
    pair.write("a")
    pair.up()

    assert set(seen) == {"1"}
