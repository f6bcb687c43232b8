"""`OutputFile`: what FILE is afterwards, and in between.

The tests that need a user with fewer rights take another one for a moment if they are run by
the superuser.
"""

import errno
import os
import pty
import signal
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dugong_like import run
from dugong_like.cli.outcome import reason_of
from dugong_like.cli.output_file import OutputFile
from dugong_like.cli.stopping import stop_on_signals
from dugong_like.client.transfers import destination

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, modes and owners of POSIX")
needs_root = pytest.mark.skipif(
    os.name != "nt" and os.geteuid() != 0, reason="only the superuser may give a file away"
)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc or /dev/full")


class Ended(BaseException):
    """What ends the process in these tests."""


def end(status):
    raise Ended(status)


AT_ONCE = []  # not empty if files are written in one step


def write(name, data=b"new"):
    file = OutputFile(str(name))
    if AT_ONCE and file.destination is not None:
        run(file.destination.co_write_whole(data))
        return
    with file.open(None) as output:
        output.write(data)


@pytest.fixture
def folder():
    """Yield an empty folder that every user may read, unlike those of pytest."""
    with TemporaryDirectory() as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path


@contextmanager
def ordinary_user():
    """Have no rights of the superuser."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture(params=["nameless", "named", "nameless, at once", "named, at once"])
def new_file(request, monkeypatch):
    """Have new files with a name, or without one, until they are complete; or in one step."""
    monkeypatch.setitem(globals(), "AT_ONCE", [True] if "at once" in request.param else [])
    if request.param.startswith("named"):
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("there are no files without a name")
    return request.param


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_has_the_mode_that_the_umask_leaves(folder, mask, new_file):
    before = os.umask(mask)
    try:
        write(folder / "file")
    finally:
        os.umask(before)

    assert (folder / "file").read_bytes() == b"new"
    assert mode(folder / "file") == 0o666 & ~mask
    assert os.listdir(folder) == ["file"]


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o666, 0o755, 0o200])
def test_an_existing_file_keeps_its_mode(folder, permissions, new_file):
    file = folder / "file"
    file.write_bytes(b"old and longer")
    file.chmod(permissions)

    write(file)

    assert mode(file) == permissions
    file.chmod(0o600)
    assert file.read_bytes() == b"new"
    assert os.listdir(folder) == ["file"]


def test_what_comes_is_not_shown_to_those_who_may_not_read_the_old_file(folder, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    file = folder / "file"
    file.write_bytes(b"old")
    file.chmod(0o600)

    with OutputFile(str(file)).open(None) as output:
        output.write(b"secret")
        (other,) = set(folder.iterdir()) - {file}
        assert mode(other) == 0o600
        assert file.read_bytes() == b"old"
        assert len(other.name) < 32


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="there are no files without a name")
def test_a_file_has_no_name_before_it_is_complete(folder):
    with OutputFile(str(folder / "file")).open(None) as output:
        output.write(b"half")
        assert os.listdir(folder) == []
    assert (folder / "file").read_bytes() == b"half"


@pytest.mark.parametrize("is_new", [False, True])
def test_a_small_file_that_somebody_else_makes_meanwhile(folder, is_new, new_file):
    """The name is the server's if it is new: then nothing may be replaced."""
    file = folder / "file"
    chosen = OutputFile(str(file), is_new=is_new).destination
    file.write_bytes(b"of somebody else")

    if is_new:
        with pytest.raises(FileExistsError):
            run(chosen.co_write_whole(b"new"))
    else:
        run(chosen.co_write_whole(b"new"))

    assert file.read_bytes() == (b"of somebody else" if is_new else b"new")
    assert os.listdir(folder) == ["file"]


