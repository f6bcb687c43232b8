"""A folder with a server of each kind."""

import pytest
from kit.sync_pair import pair_of
from kit.sync_server import Store


@pytest.fixture(params=[False, True], ids=["manifest", "webdav"])
def pair(request, tmp_path):
    """A folder with a server without WebDAV, and with it."""
    with pair_of(tmp_path, Store(webdav=request.param)) as pair:
        yield pair


@pytest.fixture
def manifest(tmp_path):
    """A folder with a server without WebDAV."""
    with pair_of(tmp_path, Store()) as pair:
        yield pair


@pytest.fixture
def webdav(tmp_path):
    """A folder with a WebDAV server."""
    with pair_of(tmp_path, Store(webdav=True)) as pair:
        yield pair
