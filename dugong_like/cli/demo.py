"""``python3 -m dugong_like demo``: uploads and downloads files in several ways, and compares.

Not here: the ways themselves (demo_ways.py) and the server (demo_server.py).
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ..connection.connection import HTTPConnection
from ..errors import UnsupportedResponse
from ..http.request import BodyFollowing
from ..http.url import Origin
from .demo_server import demo_server
from .demo_ways import TIMEOUT, WAYS, Way
from .outcome import FAILED, SUCCESS
from .progress import Bar, progress_bar
from .standard import complain, print_output
from .stopping import signals_held, undone
from .urls import parse_url

PIECE: Final = 65536  # bytes
URL_TIMES: Final = 20  # downloads of --url in each way
CREATED: Final = 201


@dataclass
class Row:
    """One line of the table."""

    way: str
    files: int
    bytes: int
    seconds: float
    cpu_seconds: float
    wrong: list[str]


def demo(url: str | None, *, as_json: bool, files: int, seed: int, damage: bool) -> int:
    """Run the demo and print the results.

    Args:
        url: URL to download instead of the files of the demo, or None.
        as_json: True to print JSON instead of a table.
        files: number of files.
        seed: seed for the contents of the files.
        damage: True to make the server send a wrong byte.

    Returns:
        Exit status: 0, or 1 if a byte was different.

    Raises:
        DugongError: a transfer failed.
        OSError: the files or standard output cannot be written.

    """
    if url is not None:
        rows = list(_measure_url(url))
    else:
        with _folder() as folder:
            rows = _measure_files(folder, files, seed, damage=damage)
    text = json.dumps([asdict(row) for row in rows], indent=2) if as_json else _table(rows)
    wrong = [f"{row.way}: {path}" for row in rows for path in row.wrong]
    complain(*(f"different bytes: {line}" for line in wrong))
    print_output(f"{text}\n")
    return FAILED if wrong else SUCCESS


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a new folder, which is removed at the end, also by a signal."""
    with ExitStack() as stack:
        with signals_held():
            folder = TemporaryDirectory(prefix="dugong_like-", ignore_cleanup_errors=True)
            stack.enter_context(undone(folder.cleanup))
        yield Path(folder.name)


def make_files(folder: Path, count: int, seed: int) -> list[Path]:
    """Make *count* files of mixed sizes, from none to 4 MiB, and return their paths."""
    source = random.Random(seed)  # noqa: S311 - contents, not secrets
    block = source.randbytes(4 << 20)
    paths = []
    for number in range(count):
        size = (0, 1, 200, 1024, 5000, 16384, 70000, 300000)[number % 8]
        if number % 100 == 50:  # noqa: PLR2004 - a few large ones
            size = 4 << 20
        start = source.randrange(len(block) - size + 1)
        path = folder / f"{number % 10}" / f"file{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(block[start : start + size])
        paths.append(path)
    return paths


def _measure_files(folder: Path, count: int, seed: int, *, damage: bool) -> list[Row]:
    files = make_files(folder, count, seed)
    paths = ["/" + path.relative_to(folder).as_posix() for path in files]
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in files]
    total = sum(path.stat().st_size for path in files)
    with demo_server(paths[count // 2] if damage else None) as port:
        origin = Origin("http", "127.0.0.1", port)
        rows = []
        for name, chunked in (("upload, sized", False), ("upload, chunked", True)):
            with progress_bar(name, total) as bar:
                rows.append(_measure_upload(name, origin, files, paths, chunked=chunked, bar=bar))
        for name, way in WAYS.items():
            with progress_bar(name, total) as bar:
                rows.append(_measure(name, way, origin, paths, digests, bar))
    return rows


def _measure_url(url: str) -> Iterator[Row]:
    place = parse_url(url)
    digests: list[bytes] = []
    for name, way in WAYS.items():
        with progress_bar(name, None) as bar:
            yield _measure(name, way, place.origin, [place.target] * URL_TIMES, digests, bar)


def _measure_upload(
    name: str,
    origin: Origin,
    files: Sequence[Path],
    paths: Sequence[str],
    *,
    chunked: bool,
    bar: Bar,
) -> Row:
    start, cpu = time.perf_counter(), time.process_time()
    total = 0
    with HTTPConnection.to(origin, timeout=TIMEOUT) as conn:
        for file, path in zip(files, paths, strict=True):
            total += _upload(conn, file, path, chunked, bar)
    return Row(
        name,
        len(files),
        total,
        time.perf_counter() - start,
        time.process_time() - cpu,
        wrong=[],
    )


def _upload(conn: HTTPConnection, file: Path, path: str, chunked: bool, bar: Bar) -> int:
    size = file.stat().st_size
    conn.send_request("PUT", path, body=BodyFollowing(None if chunked else size))
    with file.open("rb") as source:
        while piece := source.read(PIECE):
            conn.write(piece)
            bar.update(len(piece))
    conn.finish()
    response = conn.read_response()
    conn.discard()
    if response.status != CREATED:
        raise UnsupportedResponse(f"{path}: {response.status} {response.reason}")
    return size


def _measure(
    name: str,
    way: Way,
    origin: Origin,
    paths: Sequence[str],
    digests: list[bytes],
    bar: Bar,
) -> Row:
    """Download in one way and compare; without *digests* the first body sets them."""
    row = Row(name, 0, 0, 0.0, 0.0, wrong=[])
    hashing = 0.0

    def got(number: int, body: bytes) -> None:
        nonlocal hashing
        start = time.process_time()
        digest = hashlib.sha256(body).digest()
        if not digests:
            digests.extend([digest] * len(paths))
        if digest != digests[number]:
            row.wrong.append(paths[number])
        row.files += 1
        row.bytes += len(body)
        bar.update(len(body))
        hashing += time.process_time() - start

    start, cpu = time.perf_counter(), time.process_time()
    way(origin, paths, got)
    row.seconds = time.perf_counter() - start
    row.cpu_seconds = max(time.process_time() - cpu - hashing, 0.0)
    if row.files != len(paths):
        row.wrong.append(f"{len(paths) - row.files} files are missing")
    return row


def _table(rows: Sequence[Row]) -> str:
    lines = [f"{'way':31} {'files/s':>8} {'MiB/s':>7} {'CPU':>8}   SHA-256"]
    for row in rows:
        seconds = max(row.seconds, 1e-9)
        verdict = "not read back yet" if row.way.startswith("upload") else "all equal"
        lines.append(
            f"{row.way:31} {row.files / seconds:8,.0f} {row.bytes / seconds / 2**20:7,.0f} "
            f"{row.cpu_seconds:6.2f} s   {'DIFFERENT' if row.wrong else verdict}",
        )
    lines.append("CPU is this process's, without hashing; the server is a process of its own.")
    return "\n".join(lines)