@needs_linux
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_small_file_for_which_there_is_no_room_leaves_everything_as_it_was(folder, old, new_file):
    """RLIMIT_FSIZE stands for the disk: a file that is longer cannot be written."""
    import resource

    file = folder / "file"
    if old is not None:
        file.write_bytes(old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(OSError, match="large") as failed:
            run(OutputFile(str(file)).destination.co_write_whole(bytes(4096)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failed.value.filename == str(file)
    assert os.listdir(folder) == ([] if old is None else ["file"])
    assert old is None or file.read_bytes() == old


def test_a_file_that_somebody_else_makes_meanwhile_is_replaced(folder, new_file):
    file = folder / "file"

    with OutputFile(str(file)).open(None) as output:
        output.write(b"new")
        file.write_bytes(b"of somebody else")

    assert file.read_bytes() == b"new"
    assert os.listdir(folder) == ["file"]


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL])
def test_a_file_system_without_nameless_files_has_one_with_a_name(folder, monkeypatch, code):
    create, names = os.open, []

    def refuse(path, flags, *mode):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(code, os.strerror(code))
        names.append(Path(path).name)
        return create(path, flags, *mode)

    if hasattr(os, "O_TMPFILE"):
        monkeypatch.setattr(os, "open", refuse)
        write(folder / "file")
        assert [name[:8] for name in names] == [".dugong-"]
        assert (folder / "file").read_bytes() == b"new"
        assert os.listdir(folder) == ["file"]


def test_without_proc_a_file_has_a_name(folder, monkeypatch):
    monkeypatch.setattr(destination, "DESCRIPTORS", str(folder / "missing"))
    run(OutputFile(str(folder / "small")).destination.co_write_whole(b"new"))
    assert (folder / "small").read_bytes() == b"new"
    (folder / "small").unlink()
    with OutputFile(str(folder / "file")).open(None) as output:
        output.write(b"new")
        assert len(os.listdir(folder)) == 1
    assert os.listdir(folder) == ["file"]


@needs_root
def test_an_existing_file_keeps_its_owner(folder, new_file):
    file = folder / "file"
    file.write_bytes(b"old")
    os.chown(file, 12345, 54321)

    write(file)

    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)
    assert file.read_bytes() == b"new"


def test_rights_to_run_as_somebody_else_are_not_kept(folder):
    file = folder / "file"
    file.write_bytes(b"old")
    file.chmod(0o6755)

    write(file)

    assert mode(file) == 0o755


@needs_root
def test_a_file_of_somebody_else_that_may_be_written_keeps_its_owner(folder):
    folder.chmod(0o777)
    file = folder / "file"
    file.write_bytes(b"old and longer")
    file.chmod(0o666)

    with ordinary_user():
        write(file)

    assert file.stat().st_uid == 0
    assert file.read_bytes() == b"new"
    assert os.listdir(folder) == ["file"]


