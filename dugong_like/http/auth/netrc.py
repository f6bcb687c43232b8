"""Basic authentication with the user names and passwords in a file of the user.

Not here: the grammar of the file, and its place (netrc_file.py).
"""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import InvalidOption, InvalidRequest
from ...polling.numbers import check_flag
from ..hosts import check_hostname
from ..request import Request
from ..url import Origin
from .basic import BasicAuth
from .flow import Auth, Flow
from .netrc_file import Entry, default_path, read_entries
from .scope import origin_of


class NetRCAuth(Auth):
    """User names and passwords for hosts, from a file such as ``~/.netrc``, sent as `BasicAuth`.

    Only this object reads such a file, once, when it is made. An entry for ``host:port`` is for
    this port only and comes first, one for ``host`` is for all ports, and ``default`` for all
    other hosts; of several ones the first counts. Names are whole names: an entry for
    ``example.org`` is not for ``www.example.org``. A request that has ``Authorization``, or that is
    not to a URL, is sent as it is.

    Args:
        path: of the file; None for that in the environment variable ``NETRC``, otherwise
            ``.netrc`` in the home folder.
        private: False to accept a file with passwords that others may read or change.

    Raises:
        InvalidOption: the file cannot be read, is not valid, has passwords that cannot be sent,
            or others may use it. The message names the file and the line, and nothing in it.
        TypeError: an argument has the wrong type.

    """

    __slots__ = ("_default", "_logins")

    def __init__(self, path: str | os.PathLike[str] | None = None, *, private: bool = True) -> None:
        if path is not None and not isinstance(path, str | os.PathLike):
            raise TypeError(f"path is the path of a file, not {type(path).__name__}")
        check_flag("private", private)
        place = default_path() if path is None else Path(path).expanduser()
        # By host and port; the port is None for all.
        self._logins: dict[tuple[str, int | None], BasicAuth | None] = {}
        self._default: BasicAuth | None = None
        for entry in read_entries(place, private=private):
            if entry.machine is not None:
                self._logins.setdefault(_place(entry.machine), _login(entry, place))
            elif self._default is None:
                self._default = _login(entry, place)

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`."""
        origin = origin_of(request)
        login = None if origin is None else self.find(origin)
        if login is None or "authorization" in request.headers:
            return super().auth_flow(request)
        return login.auth_flow(request)

    def find(self, origin: Origin) -> BasicAuth | None:
        """Return user name and password for *origin*, None if there are none."""
        host = origin.host.rstrip(".")
        for key in ((host, origin.port), (host, None)):
            if key in self._logins:
                return self._logins[key]
        return self._default

    def __repr__(self) -> str:
        return "NetRCAuth()"


def _place(machine: str) -> tuple[str, int | None]:
    """Return the host in the name of a machine, as in an `Origin`, and the port, None for all."""
    host, colon, port = machine.lower().rpartition(":")
    if not colon or not port.isdecimal() or (":" in host and not host.startswith("[")):
        host, port = machine.lower(), ""
    host = host.strip("[]").rstrip(".")
    try:
        host = check_hostname(host)  # in ASCII
    except InvalidRequest:
        pass  # the name of no host: it equals none
    return host, int(port) if port else None


def _login(entry: Entry, path: Path) -> BasicAuth | None:
    if entry.login is None and entry.password is None:
        return None
    try:
        return BasicAuth(entry.login or "", entry.password or "")
    except InvalidRequest as exc:
        raise InvalidOption(f"path: {path}: {exc}") from None
