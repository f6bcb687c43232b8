"""Running digests: they follow a file, from any position, in any steps."""

import hashlib
import os

import pytest

from dugong_like import run
from dugong_like.client.transfers import digests
from dugong_like.client.transfers.digests import RunningDigest

DATA = bytes(range(256)) * 20_000


@pytest.mark.parametrize("begin", [0, 5, 300_000])
@pytest.mark.parametrize("positional", [True, False])
def test_a_digest_follows_a_file(tmp_path, monkeypatch, begin, positional):
    if not positional:
        monkeypatch.delattr(os, "preadv", raising=False)
    path = tmp_path / "x"
    path.write_bytes(DATA)
    running = RunningDigest(["sha256", "md5"], begin)
    with path.open("rb", buffering=0) as file:
        file.seek(17)
        for end in (begin, begin + 1, begin + 1, 400_000, 300_000, len(DATA)):
            run(running.co_follow(file.fileno(), end))
        assert file.tell() == 17
    assert running.at == len(DATA)
    for name in ("sha256", "md5"):
        assert running.value(name) == hashlib.new(name, DATA[begin:]).digest()


def test_a_file_that_ends_before_is_an_error(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    with path.open("rb") as file, pytest.raises(OSError, match="ended at 3 instead of 4"):
        run(RunningDigest(["md5"]).co_follow(file.fileno(), 4))


def test_others_have_their_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "PIECE", 1000)
    path = tmp_path / "x"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        assert len(list(RunningDigest(["md5"]).co_follow(file.fileno(), len(DATA)))) > 3
        assert not list(RunningDigest([]).co_follow(file.fileno(), len(DATA)))
