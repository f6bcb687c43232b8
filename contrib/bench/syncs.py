"""What does it cost to synchronise a folder with a server, beside rclone?

Run from the checkout: ``python3 -m contrib.bench.syncs [--only ROW] [--rounds 3] [--quick] [--json
FILE]``.

2,000 files of 1 GB in 40 folders go to an empty server; then nothing has changed; then 1 % has,
bytes of the same number and a new time. Each figure is that of a process, as in `transfers`: CPU
time, wall time and highest resident set. "missed" are files that the server has not, or with other
bytes, at the end of that run. rclone is that of Debian, with its ``webdav`` backend; for a server
that keeps no times it compares sizes, unless it is told otherwise.

Rows: ``nginx``, whose WebDAV has no lists (so only this library can use it); ``webdav``, which is
``rclone serve webdav``. All is in memory if the system has /dev/shm.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from .server import (
    CHECKOUT,
    find_nginx,
    free_ports,
    running,
    temporary_site,
    wait_for,
)
from .transfers import LAUNCHER

MIB: Final = 1 << 20
FOLDERS: Final = 40
SIZES: Final = (1_000, 20_000, 100_000, 500_000, 500_000, 1_900_000)  # bytes, 1 GB in 2,000
CHANGED: Final = 100  # one of so many files changes
STEPS: Final = ("first", "unchanged", "1 % changed")
NGINX: Final = """
{user}daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
events {{ }}
http {{
  access_log off; client_max_body_size 0;
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  server {{
    listen 127.0.0.1:{port};
    root {root}/files;
    dav_methods PUT DELETE; create_full_put_path on;
  }}
}}
"""


class Cost(NamedTuple):
    """What one process has cost.

    Attributes:
        cpu: seconds.
        wall: seconds.
        rss: bytes.
        status: exit status.
        missed: files.

    """

    cpu: float
    wall: float
    rss: int
    status: int
    missed: int


class Served(NamedTuple):
    """A server that runs.

    Attributes:
        url: of the folder.
        kept: where it keeps the files.

    """

    url: str
    kept: Path


Serving = Callable[[Path], AbstractContextManager[Served]]


@contextmanager
def nginx(root: Path) -> Iterator[Served]:
    """Run nginx, which stores files and lists none."""
    (port,) = free_ports(1)
    kept = root / "files"
    kept.mkdir()
    config = root / "nginx.conf"
    user = "user root; " if os.geteuid() == 0 else ""
    config.write_text(NGINX.format(user=user, root=root, port=port))
    with running([find_nginx(), "-c", str(config), "-e", str(root / "error.log")]):
        wait_for(port)
        yield Served(f"http://127.0.0.1:{port}/", kept)


@contextmanager
def webdav(root: Path) -> Iterator[Served]:
    """Run ``rclone serve webdav``."""
    (port,) = free_ports(1)
    kept = root / "files"
    kept.mkdir()
    with running(["rclone", "serve", "webdav", "-q", str(kept), "--addr", f"127.0.0.1:{port}"]):
        wait_for(port)
        yield Served(f"http://127.0.0.1:{port}/", kept)


class Row(NamedTuple):
    """A kind of server, and the tools that can use it.

    Attributes:
        title: of the table.
        serving: runs it.
        tools: of each its name, and its words; ``{url}``, ``{root}`` and ``{record}`` are set.

    """

    title: str
    serving: Serving
    tools: dict[str, list[str]]


OURS: Final = [
    *(sys.executable, "-m", "dugong_like", "sync", "-q", "--delete"),
    *("--record", "{record}", "{root}", "{url}"),
]
RCLONE: Final = [
    *("rclone", "sync", "-q", "--config", "", "--transfers", "8", "--webdav-url", "{url}"),
    *("{root}", ":webdav:"),
]
ROWS: Final = {
    "nginx": Row("nginx, which lists no files", nginx, {"sync": OURS}),
    "webdav": Row("rclone serve webdav", webdav, {"sync": OURS, "rclone sync": RCLONE}),
}


def make_files(root: Path, count: int) -> None:
    """Make *count* files with times of the past."""
    source = random.Random(1)
    block = source.randbytes(2 * MIB)
    for number in range(count):
        path = root / str(number % FOLDERS) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        begin = source.randrange(4096)
        path.write_bytes(block[begin : begin + source.choice(SIZES)])
        os.utime(path, ns=(10**18 + number, 10**18 + number))


def change_files(root: Path, count: int, offset: int) -> None:
    """Change one byte of each `CHANGED` files, and their times."""
    for number in range(offset, count, CHANGED):
        path = root / str(number % FOLDERS) / str(number)
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(11 * 10**17 + number, 11 * 10**17 + number))


def missed(root: Path, kept: Path) -> int:
    """Return how many files of *root* are not in *kept*, or have other bytes there."""
    files = (path for path in root.rglob("*") if path.is_file())
    return sum(not _is_same(path, kept / path.relative_to(root)) for path in files)


def _is_same(path: Path, other: Path) -> bool:
    return other.is_file() and path.read_bytes() == other.read_bytes()


def measure(command: list[str], folder: Path) -> Cost:
    """Run *command* in *folder*, and return what it has cost."""
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    env["PYTHONPATH"] = str(CHECKOUT)
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    words = [sys.executable, "-S", "-E", "-c", LAUNCHER, *command]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=True)
    status, wall, cpu, rss = json.loads(done.stdout)
    return Cost(cpu, wall, rss * 1024, status, 0)


def run_row(row: Row, count: int, rounds: int) -> list[dict[str, Any]]:
    """Measure all tools of a row, print a table, and return the figures."""
    figures: dict[tuple[str, str], list[Cost]] = {}
    absent = [name for name, words in row.tools.items() if not shutil.which(words[0])]
    for _ in range(rounds):
        for name, words in row.tools.items():
            if name in absent:
                continue
            with temporary_site() as site:
                root, at = site.root / "source", site.root / "server"
                at.mkdir()
                make_files(root, count)
                with row.serving(at) as served:
                    places = {"url": served.url, "root": root, "record": site.root / "record"}
                    command = [word.format(**places) for word in words]
                    for step in STEPS:
                        if step == STEPS[-1]:
                            change_files(root, count, CHANGED // 2)
                        cost = measure(command, site.root)
                        cost = cost._replace(missed=missed(root, served.kept))
                        figures.setdefault((name, step), []).append(cost)
    print(f"\n{count:,} files: {row.title}")
    print(f"{'':26} {'CPU s':>7} {'wall s':>7} {'MiB':>6} {'missed':>6} {'exit':>5}")
    for (name, step), costs in figures.items():
        best = min(costs)
        worst = max(cost.missed for cost in costs)
        print(
            f"{f'{name}: {step}':26} {best.cpu:7.2f} {best.wall:7.2f} {best.rss / MIB:6.1f}"
            f" {worst:6} {best.status:5}"
        )
    if absent:
        print(f"not installed: {', '.join(absent)}")
    sys.stdout.flush()
    return [
        {"row": row.title, "tool": name, "step": step, "rounds": [cost._asdict() for cost in costs]}
        for (name, step), costs in figures.items()
    ]


def main() -> int:
    """Measure; exit status 1 if this library has missed a file."""
    parser = argparse.ArgumentParser(
        "python3 -m contrib.bench.syncs", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    options = parser.parse_args()
    results = []
    for name in options.only or ROWS:
        if name == "webdav" and not shutil.which("rclone"):
            print("\nnot installed: rclone, which is the server of the row webdav")
            continue
        results += run_row(ROWS[name], 100 if options.quick else 2_000, options.rounds)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))
    ours = [cost for each in results if each["tool"] == "sync" for cost in each["rounds"]]
    return int(any(cost["missed"] or cost["status"] for cost in ours))


if __name__ == "__main__":
    sys.exit(main())
