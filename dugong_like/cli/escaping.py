"""Escaping untrusted text for terminals and logs.

Reason phrases, fields and pages come from a server, and a URL may be copied from anywhere. Control
characters in them could move the cursor, set the title of the window, type into the shell
(ECMA-48), or reorder the text of a line (Unicode Annex 9).

Not here: deciding on what is shown (error_page.py).
"""

from __future__ import annotations

import codecs
import io
import re
from typing import Final

from ..http.patterns import compiled_later

# C0 except tab and newline, DEL, C1, the characters that change the direction of text, the
# separators that some programs take for the end of a line, and surrogates.
_harmful = compiled_later(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_line_ends = compiled_later("[\t\n]")
BYTE: Final = 0xDC00  # plus the value of a byte that could not be decoded (PEP 383)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if BYTE + 0x80 <= code <= BYTE + 0xFF:
        code -= BYTE
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - Latin-1


def harmless(text: str) -> str:
    r"""Return *text* with an escape such as ``\x1b`` for each harmful character.

    Tabs and newlines stay. So does everything else, a backslash included: the result is for
    people, not for decoding.
    """
    return _harmful().sub(_escape, text)


def one_line(text: str) -> str:
    """Return *text* as `harmless` does, and escape tabs and newlines, too."""
    return _line_ends().sub(_escape, harmless(text))


class HarmlessText:
    """Decodes bytes, split at any place, to text for a terminal.

    Invalid UTF-8 becomes U+FFFD, and every end of line a newline.
    """

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def add(self, data: bytes | memoryview) -> str:
        """Add *data*, and return the text that can be shown now."""
        return harmless(self._decoder.decode(bytes(data)))

    def end(self) -> str:
        """Return the rest."""
        return harmless(self._decoder.decode(b"", final=True))
