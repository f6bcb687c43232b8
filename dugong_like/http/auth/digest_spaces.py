"""Digest: protection spaces (RFC 7616 section 3.3), and the nonce that each server gave last.

Kept by origin: what an origin says is never used for another one, even if a challenge names it.

Not here: when a challenge is answered (digest.py), and how (digest_answer.py).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ...errors import InvalidRequest
from ...polling.fork import generation
from ..challenges import Challenge
from ..url import Origin
from .digest_answer import Answerer

MAX_ORIGINS: Final = 1000  # whose nonces are kept; one more forgets that which was learned first
MAX_SPACES: Final = 16  # of one origin; as the limit of challenges in one response


class _Space(NamedTuple):
    """A protection space (RFC 7616 section 3.3).

    Attributes:
        realm: its realm.
        paths: beginnings of the paths in it.
        answerer: for its last challenge.

    """

    realm: str
    paths: tuple[str, ...]
    answerer: Answerer


class ProtectionSpaces:
    """The protection spaces of each origin. Each value is replaced as a whole, by any thread."""

    __slots__ = ("_generation", "_spaces")

    def __init__(self) -> None:
        self._generation = generation()
        self._spaces: dict[Origin | str, tuple[_Space, ...]] = {}

    def find(self, origin: Origin | str, path: str) -> Answerer | None:
        """Return that of the space of *path* which was learned last, None if it is unknown."""
        if self._generation != generation():
            # In a child process: its parent counts the uses of the same nonces.
            self._spaces, self._generation = {}, generation()
        for space in self._spaces.get(origin, ()):
            if path.startswith(space.paths):
                return space.answerer
        return None

    def learn(
        self, origin: Origin | str, path: str, challenge: Challenge, answerer: Answerer
    ) -> None:
        """Keep *answerer* for the space of *challenge*, which was the response to *path*."""
        given = challenge.parameters
        realm = given["realm"]
        others = [space for space in self._spaces.get(origin, ()) if space.realm != realm]
        space = _Space(realm, _paths_of(given.get("domain", ""), origin, path), answerer)
        self._spaces[origin] = (space, *others[: MAX_SPACES - 1])
        if len(self._spaces) > MAX_ORIGINS:
            for oldest in list(self._spaces)[:1]:
                self._spaces.pop(oldest, None)

    def replace(self, origin: Origin | str, old: Answerer, new: Answerer | None) -> None:
        """Use *new*, if *old* was not replaced meanwhile; None forgets it."""
        spaces = []
        for space in self._spaces.get(origin, ()):
            if space.answerer is not old:
                spaces.append(space)
            elif new is not None:
                spaces.append(_Space(space.realm, space.paths, new))
        self._spaces[origin] = tuple(spaces)

    def forget(self, origin: Origin | str, old: Answerer | None) -> None:
        """Forget *old*, which was refused."""
        if old is not None:
            self.replace(origin, old, None)


def _paths_of(domain: str, origin: Origin | str, path: str) -> tuple[str, ...]:
    """Return the beginnings of paths at *origin* for which a challenge holds.

    Args:
        domain: the parameter: paths and URLs. Other origins in it are left out.
        origin: that of the response.
        path: path of the request.

    Returns:
        All paths, if none are given. No path, if all given ones are elsewhere.

    """
    if not domain.strip():
        return ("/", "*")
    if not isinstance(origin, Origin):
        return tuple(text for text in domain.split() if text.startswith("/"))
    base = origin.url(path if path.startswith("/") else "/")
    found = []
    for text in domain.split():
        try:
            url = base.join(text)
        except InvalidRequest:
            continue
        if url.origin == origin:
            found.append(url.target)
    return tuple(found)
