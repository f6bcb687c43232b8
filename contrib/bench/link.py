"""A path with delay and loss between two programs of one machine, for measurements over it.

Two network namespaces have a TUN device each, and one process holds the descriptors of both and
carries each packet from one to the other: later, at a rate, or not at all. That needs no module of
the kernel that a machine may lack (netem is one), and which packets are lost is up to a seed.
Everything is inside of the namespaces. It is gone when the process is, and that ends with the one
that has started it.

::

    with link(delay=0.01, loss=0.01) as path:  # seconds one way, share of the packets each way
        server = subprocess.Popen([*path.at_server, "nginx", ...])
        subprocess.run([*path.at_client, "curl", f"http://{SERVER}:8080/"])

Linux only. Needs /dev/net/tun, nsenter (util-linux) and the right to make namespaces, be it as a
user; `obstacle` says what is missing. A packet has up to 1,500 bytes: no device puts several into
one. Carrying one takes about 15 µs of a core.

Not here: what is measured (transfers.py).
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import random
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

CHECKOUT: Final = Path(__file__).resolve().parents[2]
CLIENT: Final = "10.99.0.1"
SERVER: Final = "10.99.0.2"
TUN: Final = "/dev/net/tun"
MTU: Final = 1500  # bytes
QUEUE: Final = 1000  # packets that wait for their turn, as those of most devices of Linux
ENOUGH: Final = 10_000  # packets that a device holds until they are read: none may be lost there
BATCH: Final = 64  # packets of one direction that are read before those of the other
PRIORITY: Final = -10  # if that is permitted: it would add a delay that the link does not have
SETTINGS: Final = {
    "ipv6/conf/all/disable_ipv6": "1",  # packets of the system's own would change what is lost
    "ipv4/tcp_no_metrics_save": "1",  # no connection begins with what an earlier one has met
}

DEVICE: Final = b"link0"
CLONE_NEWUSER: Final = 0x10000000  # <linux/sched.h>
CLONE_NEWNET: Final = 0x40000000
TUNSETIFF: Final = 0x400454CA  # <linux/if_tun.h>
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
IFF_UP: Final = 1  # <linux/if.h>
SIOCSIFFLAGS: Final = 0x8914  # <linux/sockios.h>
SIOCSIFADDR: Final = 0x8916
SIOCSIFNETMASK: Final = 0x891C
SIOCSIFMTU: Final = 0x8922
SIOCSIFTXQLEN: Final = 0x8943
RTM_NEWROUTE: Final = 24  # <linux/rtnetlink.h>
NEW_ROUTE_FLAGS: Final = 0x1 | 0x4 | 0x100 | 0x400  # request, acknowledge, replace, create
ROUTE: Final = (254, 4, 253, 1)  # main table, static, of a link, unicast
RTA_DST, RTA_OIF, RTA_METRICS, RTAX_CC_ALGO = 1, 4, 8, 16


class Line:
    """One direction of a link.

    Args:
        delay: of each packet, in seconds.
        loss: share of the packets that are lost, from 0 to 1.
        rate: bytes a second; None for any number.
        queue: packets that may wait for their turn if there is a rate.
        seed: of the losses.

    Attributes:
        carried: packets that have arrived.
        lost: packets that have not, by chance.
        dropped: packets for which the queue had no room.

    """

    def __init__(
        self,
        delay: float,
        loss: float = 0.0,
        rate: float | None = None,
        queue: int = QUEUE,
        seed: object = 1,
    ) -> None:
        self.carried = self.lost = self.dropped = 0
        self._delay = delay
        self._loss = loss
        self._rate = rate
        self._queue = queue
        self._chance = random.Random(str(seed)).random
        self._waiting: deque[float] = deque()  # when each of these is sent
        self._under_way: deque[tuple[float, bytes]] = deque()  # with the time of arrival

    def put(self, packet: bytes, now: float) -> None:
        """Take *packet* at the time *now*, in seconds."""
        if self._rate is not None:
            waiting = self._waiting
            while waiting and waiting[0] <= now:
                waiting.popleft()
            if len(waiting) >= self._queue:
                self.dropped += 1
                return
            now = (waiting[-1] if waiting else now) + len(packet) / self._rate
            waiting.append(now)
        if self._chance() < self._loss:
            self.lost += 1
        else:
            self._under_way.append((now + self._delay, packet))

    def take(self, now: float) -> bytes | None:
        """Return the next packet that has arrived at the time *now*; None if there is none yet."""
        if not self._under_way or self._under_way[0][0] > now:
            return None
        self.carried += 1
        return self._under_way.popleft()[1]

    def next_arrival(self) -> float | None:
        """Return when the next packet arrives, in seconds; None if there is none."""
        return self._under_way[0][0] if self._under_way else None


class Carrier:
    """Carries packets between two devices.

    Args:
        devices: two descriptors that do not block.
        lines: from the first to the second, and back.
        clock: returns the time in seconds.

    """

    def __init__(
        self,
        devices: tuple[int, int],
        lines: tuple[Line, Line],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ways = list(zip(devices, devices[::-1], lines, strict=True))
        self._clock = clock

    def timeout(self) -> float | None:
        """Return the seconds until a packet arrives; None if there is none."""
        times = [line.next_arrival() for _, _, line in self._ways]
        first = min((at for at in times if at is not None), default=None)
        return None if first is None else max(first - self._clock(), 0)

    def step(self) -> None:
        """Take what was sent, and deliver what has arrived."""
        for source, target, line in self._ways:
            now = self._clock()
            with suppress(BlockingIOError):
                for _ in range(BATCH):
                    line.put(os.read(source, MTU), now)
            while (packet := line.take(now)) is not None:
                os.write(target, packet)

    def run(self, until: int) -> None:
        """Do that until the descriptor *until* is readable."""
        devices = [source for source, _, _ in self._ways]
        while until not in select.select([*devices, until], [], [], self.timeout())[0]:
            self.step()


class Ends(NamedTuple):
    """A link that runs.

    Attributes:
        at_client: words before a command that is to run at the one end, `CLIENT`.
        at_server: the same for the other, `SERVER`.

    """

    at_client: list[str]
    at_server: list[str]


def obstacle(congestion: str | None = None) -> str | None:
    """Return why there can be no link here, of that congestion control; None if there can."""
    if not sys.platform.startswith("linux"):
        return "not Linux"
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} is missing, or not for this user"
    if shutil.which("nsenter") is None:
        return "nsenter is not installed (Debian: util-linux)"
    command = [sys.executable, "-m", "contrib.bench.link", "--check"]
    if congestion is not None:
        command.append(f"--congestion={congestion}")
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2]


@contextmanager
def link(
    delay: float,
    loss: float = 0.0,
    *,
    rate: float | None = None,
    queue: int = QUEUE,
    congestion: str | None = None,
    seed: int = 1,
) -> Iterator[Ends]:
    """Run a link until the block ends.

    Args:
        delay: one way, in seconds.
        loss: share of the packets each way, from 0 to 1.
        rate: bytes a second each way; None for any number.
        queue: packets that wait for their turn if there is a rate.
        congestion: how TCP finds its rate ("cubic", "bbr"), at both ends; None for what the system
            does by itself.
        seed: of the losses.

    """
    options = {"delay": delay, "loss": loss, "rate": rate, "queue": queue, "seed": seed}
    options["congestion"] = congestion
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    command = [sys.executable, "-m", "contrib.bench.link", *words]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise OSError(f"there is no link: {obstacle(congestion)}")
        numbers = json.loads(line)
        yield Ends(*(_entering(process.pid, number) for number in numbers))


def _entering(pid: int, number: int) -> list[str]:
    """Return the words that have a command run in the namespace of a descriptor of a process."""
    words = ["nsenter", f"--net=/proc/{pid}/fd/{number}"]
    if not _is_root():
        words += [f"--user=/proc/{pid}/ns/user", "--preserve-credentials"]
    return [*words, "--"]


# ---- the process that carries


def _is_root() -> bool:
    return os.geteuid() == 0


def _enter_new(flags: int) -> None:
    """Enter new namespaces."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"no namespaces here: {os.strerror(error)}")


