"""Files of earlier runs: nothing else is opened, changed or waited for."""

import os

import pytest

from dugong_like.client.transfers.opening import open_own

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, modes and owners of POSIX")


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "folder", "fifo", "other user"])
def test_something_else_is_an_error(tmp_path, kind):
    path, other = tmp_path / "x", tmp_path / "other"
    other.write_text("precious")
    if kind == "link":
        path.symlink_to(other)
    elif kind == "dangling":
        path.symlink_to(tmp_path / "missing")
    elif kind == "hard link":
        path.hardlink_to(other)
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        if os.geteuid() != 0:
            pytest.skip("only the superuser may give a file away")
        path.touch()
        os.chown(path, 12345, -1)

    with pytest.raises(OSError, match="x"):
        open_own(path, 0o600)
    assert other.read_text() == "precious"
    assert not (tmp_path / "missing").exists()


def test_a_new_file_and_an_old_one(tmp_path):
    for _ in range(2):
        number = open_own(tmp_path / "x", 0o600)
        os.write(number, b"x")
        os.close(number)
    assert (tmp_path / "x").read_bytes() == b"x"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
