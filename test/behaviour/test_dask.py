"""`Client.map` and transfers within the tasks of Dask, on a cluster of this machine."""

import hashlib
from contextlib import contextmanager

import pytest
from kit import dask_tasks
from kit.folder_site import FolderSite
from kit.support import installed

from dugong_like import Client

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextmanager
def running(**options):
    """Run a cluster, and yield a client of Dask."""
    distributed = installed("distributed", "data")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, **options}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as dask:
        yield dask


def split(items, count):
    return [items[first::count] for first in range(count)]


@pytest.mark.feature("E47")
def test_clients_work_within_tasks_of_threads(tmp_path):
    files = {f"/{number}": b"%d" % number for number in range(60)}
    with FolderSite(files) as site, running(processes=False) as dask:
        urls = [f"{site.url}{path}" for path in files]
        tasks = [dask.submit(dask_tasks.fetch, Client(), part) for part in split(urls, 4)]
        moved = dask.submit(dask_tasks.download, Client(), urls[7], str(tmp_path / "7"))

        found = [item for part in dask.gather(tasks) for item in part]
        assert sorted(found) == sorted(zip(urls, files.values(), strict=True))
        assert moved.result() == 1
        assert (tmp_path / "7").read_bytes() == b"7"


@pytest.mark.slow
def test_every_object_comes_once_although_a_worker_is_killed(start, tmp_path):
    """20,000 objects, each another one, in 40 tasks on two processes; one is killed in its task."""
    server = start("nginx")
    folder = server.root / "www" / "numbered"
    folder.mkdir()
    for number in range(20_000):
        (folder / str(number)).write_bytes(b"%d" % number * 50)
    urls = [f"http://127.0.0.1:{server.port}/numbered/{number}" for number in range(20_000)]
    marker = tmp_path / "killed"

    with running(processes=True) as dask:
        before = set(dask.scheduler_info()["workers"])
        client = Client(timeout=60)
        going = []
        for number, part in enumerate(split(urls, 40)):
            here = str(marker) if number == 13 else None
            going.append(dask.submit(dask_tasks.fetch_and_die_once, client, part, here, 300))
        moved = dask.submit(dask_tasks.download, client, urls[5], str(tmp_path / "5"))
        found = [item for part in dask.gather(going) for item in part]
        assert moved.result() == 50
        assert before != set(dask.scheduler_info()["workers"])  # another process took its place

    assert marker.exists()
    assert sorted(url for url, _ in found) == sorted(urls)
    digests = {url: hashlib.sha256(body).digest() for url, body in found}
    wrong = [
        url
        for number, url in enumerate(urls)
        if digests[url] != hashlib.sha256(b"%d" % number * 50).digest()
    ]
    assert not wrong
