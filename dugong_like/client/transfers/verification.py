"""Verifying a download: the digests that it should have, and those that it has.

Not here: reading digests from fields (http/digest_fields.py), and hashing (digests.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...errors import DigestMismatch
from ...http.digest_fields import FieldDigest, best_digest, content_md5
from ...polling.contract import Co, run
from ...polling.fairness import StepCounter
from .digests import RunningDigest
from .spans import Spans

if TYPE_CHECKING:
    from ..response import Response

GIVEN: Final = "sha256"  # what the argument of the caller is called
PARTIAL_CONTENT: Final = 206


class Verification:
    """The digests of one download.

    Args:
        spans: the bytes that are there.
        sha256: the digest that the caller expects; None for none.
        can_read_back: True if the file can be read. Otherwise bytes are hashed on their way, and a
            digest that is known only later is of no use.

    Attributes:
        can_read_back: see above; True as well if there is nothing to hash.

    """

    def __init__(self, spans: Spans, sha256: bytes | None, *, can_read_back: bool) -> None:
        self._spans = spans
        self._reads = can_read_back
        self._given = None if sha256 is None else FieldDigest(GIVEN, "sha-256", sha256)
        self._expected: dict[str, FieldDigest] = {}
        self._running: dict[str, RunningDigest] = {}
        self._taken = 0  # bytes that were hashed on their way
        self._is_following = False
        self._steps = StepCounter()  # of all digests together: each takes as long as the first
        self.begin()

    @property
    def can_read_back(self) -> bool:
        """True if bytes need not pass the memory to be hashed."""
        return self._reads or not self._expected

    def begin(self) -> None:
        """Begin anew, with another version: of the old one only the caller's digest holds."""
        self._expected.clear()
        self._running.clear()
        self._taken = 0
        if self._given is not None:
            self._expect(self._given)

    def expect(self, response: Response) -> FieldDigest | None:
        """Take the digests of the header fields of *response*.

        Repr-Digest is that of the whole file, whatever part the response has. Content-Digest is
        that of its body. So is Content-MD5, which is not looked at in a 206 response, as servers
        have different ideas of it there (RFC 7231 appendix B).

        Returns:
            The digest of the body, if that is not the whole file.

        """
        whole = best_digest("Repr-Digest", response.field("repr-digest"))
        body = best_digest("Content-Digest", response.field("content-digest"))
        if whole is not None:
            self._expect(whole)
        if response.status_code == PARTIAL_CONTENT:
            return body
        for digest in (body, content_md5(response.field("content-md5"))):
            if digest is not None:
                self._expect(digest)
        return None

    def expect_trailers(self, response: Response) -> FieldDigest | None:
        """Take the digests of the trailer fields, after the body; see `expect`."""
        trailers = response.trailers
        if not trailers:
            return None
        whole = best_digest("Repr-Digest", trailers.get("repr-digest"))
        body = best_digest("Content-Digest", trailers.get("content-digest"))
        if whole is not None:
            self._expect(whole)
        if body is not None and response.status_code != PARTIAL_CONTENT:
            self._expect(body)
            return None
        return body

    def _expect(self, digest: FieldDigest) -> None:
        name = digest.hash_name
        if name not in self._running:
            if self._taken and not self._reads:
                return  # too late
            self._running[name] = RunningDigest([name], 0, self._steps)
        self._expected[digest.field] = digest

    def co_take(self, data: memoryview, at: int, number: int | None) -> Co[None]:
        """Hash *data*, which has just arrived and ends at the position *at*.

        Args:
            data: the bytes.
            at: see above.
            number: descriptor of the file, if it can be read back.

        """
        if self._reads and number is not None:
            yield from self.co_follow(number)
            return
        self._taken = at
        for each in self._running.values():
            each.update(data)

    def co_follow(self, number: int) -> Co[None]:
        """Hash what is there without a gap.

        Args:
            number: descriptor of the file.

        Raises:
            OSError: the file cannot be read.

        """
        if not self._running or not self._reads or self._is_following:
            return  # another operation does that now
        self._is_following = True
        try:
            for each in list(self._running.values()):
                yield from each.co_follow(number, self._spans.prefix)
        finally:
            self._is_following = False

    def co_check_body(self, digest: FieldDigest, number: int, begin: int, end: int) -> Co[None]:
        """Compare the bytes of one response with their digest.

        Args:
            digest: of the body.
            number: descriptor of the file.
            begin: position of the first byte.
            end: position behind the last one.

        Raises:
            DigestMismatch: they differ.
            OSError: the file cannot be read.

        """
        running = RunningDigest([digest.hash_name], begin, self._steps)
        yield from running.co_follow(number, end)
        _compare(digest, running.value(digest.hash_name), end)

    def co_check(self, number: int | None, size: int) -> Co[tuple[str, ...]]:
        """Compare all digests of the whole, which has *size* bytes; return what was compared.

        Raises:
            DigestMismatch: one differs.
            OSError: the file cannot be read.

        """
        names = []
        for digest in self._expected.values():
            running = self._running[digest.hash_name]
            if self._reads and number is not None:
                yield from running.co_follow(number, size)
            _compare(digest, running.value(digest.hash_name), size)
            given = digest is self._given
            names.append(digest.field if given else f"{digest.field} {digest.algorithm}")
        return tuple(names)


def check_body(response: Response, data: bytes, sha256: bytes | None) -> tuple[str, ...]:
    """Compare *data*, all bytes of a file, with the digests that they should have.

    Args:
        response: it may have digests for them.
        data: the bytes.
        sha256: another digest; None for none.

    Returns:
        What was compared, see `DownloadResult`.

    Raises:
        DigestMismatch: one differs.

    """
    field = response.field
    has_fields = field("repr-digest") or field("content-digest") or field("content-md5")
    if not has_fields and sha256 is None and not response.trailers:
        return ()
    verification = Verification(Spans([(0, len(data))]), sha256, can_read_back=False)
    verification.expect(response)
    verification.expect_trailers(response)
    run(verification.co_take(memoryview(data), len(data), None))
    return run(verification.co_check(None, len(data)))


def _compare(digest: FieldDigest, actual: bytes, offset: int) -> None:
    if actual != digest.value:
        raise DigestMismatch(
            f"the digest of the bytes is another one than {digest.field} says "
            f"({digest.algorithm} {actual.hex()} instead of {digest.value.hex()})",
            algorithm=digest.algorithm,
            expected=digest.value,
            actual=actual,
            offset=offset,
        )
