"""Host names to addresses, without blocking.

The system's resolver blocks, so it is called in a helper thread, and a `Wake` tells
when it has answered. The threads are few, daemonic, and end when nobody asks.

Not here: connecting to the addresses (tcp.py).
"""

from __future__ import annotations

import functools
import os
import queue
import socket
import threading
from collections.abc import Sequence
from typing import Final

from ..errors import DNSUnavailable, HostnameNotResolvable
from ..polling import Co, Wake
from .tcp import Address

MAX_THREADS: Final = 8  # questions that are asked at the same time
IDLE_TIME: Final = 10  # seconds after which a helper thread without questions ends

NO_SUCH_NAME: Final = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
}


def co_resolve(host: str, port: int, test_hostnames: Sequence[str] = ()) -> Co[list[Address]]:
    """Look up the addresses of *host*.

    Args:
        host: name or IP address.
        port: port number, put into each address.
        test_hostnames: names to look up if *host* is said not to exist. If none of
            them exists either, the name service is taken to be out of order.

    Returns:
        Family and socket address of each, in the order of the system (RFC 6724); at
        least one.

    Raises:
        HostnameNotResolvable: there is no such name, or it has no address.
        DNSUnavailable: the name service did not answer.

    """
    if is_address(host):
        try:
            return look_up(host, port)  # asks nobody
        except socket.gaierror as exc:  # its scope does not exist
            raise HostnameNotResolvable(f"{host} cannot be used: {exc.strerror}") from exc
        except OSError as exc:  # there are no descriptors left, not even to load a codec
            raise DNSUnavailable(f"cannot look up {host}: {exc.strerror}") from exc
    answer = yield from _co_ask(host, port)
    if isinstance(answer, list):
        return answer
    if answer.errno not in NO_SUCH_NAME:
        raise DNSUnavailable(f"cannot look up {host}: {answer.strerror}") from answer
    for name in test_hostnames:
        if isinstance((yield from _co_ask(name, port)), list):
            break
    else:
        if test_hostnames:
            raise DNSUnavailable(f"neither {host} nor a test name can be looked up") from answer
    raise HostnameNotResolvable(f"{host} does not exist: {answer.strerror}") from answer


def is_address(host: str) -> bool:
    """Return True if *host* is an IPv4 or IPv6 address, perhaps with a scope."""
    for family, text in ((socket.AF_INET, host), (socket.AF_INET6, host.partition("%")[0])):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


@functools.lru_cache(maxsize=128)
def literal(host: str, port: int) -> Address | None:
    """Return the address that *host* is; None if it is a name, or has a scope.

    A scope is looked up as names are: its number may change.
    """
    for family, rest in ((socket.AF_INET, ()), (socket.AF_INET6, (0, 0))):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return family, (host, port, *rest)
    return None


def look_up(host: str, port: int) -> list[Address]:
    """Ask the system, blocking.

    Raises:
        socket.gaierror: there is no answer, or it is no.
        OSError: the system has no descriptors left.

    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as exc:  # a label is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, f"not a host name: {exc}") from exc
    return [(family, address) for family, _, _, _, address in found]


def _co_ask(host: str, port: int) -> Co[list[Address] | socket.gaierror]:
    try:
        question = _Question(host, port)
    except OSError as exc:  # there are no descriptors left
        raise DNSUnavailable(f"cannot look up {host}: {exc.strerror}") from exc
    try:
        _helpers.take(question)
        yield from question.answered.co_wait()
    except RuntimeError as exc:  # there are no threads left
        raise DNSUnavailable(f"cannot look up {host}: {exc}") from exc
    finally:
        question.answered.close()
    assert question.answer is not None
    return question.answer


class _Question:
    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.answered = Wake()
        self.answer: list[Address] | socket.gaierror | None = None

    def ask(self) -> None:
        try:
            self.answer = look_up(self.host, self.port)
        except socket.gaierror as exc:
            self.answer = exc
        except Exception as exc:  # noqa: BLE001 - no answer would be waited for for ever
            self.answer = socket.gaierror(socket.EAI_FAIL, str(exc))
        self.answered.set()


class _Helpers:
    """Threads that ask, started when there are more questions than idle threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._questions: queue.SimpleQueue[_Question] = queue.SimpleQueue()
        self._threads = 0
        self._open = 0  # questions taken and not answered

    def take(self, question: _Question) -> None:
        with self._lock:
            if self._open >= self._threads < MAX_THREADS:
                self._start_thread()
            self._open += 1
            self._questions.put(question)

    def _start_thread(self) -> None:
        """Start one more; if that fails the threads that there are have to do."""
        thread = threading.Thread(target=self._work, name="dugong_like-dns", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if self._threads == 0:
                raise
        else:
            self._threads += 1

    def _work(self) -> None:
        while True:
            try:
                question = self._questions.get(timeout=IDLE_TIME)
            except queue.Empty:
                with self._lock:
                    if self._questions.empty():
                        self._threads -= 1
                        return
                continue
            question.ask()
            with self._lock:
                self._open -= 1


_helpers = _Helpers()


def forget_threads() -> None:
    """Start anew in a child process: the threads have stayed behind in the parent."""
    global _helpers  # noqa: PLW0603 - the one that the parent's threads know is not ours
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=forget_threads)