@pytest.mark.parametrize("attribute", ["user.comment"])
@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="there are no extended attributes here")
def test_extended_attributes_are_kept(folder, attribute, new_file):
    file = folder / "file"
    file.write_bytes(b"old")
    try:
        os.setxattr(file, attribute, b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")

    write(file)

    assert os.getxattr(file, attribute) == b"mine"
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("permissions", [0o444, 0o400, 0o000])
def test_a_write_protected_file_is_an_error(folder, permissions):
    file = folder / "file"
    file.write_bytes(b"old")
    file.chmod(permissions)

    with pytest.raises(PermissionError) as problem:
        OutputFile(str(file))

    assert problem.value.filename == str(file)
    file.chmod(0o600)
    assert file.read_bytes() == b"old"


@needs_root
def test_a_file_that_only_its_owner_may_write_is_an_error_for_others(folder):
    folder.chmod(0o777)
    file = folder / "file"
    file.write_bytes(b"old")
    file.chmod(0o644)

    with ordinary_user(), pytest.raises(PermissionError):
        OutputFile(str(file))


def test_a_file_in_a_folder_that_may_not_be_written_is_written(folder):
    file = folder / "file"
    file.write_bytes(b"old and longer")
    file.chmod(0o666)
    folder.chmod(0o555)
    try:
        with ordinary_user():
            write(file)
            with pytest.raises(PermissionError) as problem:
                OutputFile(str(folder / "another"))
    finally:
        folder.chmod(0o755)

    assert problem.value.filename == str(folder / "another")
    assert file.read_bytes() == b"new"
    assert os.listdir(folder) == ["file"]


def test_links_are_followed(folder):
    (folder / "below").mkdir()
    target = folder / "below" / "target"
    target.write_bytes(b"old")
    (folder / "link").symlink_to("below/link")
    (folder / "below" / "link").symlink_to(target)

    write(folder / "link")

    assert (folder / "link").is_symlink()
    assert (folder / "below" / "link").is_symlink()
    assert target.read_bytes() == b"new"


def test_a_link_to_nothing_makes_what_it_names(folder):
    (folder / "link").symlink_to("target")

    write(folder / "link")

    assert (folder / "link").is_symlink()
    assert not (folder / "target").is_symlink()
    assert (folder / "target").read_bytes() == b"new"


def test_links_in_a_circle_are_an_error(folder):
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")

    with pytest.raises(OSError) as problem:
        OutputFile(str(folder / "one"))
    assert (problem.value.errno, problem.value.filename) == (errno.ELOOP, str(folder / "one"))


@pytest.mark.parametrize("old", [b"old", b"old and longer"])
def test_hard_links_lead_to_the_new_bytes(folder, old):
    (folder / "one").write_bytes(old)
    (folder / "two").hardlink_to(folder / "one")

    write(folder / "one")

    assert (folder / "two").read_bytes() == b"new"
    assert (folder / "one").samefile(folder / "two")


def test_a_file_that_cannot_be_replaced_is_overwritten(folder, monkeypatch, new_file):
    """As it is with something mounted on it, or in a folder such as /tmp."""
    file = folder / "file"
    file.write_bytes(b"old and longer")

    def replace(self, target):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(Path, "replace", replace)
    write(file)

    assert file.read_bytes() == b"new"
    assert os.listdir(folder) == ["file"]


@pytest.mark.parametrize("length", [246, 254, 255])
@pytest.mark.parametrize("exists", [True, False])
def test_long_names_work(folder, length, exists, new_file):
    file = folder / ("n" * length)
    if exists:
        file.write_bytes(b"old")

    write(file)

    assert file.read_bytes() == b"new"


def test_names_are_bytes(folder, new_file):
    name = os.fsencode(folder) + b"/caf\xe9\n"

    write(os.fsdecode(name))

    assert os.listdir(os.fsencode(folder)) == [b"caf\xe9\n"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("n" * 256, errno.ENAMETOOLONG),
        ("missing/file", errno.ENOENT),
        ("file/file", errno.ENOTDIR),
        ("below", errno.EISDIR),
        ("below/..", errno.EISDIR),
        ("missing/", errno.EISDIR),
    ],
)
def test_what_cannot_be_a_file_is_an_error_before_anything_is_asked_for(folder, name, code):
    (folder / "file").touch()
    (folder / "below").mkdir()

    with pytest.raises(OSError) as problem:
        OutputFile(f"{folder}/{name}")

    assert (problem.value.errno, problem.value.filename) == (code, f"{folder}/{name}")


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("link", [True, False])
def test_a_failure_leaves_everything_as_it_was(folder, exists, link, new_file):
    file = folder / "file"
    if exists:
        file.write_bytes(b"old")
    if link and exists:
        (folder / "two").hardlink_to(file)
    before = sorted(os.listdir(folder))

    with pytest.raises(ZeroDivisionError), OutputFile(str(file)).open(None) as output:
        output.write(b"half")
        raise ZeroDivisionError

    assert sorted(os.listdir(folder)) == before
    assert not exists or file.read_bytes() == b"old"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_leaves_everything_as_it_was(folder, number, new_file):
    file = folder / "file"
    file.write_bytes(b"old")

    with pytest.raises(Ended), stop_on_signals(end), OutputFile(str(file)).open(None) as output:
        output.write(b"half")
        signal.raise_signal(number)

    assert os.listdir(folder) == ["file"]
    assert file.read_bytes() == b"old"


