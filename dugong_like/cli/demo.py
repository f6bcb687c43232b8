"""``python3 -m dugong_like demo``: uploads and downloads files in several ways, and compares.

Unless a number of files is asked for, each way has a certain time, and as many files as it gets
done: so the demo takes about as long on any computer.

Not here: the ways themselves (demo_ways.py), the server (demo_server.py), and the chart
(demo_chart.py).
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from ..connection.connection import HTTPConnection
from ..errors import UnsupportedResponse
from ..http.request import BodyFollowing
from ..http.url import Origin
from .demo_chart import Row, chart
from .demo_link import ROUND_TRIP
from .demo_server import demo_server
from .demo_ways import FAR, HTTP_2, TIMEOUT, WAYS, Way
from .options import FILES
from .outcome import FAILED, SUCCESS
from .progress import Bar, progress_bar
from .standard import complain, print_output
from .stopping import signals_held, undone
from .urls import parse_url

PIECE: Final = 65536  # bytes
URL_TIMES: Final = 20  # downloads of --url in each way
CREATED: Final = 201
# Seconds for each way at most. Files that were begun in time are finished, and nothing is measured
# for less than the least time: a computer that is slow, or busy, takes a little longer for all.
UPLOAD_TIME: Final = 0.7
NEAR_TIME: Final = 0.3
FAR_TIME: Final = 0.4
LEAST_TIME: Final = 0.05
ALL_TIME: Final = 7.0
SMALL: Final = 16384  # bytes of a file at most for which the delay of a link counts, not its speed
UPLOADS: Final = {"upload, sized": False, "upload, chunked": True}  # are they chunked?
NEAR: Final = "on this computer"
FAR_AWAY: Final = f"over a link with a round trip of {ROUND_TRIP * 1000:.0f} ms, small files"


class Clock:
    """Shares the time for the demo out among the ways that follow.

    Args:
        is_limited: False for no limits.
        ways: how many there will be.

    """

    def __init__(self, *, is_limited: bool, ways: int) -> None:
        self._is_limited = is_limited
        self._ways = ways
        self._end = time.monotonic() + ALL_TIME

    def time_for(self, most: float, *, always: bool = False) -> float:
        """Return the seconds for the next way.

        Args:
            most: seconds.
            always: True to limit it also if there are no limits.

        """
        share = (self._end - time.monotonic()) / max(self._ways, 1)
        self._ways -= 1
        if not self._is_limited:
            return most if always else math.inf
        return max(min(most, share), LEAST_TIME)


class Limited:
    """Gives numbers and paths until there are no more, or the time is over.

    Args:
        paths: of files.
        seconds: from the first one on; infinity for no limit.

    Attributes:
        paths: as given.
        taken: how many of them it has given.

    """

    def __init__(self, paths: Sequence[str], seconds: float) -> None:
        self.paths = paths
        self._end = time.monotonic() + seconds
        self.taken = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[int, str]:
        """Return the next number and path; there is always a first one."""
        number = self.taken
        if number >= len(self.paths) or (number and time.monotonic() > self._end):
            raise StopIteration
        self.taken += 1
        return number, self.paths[number]


def demo(url: str | None, *, as_json: bool, files: int | None, seed: int, damage: bool) -> int:
    """Run the demo and print the results.

    Args:
        url: URL to download instead of the files of the demo, or None.
        as_json: True to print JSON instead of a chart.
        files: number of files, all of which are transferred in each way that uses the near port;
            None for as many as there is time for.
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
    text = json.dumps([asdict(row) for row in rows], indent=2) if as_json else chart(rows)
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


def _measure_files(folder: Path, count: int | None, seed: int, *, damage: bool) -> list[Row]:
    near_ways = {**WAYS, **HTTP_2}
    far_ways = {name: near_ways[name] for name in (*FAR, *HTTP_2)}
    clock = Clock(is_limited=count is None, ways=len(UPLOADS) + len(near_ways) + len(far_ways))
    files = make_files(folder, count or FILES, seed)
    names = [f"/{path.relative_to(folder).as_posix()}" for path in files]
    # Bytes, if it is known how many there will be.
    total = None if count is None else sum(file.stat().st_size for file in files)
    rows: list[Row] = []
    with demo_server(names[(count or 8) // 2] if damage else None) as ports:
        near, far = (Origin("http", "127.0.0.1", port) for port in ports)
        for name, chunked in UPLOADS.items():
            work = Limited(names, clock.time_for(UPLOAD_TIME))
            rows.append(_measure_upload(name, near, files, work, total, chunked=chunked))
        uploaded = dict(zip(names, files, strict=True))
        for name in names[max(row.files for row in rows) :]:
            del uploaded[name]
        digests = {
            name: hashlib.sha256(file.read_bytes()).digest() for name, file in uploaded.items()
        }
        small = [name for name, file in uploaded.items() if file.stat().st_size <= SMALL]
        for name, way in near_ways.items():
            _begin(way, near, names)
            work = Limited(list(digests), clock.time_for(NEAR_TIME))
            rows.append(_measure(NEAR, name, way, near, work, digests, total))
        for name, way in far_ways.items():
            work = Limited(small, clock.time_for(FAR_TIME, always=True))
            rows.append(_measure(FAR_AWAY, name, way, far, work, digests))
    return rows


def _begin(way: Way, origin: Origin, names: Sequence[str]) -> None:
    """Have imported what *way* needs, which is not measured."""
    way(origin, iter([(0, names[0])]), lambda _, __: None)


def _measure_url(url: str) -> Iterator[Row]:
    place = parse_url(url, "none are sent")
    digests: dict[str, bytes] = {}
    for name, way in WAYS.items():
        work = Limited([place.target] * URL_TIMES, math.inf)
        yield _measure("", name, way, place.origin, work, digests)


def _measure_upload(
    name: str,
    origin: Origin,
    files: Sequence[Path],
    work: Limited,
    total: int | None,
    *,
    chunked: bool,
) -> Row:
    row = Row(NEAR, name)
    start, cpu = time.perf_counter(), time.process_time()
    with (
        progress_bar(name, total) as bar,
        HTTPConnection.to(origin, timeout=TIMEOUT) as conn,
    ):
        for number, path in work:
            row.bytes += _upload(conn, files[number], path, chunked, bar)
    row.files = work.taken
    row.seconds, row.cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return row


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
    link: str,
    name: str,
    way: Way,
    origin: Origin,
    work: Limited,
    digests: dict[str, bytes],
    total: int | None = None,
) -> Row:
    """Download in one way and compare; a path without a digest gets that of the first body."""
    row = Row(link, name)
    hashing = 0.0
    paths = work.paths

    def got(number: int, body: bytes) -> None:
        nonlocal hashing
        start = time.process_time()
        path = paths[number]
        digest = hashlib.sha256(body).digest()
        if digest != digests.setdefault(path, digest):
            row.wrong.append(path)
        row.files += 1
        row.bytes += len(body)
        bar.update(len(body))
        hashing += time.process_time() - start

    with progress_bar(name, total) as bar:
        start, cpu = time.perf_counter(), time.process_time()
        way(origin, work, got)
        row.seconds = time.perf_counter() - start
        row.cpu_seconds = max(time.process_time() - cpu - hashing, 0.0)
    if row.files != work.taken:
        row.wrong.append(f"{work.taken - row.files} files are missing")
    return row
