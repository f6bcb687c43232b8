"""What do many small requests and large files cost, beside the tools that people use for them?

Run from the checkout: ``python3 -m contrib.bench.transfers [--only ROW] [--rounds 3] [--quick]
[--json FILE]``.

Each measurement is a process from its start to its end: CPU time (user and system) and the highest
resident set are those that the system tells of it (wait4), so that programs in any language can be
compared; the least of all rounds counts. What they have written is compared with what the server
has: "wrong" are files that are missing, or have other bytes. Tools that are not installed are named
and left out (Debian: curl, wget2, aria2, rclone); none has more than a minute. The servers are
nginx on loopback, and for what nginx does not do by itself `faulty_site`. All is in memory if the
system has /dev/shm.

Rows: ``gets`` and ``puts`` of 4 KiB; ``down`` and ``up``, one large file; ``closes``, a server that
ends each connection after 100 requests, or 1,000; ``faulty``, 5 % of 503 with Retry-After and 1 %
of bodies that break off; ``ranges``, a file over connections of 1 MB/s with 20 ms of delay.

Rows over a `link`: ``delays``, GETs with a round trip of 0, 20 and 100 ms; ``lossy``, GETs with 20
ms and 1 % of the packets lost each way, with BBR and with CUBIC; ``lossy_http2``, the same with
https; ``lossy_ranges``, one file with 20 ms, 1 % and CUBIC. There the seconds that pass count: the
median of 5 rounds, with the same seeds of the losses for each tool.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from .faulty_site import body_of
from .link import SERVER, link, obstacle
from .server import CHECKOUT, Site, running, temporary_site

GIB: Final = 1 << 30
MIB: Final = 1 << 20
RATE: Final = 1_000_000  # bytes a second of a slow connection
DELAY: Final = 0.02  # seconds
RETRIES: Final = "5"
CONNECTIONS: Final = 8
OVER_A_LINK: Final = 16  # connections
LOSS: Final = 0.01  # of the packets, each way
ONE_WAY: Final = 0.01  # seconds
ROUND_TRIPS: Final = (0, 20, 100)  # milliseconds
LINK_ROUNDS: Final = 5

MAP: Final = """
import sys
from dugong_like import Client, Retry
with Client(retry=Retry(5, budget=None), trust_env=False) as client:
    urls = open(sys.argv[1]).read().split()
    for item in client.map(urls, ordered=False, concurrency=int(sys.argv[2])):
        with open(item.given.rsplit("/", 1)[1], "wb") as file:
            file.write(item.response.content)
"""
MAP_ONLY: Final = """
import sys
from dugong_like import Client
with Client(trust_env=False) as client:
    urls = (line.strip() for line in open(sys.argv[1]))
    for item in client.map(urls, concurrency=int(sys.argv[2])):
        assert len(item.response.content) == 4096
"""
MAP_TLS: Final = """
import sys
from dugong_like import Client
options = {"concurrency": int(sys.argv[2]), "ordered": False}
with Client(verify=sys.argv[3], versions=sys.argv[4:], trust_env=False) as client:
    for item in client.map(open(sys.argv[1]).read().split(), **options):
        with open(item.given.rsplit("/", 1)[1], "wb") as file:
            file.write(item.response.content)
"""
MAP_PUT: Final = """
import os, sys
from dugong_like import Client
with Client(trust_env=False) as client:
    def put(name):
        with open(name, "rb") as file:
            return client.build_request("PUT", sys.argv[1], content=file.read())
    for item in client.map(map(put, sorted(os.listdir()))):
        assert item.response.status_code in (200, 201)