def test_a_signal_between_naming_and_replacing_leaves_everything_as_it_was(folder, monkeypatch):
    (folder / "file").write_bytes(b"old")
    replace = Path.replace

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGQUIT)
        replace(*arguments)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(Ended), stop_on_signals(end):
        write(folder / "file")

    assert os.listdir(folder) == ["file"]
    assert (folder / "file").read_bytes() == b"old"


def test_a_signal_between_creating_and_opening_leaves_nothing(folder, monkeypatch, new_file):
    create = os.open

    def interrupted(*arguments):
        create(*arguments)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(Ended), stop_on_signals(end):
        write(folder / "file")

    assert os.listdir(folder) == []


def test_a_signal_while_the_old_file_is_overwritten_waits_until_all_is_there(folder, monkeypatch):
    (folder / "one").write_bytes(b"old")
    (folder / "two").hardlink_to(folder / "one")
    reserve = destination.reserve

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGTERM)
        reserve(*arguments)

    monkeypatch.setattr(destination, "reserve", interrupted)
    with pytest.raises(Ended), stop_on_signals(end):
        write(folder / "one", b"new and longer")

    assert (folder / "two").read_bytes() == b"new and longer"


def test_without_room_for_all_of_it_the_old_file_is_not_overwritten(folder, monkeypatch):
    (folder / "one").write_bytes(b"old")
    (folder / "two").hardlink_to(folder / "one")

    def full(descriptor, offset, size):
        os.ftruncate(descriptor, size - 1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError) as problem:
        write(folder / "one", b"new and longer")

    assert problem.value.filename == str(folder / "one")
    assert (folder / "two").read_bytes() == b"old"


def test_a_fifo_that_nobody_opens_is_an_error_in_the_end(folder):
    fifo = folder / "fifo"
    os.mkfifo(fifo)

    with pytest.raises(TimeoutError) as problem, OutputFile(str(fifo)).open(0.01):
        pass

    assert reason_of(problem.value) == (
        f"{fifo}: nobody has opened it for reading within 0.01 seconds"
    )


@pytest.mark.parametrize("kind", ["fifo", "terminal"])
def test_what_is_opened_and_nobody_reads_is_an_error_in_the_end(folder, kind):
    if kind == "fifo":
        name = str(folder / "fifo")
        os.mkfifo(name)
        ends = [os.open(name, os.O_RDONLY | os.O_NONBLOCK)]
    else:
        ends = list(pty.openpty())
        name = os.ttyname(ends[1])

    with pytest.raises(TimeoutError) as problem, OutputFile(name).open(0.01) as output:
        output.write(b"x" * 1_000_000)

    words = f"{name}: nothing could be written for 0.01 seconds (bytes written before: "
    assert reason_of(problem.value).startswith(words)
    for end in ends:
        os.close(end)


def test_a_fifo_is_written_to_and_stays(folder):
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    got = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()

    write(fifo)
    reader.join()

    assert got == [b"new"]
    assert fifo.is_fifo()


def test_a_device_is_written_to_and_stays():
    write(os.devnull)

    assert Path(os.devnull).is_char_device()


@needs_linux
def test_a_full_device_is_an_error_that_names_it():
    with pytest.raises(OSError) as problem:
        write("/dev/full")

    assert (problem.value.errno, problem.value.filename) == (errno.ENOSPC, "/dev/full")


@pytest.mark.parametrize("where", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/thread-self/fd/{}"])
def test_a_descriptor_goes_on_where_it_is(folder, where):
    file = folder / "file"
    with file.open("wb", buffering=0) as stream:
        name = where.format(stream.fileno())
        if not Path(name).exists():
            pytest.skip(f"there is no {name}")
        (folder / "link").symlink_to(name)
        stream.write(b"before, ")

        write(folder / "link")
        write(name, b", newer")
        stream.write(b", behind")

    assert file.read_bytes() == b"before, new, newer, behind"
    assert (folder / "link").is_symlink()


@needs_linux
@pytest.mark.parametrize("number", ["9999", "99999999999999999999999", "x"])
def test_a_descriptor_that_is_not_open_is_an_error(number):
    with pytest.raises(OSError, match="/dev/fd"):
        OutputFile(f"/dev/fd/{number}")
