"""Synchronising with real servers: nginx, which lists no files, and Apache with WebDAV."""

import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.s3_site import LOGIN, new_client, new_session, s3_site
from kit.servers import Server, dav_apache, nginx
from kit.support import ROOT, pattern, wait_until
from kit.sync_pair import OLD, tree_of

from dugong_like import Client
from dugong_like.__main__ import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
LARGE = pattern(3 << 20)


@contextmanager
def serving(kind):
    """Yield the URL of a folder on a server, and the folder of the server and of its files.

    Other users can read it: Apache is none but one of them.
    """
    with tempfile.TemporaryDirectory(prefix="dugong-sync-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if kind == "webdav":
            with dav_apache(folder) as server:
                yield f"http://127.0.0.1:{server.port}/kept/", folder / "files" / "kept"
            return
        with nginx(folder, Server("none", 1, False, folder)) as server:
            yield f"http://127.0.0.1:{server.port}/files/kept/", folder / "www" / "files" / "kept"


@pytest.fixture(params=["manifest", "webdav"])
def server(request):
    with serving(request.param) as (url, kept):
        yield url, kept


def make(root, count, sizes=(0, 1, 5000, 70_000)):
    """Make *count* files with times, in several folders."""
    for number in range(count):
        path = root / f"{number % 7}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(LARGE[number % 251 :][: sizes[number % len(sizes)]])
        os.utime(path, ns=(OLD + number, OLD + number))


def kept_files(kept):
    """Return what a server keeps, without the list of files."""
    files = tree_of(kept)
    files.pop("dugong-manifest.jsonl", None)
    return {path: data for path, data in files.items() if "/.DAV/" not in f"/{path}"}


def sync(tmp_path, source, target, *args):
    """Run the command; return its exit status."""
    record = record_of(tmp_path, source, target)
    return main(["sync", "-q", "--record", str(record), *args, str(source), str(target)])


def record_of(tmp_path, source, target):
    return tmp_path / f"record-{abs(hash((str(source), str(target))))}"


@pytest.mark.feature("E48")
def test_up_and_down_and_what_has_changed(server, tmp_path, capfd):
    url, kept = server
    root, back = tmp_path / "root", tmp_path / "back"
    make(root, 60)
    (root / "large").write_bytes(LARGE)
    (root / "odd %41 ?#\nä\udcff").write_bytes(b"odd")
    os.utime(root / "large", ns=(OLD, OLD))

    assert sync(tmp_path, root, url) == 0
    assert kept_files(kept) == tree_of(root)
    assert sync(tmp_path, url, back) == 0
    assert tree_of(back) == tree_of(root)

    for number in (3, 4):  # of the same size
        path = root / f"{number}" / f"{number}"
        path.write_bytes(path.read_bytes()[::-1][:-1] + b"x")
    (root / "5" / "5").unlink()
    with Client() as client:
        result = client.sync(
            root, url, delete=True, verify=True, record=record_of(tmp_path, root, url)
        )
        again = client.sync(root, url, delete=True, record=record_of(tmp_path, root, url))
    assert (result.copied, result.deleted, result.verified, result.failed) == (2, 1, 2, 0)
    assert (again.copied, again.unchanged) == (0, len(tree_of(root)))
    assert sync(tmp_path, url, back, "--delete") == 0
    assert kept_files(kept) == tree_of(back) == tree_of(root)


def test_folders_and_files_change_places(server, tmp_path):
    url, kept = server
    root = tmp_path / "root"
    make(root, 20)
    assert sync(tmp_path, root, url) == 0
    shutil.rmtree(root / "1")
    (root / "1").write_bytes(b"now a file")
    (root / "2" / "2").unlink()
    (root / "2" / "2").mkdir()
    (root / "2" / "2" / "x").write_bytes(b"now a folder")

    assert sync(tmp_path, root, url, "--delete") == 0

    assert kept_files(kept) == tree_of(root)


def start(tmp_path, source, target, *args, prefix=(), env=None, **options):
    """Start the command in a process of its own."""
    command = [*prefix, sys.executable, "-m", "dugong_like", "sync", "--list", *args]
    command += ["--record", tmp_path / "record", source, target]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(env or {})}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def output_of(process, timeout=100):
    """Return what a command writes until it ends; after so many seconds it is killed."""
    try:
        return process.communicate(timeout=timeout)
    finally:
        process.kill()
        process.wait()


COUNT = itertools.count()  # of the buckets


class Bucket:
    """A bucket of an S3 service, that of moto."""

    def __init__(self, site, name):
        self.name = name
        self.s3 = new_client(new_session(), site)
        self.s3.create_bucket(Bucket=name)
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
        self.env = {**dict(zip(names, LOGIN.values(), strict=True)), "AWS_ENDPOINT_URL": site}

    def files(self):
        """Return all objects, and uploads that were begun and have not ended."""
        found = {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name):
            for one in page.get("Contents", ()):
                body = self.s3.get_object(Bucket=self.name, Key=one["Key"])["Body"]
                found[one["Key"].removeprefix("kept/")] = body.read()
        for one in self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", ()):
            found[f"upload of {one['Key']}"] = None
        return found


@pytest.fixture(params=["manifest", "webdav", "s3"])
def any_server(request, certificate):
    """Yield the URL of a folder, variables for it, and a function that returns its files."""
    if request.param == "s3":
        name = f"killed-{os.getpid()}-{next(COUNT)}"
        with s3_site(certificate) as urls:
            bucket = Bucket(urls["http"], name)
            yield f"s3://{name}/kept", bucket.env, bucket.files
            bucket.s3.close()
        return
    with serving(request.param) as (url, kept):
        yield url, {}, lambda: kept_files(kept)


KILLS = 7  # in each direction, for each of three seeds
SLOW_KILLS = 3  # the same with S3
IN_FLIGHT = 16  # files that are under way on one connection


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_a_kill_anywhere_loses_nothing_and_repeats_little(any_server, tmp_path, seed):
    url, env, files = any_server
    root, back = tmp_path / "root", tmp_path / "back"
    make(root, 400)
    sizes = [len(LARGE)] * 4
    if url.startswith("s3:"):
        sizes.append(65 << 20)  # goes in parts
    for number, size in enumerate(sizes):
        with (root / f"large{number}").open("wb") as file:
            file.write(LARGE)
            file.truncate(size)
        os.utime(root / f"large{number}", ns=(OLD, OLD))
    count = len(tree_of(root))
    kills = SLOW_KILLS if url.startswith("s3:") else KILLS
    source = random.Random(seed)
    for way in ((root, url), (url, back)):
        lines = 0
        for _ in range(kills):
            process = start(tmp_path, *way, "--jobs", "1", env=env)
            try:
                for _ in range(source.randrange(50, 100)):
                    lines += b"copy " in process.stdout.readline()
            finally:
                process.kill()
            lines += process.stdout.read().count(b"copy ")  # what it had written before
            output_of(process)
        process = start(tmp_path, *way, env=env)
        out, err = output_of(process, 300)
        assert process.returncode == 0, err
        lines += out.count(b"copy ")

        assert lines <= count + kills * IN_FLIGHT, "only what was in flight is repeated"
        process = start(tmp_path, *way, env=env)
        out, _ = output_of(process, 300)
        assert b"0 copied (0 B)" in out
    assert files() == tree_of(root) == tree_of(back)


@pytest.mark.slow
def test_a_server_that_is_killed_and_begins_again(tmp_path):
    root = tmp_path / "root"
    make(root, 300)
    with serving("manifest") as (url, kept):
        process = start(tmp_path, root, url)
        assert process.stdout.readline()
        main_process = (kept.parents[2] / "pid").read_text().strip()
        worker = subprocess.check_output(["pgrep", "-P", main_process]).split()[0]
        os.kill(int(worker), signal.SIGKILL)  # nginx starts another one
        _, err = output_of(process)

        assert process.returncode == 0, err
        assert kept_files(kept) == tree_of(root)


def test_a_server_that_is_gone_is_status_3(tmp_path, capfd):
    root = tmp_path / "root"
    make(root, 5)
    with serving("manifest") as (url, _):
        pass

    assert main(["sync", "--record", str(tmp_path / "record"), "--retry", "0", str(root), url]) == 3