"""
DOWNLOAD: Final = """
import sys, dugong_like
dugong_like.download(sys.argv[1], "file", ranges=int(sys.argv[2]), fsync=False)
"""
# A process begins with the peak of its parent, so that is a small one: the least figure is 8 MiB.
LAUNCHER: Final = """
import os, signal, sys, time
begun = time.perf_counter()
null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
null += [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
signal.alarm(60)
_, status, usage = os.wait4(pid, 0)
wall = time.perf_counter() - begun
status = os.waitstatus_to_exitcode(status)
print([status, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss])
"""
UPLOAD: Final = """
import sys, dugong_like
dugong_like.upload(sys.argv[1], sys.argv[2])
"""


class Cost(NamedTuple):
    """What one process has cost.

    Attributes:
        cpu: seconds.
        wall: seconds.
        rss: bytes.
        status: exit status.
        wrong: files.
        note: what the server says.

    """

    cpu: float
    wall: float
    rss: int
    status: int
    wrong: int
    note: str = ""


Check = Callable[[Path], int]
Far = Callable[[int], AbstractContextManager[list[str]]]  # see `Bench._far`


class Bench:
    """Runs the rows.

    Args:
        site: nginx, which runs, and the sink.
        rounds: how often each tool is measured; None for 3 times, and 5 over a link.
        quick: True for little work.

    """

    def __init__(self, site: Site, rounds: int | None, quick: bool) -> None:
        self._site = site
        self._rounds = rounds
        self._quick = quick
        self._obstacle = obstacle("bbr")
        self.results: list[dict[str, Any]] = []

    def _many(self, count: int) -> int:
        return count // 20 if self._quick else count

    # ---- rows

    def gets(self) -> None:
        """Small files, by name."""
        count = self._many(10_000)
        self._make_files(count)
        base = f"http://127.0.0.1:{self._site.ports[0]}/files"
        only = _python(MAP_ONLY, "{list}", str(CONNECTIONS))
        tools = {"map, nothing stored": only, **_getting(base)}
        self._row(f"{count:,} GETs of 4 KiB", tools, base, count)

    def puts(self) -> None:
        """Small files to a server that throws them away."""
        count = self._many(5_000)
        url = f"http://127.0.0.1:{self._site.upload_ports[0]}/sink"
        with tempfile.TemporaryDirectory(dir=self._site.root) as name:
            folder = Path(name)
            for number in range(count):
                (folder / str(number)).write_bytes(body_of(number))
            listed = self._site.root / "puts"
            lines = [f'upload-file = "{folder}/{number}"\nurl = "{url}"' for number in range(count)]
            listed.write_text("\nnext\n".join(lines))
            tools = {
                "map": _python(MAP_PUT, url),
                "curl -Z": ["curl", "-s", "-Z", "-K", str(listed)],
            }
            self._measure(f"{count:,} PUTs of 4 KiB", tools, lambda _: 0, within=folder)

    def down(self) -> None:
        """One large file."""
        size = self._many(2 * GIB)
        self._site.make_large(size)
        url = f"http://127.0.0.1:{self._site.ports[0]}/large/{size}"
        tools = {
            "download": _python(DOWNLOAD, url, "1"),
            "get -o": [*_ours("get"), "-o", "file", url],
            "get -c -o": [*_ours("get"), "-c", "-o", "file", url],
            "curl -o": ["curl", "-s", "-o", "file", url],
            "wget2": ["wget2", "-q", "-O", "file", url],
            "aria2c": ["aria2c", "-q", "-x1", "-o", "file", url],
        }
        original = self._site.file(f"/large/{size}")
        self._measure(
            f"{size / GIB:g} GiB down", tools, lambda at: not _same(at / "file", original)
        )

    def up(self) -> None:
        """One large file."""
        size = self._many(2 * GIB)
        self._site.make_large(size)
        file = str(self._site.file(f"/large/{size}"))
        url = f"http://127.0.0.1:{self._site.upload_ports[0]}/sink"
        tools = {
            "upload": _python(UPLOAD, file, url),
            "put": [*_ours("put"), file, url],
            "curl -T": ["curl", "-s", "-T", file, url],
        }
        self._measure(f"{size / GIB:g} GiB up", tools, lambda _: 0)

    def closes(self) -> None:
        """A server that ends connections."""
        count = self._many(10_000)
        for number in (100, 1000):
            with self._faulty("--close", str(number)) as base:
                title = f"{count:,} GETs, closed after {number:,}"
                self._row(title, _getting(base), base, count, counted=True)

    def faulty(self) -> None:
        """A server that refuses, and breaks off."""
        count = self._many(2_000)
        with self._faulty("--refuse", "0.05", "--cut", "0.01") as base:
            title = f"{count:,} GETs, 5 % 503, 1 % cut"
            self._row(title, _getting(base), base, count, counted=True)

    def ranges(self) -> None:
        """A large file over a slow path."""
        size = self._many(16 * MIB)
        with self._faulty("--delay", str(DELAY), "--rate", str(RATE)) as base:
            url = f"{base}/1/{size}"
            original = self._site.root / "original"
            original.write_bytes(body_of(1, size))
            title = f"{size / MIB:g} MiB at 1 MB/s a connection"
            self._measure(title, _getting_one(url), lambda at: not _same(at / "file", original))

    # ---- rows over a link

    def delays(self) -> None:
        """Small files from far away."""
        count = self._many(2_000)
        for milliseconds in ROUND_TRIPS:
            far = self._far(milliseconds / 2000)
            self._far_row(f"{count:,} GETs of 4 KiB, {milliseconds} ms", count, far)

    def lossy(self) -> None:
        """Small files over a path that loses packets."""
        count = self._many(2_000)
        for congestion in ("bbr", "cubic"):
            title = f"{count:,} GETs of 4 KiB, 20 ms, 1 % lost, {congestion.upper()}"
            self._far_row(title, count, self._far(ONE_WAY, LOSS, congestion))

    def lossy_http2(self) -> None:
        """The same with https."""
        count = self._many(2_000)
        base = f"https://{SERVER}:{self._site.http2_ports[1]}/files"
        authority = str(self._site.root / "ca.pem")
        tools = {
            f"map, {version}, {connections}": _python(
                MAP_TLS, "{list}", str(connections), authority, version
            )
            for version, connections in (("h2", 1), ("h2", OVER_A_LINK), ("http/1.1", OVER_A_LINK))
        }
        for congestion in ("bbr", "cubic"):
            title = f"{count:,} GETs of 4 KiB, https, 20 ms, 1 % lost, {congestion.upper()}"
            self._far_row(title, count, self._far(ONE_WAY, LOSS, congestion), base, tools)

    def lossy_ranges(self) -> None:
        """A large file over a path that loses packets."""
        size = self._many(16 * MIB)
        self._site.make_large(size)
        url = f"http://{SERVER}:{self._site.ports[0]}/large/{size}"
        original = self._site.file(f"/large/{size}")
        self._measure(
            f"{size / MIB:g} MiB, 20 ms, 1 % lost, CUBIC",
            _getting_one(url),
            lambda at: not _same(at / "file", original),
            far=self._far(ONE_WAY, LOSS, "cubic"),
        )

    # ---- what they are made of

    def _far(self, delay: float, loss: float = 0.0, congestion: str | None = None) -> Far:
        """Return what runs a link with nginx at its far end, and gives the words of its near end.

        It is called with the seed of the losses.
        """

        @contextmanager
        def far(seed: int) -> Iterator[list[str]]:
            with (
                link(delay, loss, congestion=congestion, seed=seed) as ends,
                self._site.nginx(host=SERVER, before=ends.at_server),
            ):
                yield ends.at_client

        return far

    def _far_row(
        self,
        title: str,
        count: int,
        far: Far,
        base: str | None = None,
        tools: dict[str, list[str]] | None = None,
    ) -> None:
        """Have tools get small files over a link."""
        self._make_files(count)
        base = base or f"http://{SERVER}:{self._site.ports[0]}/files"
        if tools is None:
            only = _python(MAP_ONLY, "{list}", str(OVER_A_LINK))
            tools = {"map, in order, nothing stored": only, **_getting(base, OVER_A_LINK)}
            del tools["get -i"]  # has no number of connections
        self._row(title, tools, base, count, far=far)

    def _make_files(self, count: int) -> None:
        """Have nginx serve so many small files."""
        folder = self._site.root / "www" / "files"
        folder.mkdir(exist_ok=True)
        for number in range(count):
            if not (file := folder / str(number)).exists():
                file.write_bytes(body_of(number))

    @contextmanager
    def _faulty(self, *options: str) -> Iterator[str]:
        """Run `faulty_site`; yield the beginning of its URLs."""
        with running([sys.executable, "-m", "contrib.bench.faulty_site", *options]) as process:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"

    def _row(
        self,
        title: str,
        tools: dict[str, list[str]],
        base: str,
        count: int,
        *,
        counted: bool = False,
        far: Far | None = None,
    ) -> None:
        """Have each of *tools* get *count* files below *base*."""
        listed = self._site.root / "list"
        listed.write_text("".join(f"{base}/{number}\n" for number in range(count)))
        config = self._site.root / "config"
        config.write_text("".join(
            f'url = "{base}/{number}"\noutput = "{number}"\n' for number in range(count)
        ))  # fmt: skip
        names = self._site.root / "names"
        names.write_text("".join(f"{number}\n" for number in range(count)))
        places = {"{list}": str(listed), "{config}": str(config), "{names}": str(names)}
        tools = {
            name: [places.get(word, word) for word in command] for name, command in tools.items()
        }

        def check(folder: Path) -> int:
            return sum(not _has(folder / str(number), body_of(number)) for number in range(count))

        self._measure(title, tools, check, counts=f"{base}/counts" if counted else None, far=far)

    def _measure(
        self,
        title: str,
        tools: dict[str, list[str]],
        check: Check,
        *,
        within: Path | None = None,
        counts: str | None = None,
        far: Far | None = None,
    ) -> None:
        """Run *tools* in turns, over a link if *far* is given, and print a table."""
        if far is not None and self._obstacle is not None:
            print(f"\n{title}\nleft out, as there is no link: {self._obstacle}")
            return
        missing = [name for name, command in tools.items() if not shutil.which(command[0])]
        costs: dict[str, list[Cost]] = {name: [] for name in tools if name not in missing}
        for seed in range(self._rounds or (3 if far is None else LINK_ROUNDS)):
            for name, measured in costs.items():
                before = _counts(counts)
                with ExitStack() as stack:
                    folder = within or Path(
                        stack.enter_context(tempfile.TemporaryDirectory(dir=self._site.root))
                    )
                    words = stack.enter_context(far(seed)) if far is not None else []
                    cost = _run(tools[name], folder, words)
                    stores = "nothing stored" not in name
                    cost = cost._replace(wrong=int(check(folder)) if stores else 0)
                if counts is not None:
                    cost = cost._replace(note=_told(before, _counts(counts)))
                measured.append(cost)
        print(f"\n{title}\n{'':32} {'CPU s':>7} {'wall s':>7} {'MiB':>6} {'wrong':>6} {'exit':>5}")
        for name, rounds in costs.items():
            best = min(rounds) if far is None else _median(rounds)
            worst = max(cost.wrong for cost in rounds)
            print(
                f"{name:32} {best.cpu:7.2f} {best.wall:7.2f} {best.rss / MIB:6.1f} {worst:6}"
                f" {best.status:5}  {best.note}{'' if far is None else _spread(rounds)}"
            )
            figures = [cost._asdict() for cost in rounds]
            self.results.append({"row": title, "tool": name, "rounds": figures})
        if missing:
            print(f"not installed: {', '.join(missing)}")
        sys.stdout.flush()


def _ours(command: str) -> list[str]:
    return [sys.executable, "-m", "dugong_like", command, "-q"]


def _python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


def _getting(base: str, connections: int = CONNECTIONS) -> dict[str, list[str]]:
    """Return the tools that get files by a list of names."""
    number = str(connections)
    return {
        "map": _python(MAP, "{list}", number),
        "get -i": [*_ours("get"), "--retry", RETRIES, "-i", "{list}"],
        "curl -Z": [
            *("curl", "-s", "-Z", "--fail", "--retry", RETRIES, "--retry-all-errors"),
            *("--parallel-max", number) * (connections != CONNECTIONS),
            *("-K", "{config}"),
        ],
        "wget2": [
            *("wget2", "-q", "--tries", RETRIES, "-i", "{list}"),
            *("--max-threads", number) * (connections != CONNECTIONS),
        ],
        "aria2c": ["aria2c", "-q", "-j", number, "--max-tries", RETRIES, "-i", "{list}"],
        "rclone": [
            *("rclone", "copy", "-q", "--transfers", number, "--no-traverse", "--http-url", base),
            *("--http-no-head", "--files-from", "{names}", ":http:", "."),  # as all others
        ],
    }


def _getting_one(url: str) -> dict[str, list[str]]:
    """Return the tools that get one large file."""
    return {
        "download(ranges=8)": _python(DOWNLOAD, url, "8"),
        "download": _python(DOWNLOAD, url, "1"),
        "curl": ["curl", "-s", "-o", "file", url],
        "aria2c -x8": ["aria2c", "-q", "-x8", "-s8", "-k1M", "-o", "file", url],
    }


def _median(rounds: list[Cost]) -> Cost:
    """Return the one with the median of the seconds that have passed."""
    wall = statistics.median_low(cost.wall for cost in rounds)
    return next(cost for cost in rounds if cost.wall == wall)


def _spread(rounds: list[Cost]) -> str:
    walls = [cost.wall for cost in rounds]
    return f"wall {min(walls):.2f} to {max(walls):.2f}"


def _run(command: list[str], folder: Path, before: Sequence[str] = ()) -> Cost:
    """Run *command* in *folder*, and return what it has cost.

    Args:
        command: words.
        folder: where its files go.
        before: words that have it run somewhere else; they are not measured.

    """
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    env["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), *filter(None, [env.get("PYTHONPATH")])])
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [*before, sys.executable, "-S", "-E", "-c", LAUNCHER, *command],
        cwd=folder, env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    status, wall, cpu, rss = json.loads(done.stdout)
    return Cost(cpu, wall, rss * 1024, status, 0)


def _has(path: Path, body: bytes) -> bool:
    return path.is_file() and path.read_bytes() == body


def _same(path: Path, other: Path) -> bool:
    """Return True if both files have the same bytes."""
    if not path.is_file() or path.stat().st_size != other.stat().st_size:
        return False
    with path.open("rb") as first, other.open("rb") as second:
        while data := first.read(MIB):
            if data != second.read(MIB):
                return False
    return True


def _counts(url: str | None) -> dict[str, int]:
    if url is None:
        return {}
    with urllib.request.urlopen(url) as response:
        counts: dict[str, int] = json.load(response)
        return counts


def _told(before: dict[str, int], after: dict[str, int]) -> str:
    """Return what a server has counted in between."""
    found = {name: count - before.get(name, 0) for name, count in after.items()}
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items()) if count)


ROWS: Final = (
    *("gets", "puts", "down", "up", "closes", "faulty", "ranges"),
    *("delays", "lossy", "lossy_http2", "lossy_ranges"),
)


def main() -> int:
    """Measure; exit status 1 if this library has lost a file."""
    parser = argparse.ArgumentParser(
        "python3 -m contrib.bench.transfers", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW")
    parser.add_argument("--rounds", type=int, help="by default 3, and 5 over a link")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    options = parser.parse_args()
    with temporary_site() as site, site.sink(), site.nginx():
        bench = Bench(site, options.rounds, options.quick)
        for row in options.only or ROWS:
            getattr(bench, row)()
    if options.json:
        Path(options.json).write_text(json.dumps(bench.results, indent=1))
    ours = [result for result in bench.results if _is_ours(result["tool"])]
    return int(any(cost["wrong"] or cost["status"] for each in ours for cost in each["rounds"]))


def _is_ours(tool: str) -> bool:
    return tool.split(maxsplit=1)[0].rstrip(",") in {"map", "get", "put", "download", "upload"} or (
        tool.startswith("download(")
    )


if __name__ == "__main__":
    sys.exit(main())
