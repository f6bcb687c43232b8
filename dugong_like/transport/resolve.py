"""Host names to addresses, without blocking.

The system's resolver blocks, so it is called in a helper thread, and a `Wake` tells
when it has answered. The threads are few, daemonic, and end when nobody asks.

Not here: connecting to the addresses (connecting.py), and resolvers of the caller's (resolvers.py).
"""

from __future__ import annotations

import functools
import os
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from ..errors import DNSUnavailable, HostnameNotResolvable
from ..polling import Co
from ..wake import Wake
from .connecting import Address

T = TypeVar("T")
MAX_THREADS: Final = 8  # questions that are asked at the same time
IDLE_TIME: Final = 10  # seconds after which a helper thread without questions ends

NO_SUCH_NAME: Final = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
}


def co_resolve(
    host: str, port: int, test_hostnames: Sequence[str] = (), family: int = 0
) -> Co[list[Address]]:
    """Look up the addresses of *host*.

    Args:
        host: name or IP address.
        port: port number, put into each address.
        test_hostnames: names to look up if *host* is said not to exist. If none of
            them exists either, the name service is taken to be out of order.
        family: that of the addresses; 0 for any.

    Returns:
        Family and socket address of each, in the order of the system (RFC 6724); at
        least one.

    Raises:
        HostnameNotResolvable: there is no such name, or it has no address.
        DNSUnavailable: the name service did not answer.

    """
    if is_address(host):
        try:
            return look_up(host, port, family)  # asks nobody
        except socket.gaierror as exc:  # it has another family, or its scope does not exist
            raise HostnameNotResolvable(
                f"{host} cannot be used: {exc.strerror}", name=host
            ) from exc
        except OSError as exc:  # there are no descriptors left, not even to load a codec
            raise DNSUnavailable(f"cannot look up {host}: {exc.strerror}", name=host) from exc
    answer = yield from _co_ask(host, port, family)
    if isinstance(answer, list):
        return answer
    if answer.errno not in NO_SUCH_NAME:
        raise DNSUnavailable(f"cannot look up {host}: {answer.strerror}", name=host) from answer
    for name in test_hostnames:
        if isinstance((yield from _co_ask(name, port, family)), list):
            break
    else:
        if test_hostnames:
            raise DNSUnavailable(
                f"neither {host} nor a test name can be looked up", name=host
            ) from answer
    raise HostnameNotResolvable(f"{host} does not exist: {answer.strerror}", name=host) from answer


def family_of(host: str) -> socket.AddressFamily | None:
    """Return the family of *host*, an IP address, perhaps with a scope; None if it is none."""
    for family, text in ((socket.AF_INET, host), (socket.AF_INET6, host.partition("%")[0])):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return family
    return None


def is_address(host: str) -> bool:
    """Return True if *host* is an IPv4 or IPv6 address, perhaps with a scope."""
    return family_of(host) is not None


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


def look_up(host: str, port: int, family: int = 0) -> list[Address]:
    """Ask the system, blocking.

    Raises:
        socket.gaierror: there is no answer, or it is no.
        OSError: the system has no descriptors left.

    """
    try:
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except UnicodeError as exc:  # a label is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, f"not a host name: {exc}") from exc
    return [(one[0], one[4]) for one in found]


def _co_ask(host: str, port: int, family: int) -> Co[list[Address] | socket.gaierror]:
    def ask() -> list[Address] | socket.gaierror:
        try:
            return look_up(host, port, family)
        except socket.gaierror as exc:
            return exc
        except Exception as exc:  # noqa: BLE001 - for the system, that is no answer
            return socket.gaierror(socket.EAI_FAIL, str(exc))

    return co_in_thread(ask, host)


def co_in_thread(ask: Callable[[], T], host: str) -> Co[T]:
    """Call *ask*, which may block, in a helper thread.

    Args:
        ask: returns the answer.
        host: what it asks for, for errors.

    Raises:
        DNSUnavailable: there are no descriptors or no threads left.
        Exception: what *ask* raises.

    """
    try:
        question = _Question(ask)
    except OSError as exc:  # there are no descriptors left
        raise DNSUnavailable(f"cannot look up {host}: {exc.strerror}", name=host) from exc
    try:
        _helpers.take(question)
        yield from question.answered.co_wait()
    except RuntimeError as exc:  # there are no threads left
        raise DNSUnavailable(f"cannot look up {host}: {exc}", name=host) from exc
    finally:
        question.answered.close()
    if question.failure is not None:
        raise question.failure
    return question.answer


class _Question(Generic[T]):
    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self.answered = Wake()
        self.answer: T
        self.failure: BaseException | None = None

    def ask(self) -> None:
        try:
            self.answer = self._ask()
        except BaseException as exc:  # noqa: BLE001 - it is for who has asked
            self.failure = exc
        self.answered.set()


class _Helpers:
    """Threads that ask, started when there are more questions than idle threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._questions: queue.SimpleQueue[_Question[Any]] = queue.SimpleQueue()
        self._threads = 0
        self._open = 0  # questions taken and not answered

    def take(self, question: _Question[Any]) -> None:
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
