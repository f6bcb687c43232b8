"""The tests of fsspec for all file systems that can be written, on WebDAV by Apache."""

import tempfile
from pathlib import Path

import pytest
from fsspec.tests import abstract
from kit.servers import dav_apache

from dugong_like.adapters.fsspec_webdav import WebDAVFileSystem

pytestmark = pytest.mark.slow


class Fixtures(abstract.AbstractFixtures):
    """The file system that is tested."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls):
        with tempfile.TemporaryDirectory(prefix="dugong-fsspec-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            with dav_apache(folder) as server:
                yield server

    @pytest.fixture(scope="class")
    @classmethod
    def fs(cls):
        fs = WebDAVFileSystem(skip_instance_cache=True)
        yield fs
        fs.client.close()

    @pytest.fixture
    def fs_path(self, server, fs):
        path = f"http://127.0.0.1:{server.port}/tests"
        fs.makedirs(path, exist_ok=True)
        yield path
        fs.rm(path, recursive=True)

    @pytest.fixture
    def fs_join(self):
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def fs_target(self, fs_path):
        return f"{fs_path}/target"

    @pytest.fixture
    def supports_empty_directories(self):
        return True


@pytest.fixture(autouse=True)
def no_question_marks(request):
    """Leave out the cases where a question mark is a pattern: in a URL it begins the query."""
    if "fil?1" in request.node.name:
        pytest.skip("a question mark in a URL is itself")


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass
