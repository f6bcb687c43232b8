"""Downloads with random failures and versions: the file is one version, and no record lies."""

import hashlib
import os
import random
import shutil

import pytest
from kit.file_site import FileSite
from kit.support import examples, pattern

from dugong_like import Client, ContentChanged, Response, Retry, TransportError, UnusableRange
from dugong_like.client.transfers import download as download_module
from dugong_like.client.transfers import mover as mover_module
from dugong_like.client.transfers import part as part_module
from dugong_like.client.transfers import ranges as ranges_module
from dugong_like.client.transfers.destination import Destination
from dugong_like.client.transfers.part import open_part

URL = "http://example.org/file"
SIZE = 60_000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Have small pieces, and no storage to wait for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None, raising=False)
    monkeypatch.setattr(ranges_module, "LEAST", 4000)
    monkeypatch.setattr(download_module, "LEAST", 4000)
    monkeypatch.setattr(mover_module, "PIECE", 1500)
    monkeypatch.setattr(part_module, "CHECKPOINT", 5000)


class Wild(FileSite):
    """A site that loses connections, and has another version now and then."""

    def __init__(self, chance):
        super().__init__(pattern(SIZE))
        self.chance = chance
        self.waits = True
        self.versions = {self.etag: self.body}

    def usual(self, request):
        chance = self.chance
        if chance.random() < 0.15:
            number = len(self.versions) + 1
            size = chance.choice([0, 3999, SIZE - 1, SIZE, SIZE, SIZE])
            self.body, self.etag = (
                hashlib.sha512(b"%d" % number).digest() * (size // 64 + 1),
                f'"{number}"',
            )
            self.body = self.body[:size]
            self.versions[self.etag] = self.body
        self.ranges = chance.random() > 0.03
        self.measured = chance.random() > 0.2
        self.most = chance.choice([None, None, 7000])
        if chance.random() < 0.6:
            self.cuts = [chance.randrange(SIZE)]
        if chance.random() < 0.02:
            return Response(503, request=request)
        return super().usual(request)


def claimed(folder, snapshot, site):
    """Check that a killed run, with these files, would have left a part of one version."""
    shutil.copytree(folder, snapshot)
    with open_part(Destination(snapshot / "file"), URL, resume=True, synced=False) as part:
        if part.validator is not None:
            data = (snapshot / "file.part").read_bytes()
            for begin, end in part.spans:
                assert data[begin:end] == site.versions[part.validator][begin:end]
    shutil.rmtree(snapshot)


@pytest.mark.parametrize("ranges", [1, 4])
def test_any_course_of_events(tmp_path, ranges):
    complete = 0
    for seed in range(examples(60)):
        chance = random.Random(seed)
        site = Wild(chance)
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        path = folder / "file"
        outcome = None

        def look(*_, chance=chance, folder=folder, site=site):
            if chance.random() < 0.15:
                claimed(folder, tmp_path / "snapshot", site)

        with Client(dispatcher=site) as client:
            for _ in range(40):
                try:
                    outcome = client.download(
                        URL, path, ranges=ranges, retries=Retry(2, backoff=0), progress=look,
                        sparse=chance.random() < 0.3,
                    )  # fmt: skip
                    break
                except (TransportError, ContentChanged, UnusableRange):
                    assert not path.exists(), seed
                except Exception as exc:
                    assert "503" in str(exc), (seed, exc)
        if outcome is None:
            continue  # it never got through
        complete += 1
        assert path.read_bytes() in site.versions.values(), seed
        assert path.read_bytes() == site.versions[outcome.response.headers["etag"]], seed
        assert os.listdir(folder) == ["file"], seed
    assert complete > 5