def _enter_user_namespace() -> None:
    """Become one who may make network namespaces, and stay the same user."""
    user, group = os.geteuid(), os.getegid()
    _enter_new(CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _make_end(address: str, other: str, congestion: str | None) -> tuple[int, int]:
    """Enter a new namespace, and return descriptors of it and of its device."""
    _enter_new(CLONE_NEWNET)
    for name, value in SETTINGS.items():
        with suppress(FileNotFoundError):
            Path("/proc/sys/net", name).write_text(value)
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
    device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE, IFF_TUN | IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for call, value in (
            (SIOCSIFMTU, struct.pack("i", MTU)),
            (SIOCSIFTXQLEN, struct.pack("i", ENOUGH)),
            (SIOCSIFADDR, _internet_address(address)),
            (SIOCSIFNETMASK, _internet_address("255.255.255.252")),
            (SIOCSIFFLAGS, struct.pack("h", IFF_UP)),
        ):
            fcntl.ioctl(sock, call, struct.pack("16s24s", DEVICE, value))
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
    if congestion is not None:
        _set_congestion(other, congestion)
    return namespace, device


def _internet_address(address: str) -> bytes:
    return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address))


def _set_congestion(other: str, name: str) -> None:
    """Have all connections with *other* use this congestion control.

    It belongs to the route: the setting of a namespace is only for what the system lets anybody
    choose.
    """
    metrics = _attribute(RTAX_CC_ALGO, name.encode() + b"\0")
    index = struct.pack("i", socket.if_nametoindex(DEVICE.decode()))
    body = struct.pack("8BI", socket.AF_INET, 32, 0, 0, *ROUTE, 0)
    body += _attribute(RTA_DST, socket.inet_aton(other)) + _attribute(RTA_OIF, index)
    body += _attribute(RTA_METRICS, metrics)
    head = struct.pack("IHHII", 16 + len(body), RTM_NEWROUTE, NEW_ROUTE_FLAGS, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as sock:
        sock.send(head + body)
        (error,) = struct.unpack_from("i", sock.recv(4096), 16)
    if error:
        raise OSError(-error, f"no congestion control {name}: {os.strerror(-error)}")


def _attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute of a routing message."""
    return struct.pack("HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def main() -> None:
    """Be a link until nothing holds the standard input."""
    parser = argparse.ArgumentParser("python3 -m contrib.bench.link")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--loss", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--rate", type=float, metavar="BYTES")
    parser.add_argument("--queue", type=int, default=QUEUE, metavar="PACKETS")
    parser.add_argument("--congestion", metavar="NAME")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="only make both ends")
    options = parser.parse_args()
    if not _is_root():
        _enter_user_namespace()
    client, first = _make_end(CLIENT, SERVER, options.congestion)
    server, second = _make_end(SERVER, CLIENT, options.congestion)
    if options.check:
        return
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    up, down = (
        Line(options.delay, options.loss, options.rate, options.queue, (options.seed, name))
        for name in ("up", "down")
    )
    print(json.dumps([client, server]), flush=True)
    Carrier((first, second), (up, down)).run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
