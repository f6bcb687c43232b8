"""From arguments to a run: which kind of server it is."""

import pytest
from kit.sites import answer_of
from kit.sync_server import BASE

from dugong_like import URL, InvalidRequest, StatusError
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


LOGIN = BASE.replace("://", "://user:s%65kret@")


@pytest.mark.parametrize("upload", [True, False])
def test_user_and_password_in_a_url_are_sent_to_its_origin_and_are_nowhere_else(pair, upload):
    pair.write("a")
    pair.write("b", b"x" * 300_000)
    pair.up()
    fields = []

    def answer(seen, path):
        fields.append(seen.headers.get("authorization"))
        return answer_of(507) if path == b"a" and seen.method in ("PUT", "GET") else None

    pair.store.by.append(answer)
    if upload:
        pair.write("a", b"other")
        result = pair.up(source=pair.root, target=LOGIN)
    else:
        result = pair.down(source=LOGIN, target=pair.back)

    assert result.failed == 1
    assert set(fields) == {"Basic dXNlcjpzZWtyZXQ="}
    assert "sekret" not in repr(result)
    assert "user" not in str(result.failures[0].error)
    stored = [path.read_bytes() for path in pair.record.parent.iterdir()]
    assert not any(b"sekret" in data for data in [*stored, *pair.store.files.values()])


def test_the_record_of_a_folder_is_the_same_with_and_without_a_password(pair, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(pair.record.parent))
    pair.write("a")
    pair.up(record=True)

    assert pair.up(source=pair.root, target=LOGIN, record=True).unchanged == 1


@pytest.mark.parametrize("login", ["user:s@kret", "user:sekret%zz", "user:sekret%00", "u%3As:kret"])
def test_a_login_that_is_not_valid_is_not_shown(pair, login):
    with pytest.raises(InvalidRequest) as failure:
        pair.client.co_sync(pair.root, BASE.replace("://", f"://{login}@"))

    assert "kret" not in str(failure.value)