def test_a_full_disk_is_reported_and_leaves_no_half_files(server, tmp_path):
    """RLIMIT_FSIZE stands for the disk: a file that is longer cannot be written."""
    url, _ = server
    root, back = tmp_path / "root", tmp_path / "back"
    make(root, 10)
    for number in range(2):
        (root / f"large{number}").write_bytes(LARGE)
    assert sync(tmp_path, root, url) == 0

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    process = start(tmp_path, url, back, "--delete", preexec_fn=limit)
    out, err = output_of(process)

    assert process.returncode == 1, err
    assert b"2 failed" in out
    assert b"File too large" in err
    expected = {path: data for path, data in tree_of(root).items() if "large" not in path}
    left = {path: data for path, data in tree_of(back).items() if ".dugong-" not in path}
    assert left == expected
    assert sync(tmp_path, url, back) == 0
    assert tree_of(back) == tree_of(root)


@pytest.mark.slow
def test_a_small_file_system_that_is_full(server, tmp_path):
    url, _ = server
    root, small = tmp_path / "root", tmp_path / "small"
    make(root, 40)
    (root / "large").write_bytes(LARGE)
    small.mkdir()
    assert sync(tmp_path, root, url) == 0
    script = (
        f"mount -t tmpfs -o size=1m none {small} || exit 99; "
        f"{sys.executable} -m dugong_like sync --record {tmp_path}/record {url} {small}/back; "
        f"status=$?; cd {small}/back && find . -type f | sort; exit $status"
    )
    command = ["unshare", "-m", "sh", "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode in (99, 1) and b"1 failed" not in done.stdout:
        pytest.skip("no file system can be mounted here")

    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"./large\n" not in done.stdout


WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


@pytest.mark.slow
def test_a_folder_that_may_not_be_read_keeps_everything(server, tmp_path):
    """The superuser may read everything, unless it gives that up."""
    prefix = WITHOUT_PRIVILEGES if os.geteuid() == 0 else []
    if prefix and subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("privileges cannot be given up here")
    url, kept = server
    root = tmp_path / "root"
    make(root, 20)
    assert sync(tmp_path, root, url) == 0
    before = kept_files(kept)
    (root / "3" / "3").unlink()
    (root / "2" / "2").write_bytes(b"changed")
    for path in (root / "1", root / "2" / "2"):
        path.chmod(0)

    process = start(tmp_path, root, url, "--delete", prefix=prefix)
    _, err = output_of(process)
    (root / "1").chmod(0o755)

    assert process.returncode == 1, err
    assert err.count(b"Permission denied") == 2
    assert kept_files(kept) == before


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "count"), [("manifest", 20_000), ("webdav", 2_000)])
def test_many_files_in_one_folder(tmp_path, kind, count):
    root = tmp_path / "root"
    root.mkdir()
    for number in range(count):
        path = root / f"{number:06}"
        path.write_bytes(b"%d" % number)
        os.utime(path, ns=(OLD, OLD))
    with serving(kind) as (url, kept), Client() as client:
        first = client.sync(root, url, record=tmp_path / "record")
        second = client.sync(root, url, record=tmp_path / "record")
        (root / "000007").write_bytes(b"8")
        third = client.sync(root, url, record=tmp_path / "record")

        assert (first.copied, second.copied, third.copied) == (count, 0, 1)
        assert (kept / "000007").read_bytes() == b"8"
        assert len(kept_files(kept)) == count


def test_a_file_that_grows_while_it_is_sent_is_not_kept_half(server, tmp_path):
    url, kept = server
    root = tmp_path / "root"
    root.mkdir()
    (root / "log").write_bytes(LARGE)
    os.utime(root / "log", ns=(OLD, OLD))
    grown = []

    def grow(state):
        if state.bytes_done and not grown:
            with (root / "log").open("ab") as file:
                file.write(b"one more line")
            grown.append(1)

    with Client() as client:
        result = client.sync(root, url, record=tmp_path / "record", on_progress=grow)

    assert (result.copied, result.failed) == (1, 0)
    wait_until((kept / "log").exists)
    assert (kept / "log").read_bytes() == LARGE + b"one more line"
