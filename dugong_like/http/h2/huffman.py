"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).

The code is canonical: those of one length are consecutive numbers in the order of their symbols, so
that the lengths say everything. The tables are made at the first use, which many programs never
have.

Decoding takes one byte at a time: a state is the part of a code that the bytes before have begun,
and each byte leads to the next state and to the symbols that it has completed.

Not here: string literals, which say whether they are encoded (hpack_encoder.py, hpack_decoder.py).
"""

from __future__ import annotations

import functools
from typing import ClassVar, Final

EOS: Final = 256  # the symbol for the end of a string, which never is in one
MAX_PADDING: Final = 7  # bits behind the last symbol
MOST_KEPT: Final = 8192  # steps of decoding that are kept, about 1 MB; 65,000 are possible

# Bits of each code: the symbols that have them.
_SYMBOLS: Final = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4"
    b"\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4"
    b"\xb6\xb7\xbc\xbf\xc5\xe7\xef",
    24: b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b"
    b"\x1c\x1d\x1e\x1f\x7f\xdc\xf9",
    30: b"\n\r\x16",  # and EOS, the last one
}


def _lengths() -> bytes:
    """Return the bits of the code of each byte."""
    lengths = bytearray(EOS)
    for bits, symbols in _SYMBOLS.items():
        for symbol in symbols:
            lengths[symbol] = bits
    return bytes(lengths)


LENGTHS: Final = _lengths()


class InvalidCode(ValueError):
    """The bytes are not the encoding of a string; the message says why."""


def encoded_size(data: bytes) -> int:
    """Return the number of bytes that `encode` would return."""
    return (sum(data.translate(LENGTHS)) + 7) >> 3


def encode(data: bytes) -> bytes:
    """Return *data* encoded, padded by the first bits of EOS, which are ones."""
    bits = "".join(map(_codes().__getitem__, data))
    padding = -len(bits) % 8
    return int(f"0{bits}{'1' * padding}", 2).to_bytes((len(bits) + padding) // 8, "big")


def decode(data: bytes) -> bytes:
    """Return the string that *data* encodes.

    Raises:
        InvalidCode: it contains EOS, or its padding is longer than 7 bits or has other bits than
            ones.

    """
    state = _start()
    parts = []
    for byte in data:
        state, symbols = state[byte]
        parts.append(symbols)
    if not state.may_end:
        raise InvalidCode("the padding is not of up to 7 bits of EOS (RFC 7541 section 5.2)")
    return b"".join(parts)


@functools.cache
def _codes() -> list[str]:
    """Return the code of each symbol, EOS included, as a string of bits."""
    codes = [""] * (EOS + 1)
    code = bits = 0
    for length, symbols in _SYMBOLS.items():
        for symbol in sorted(symbols):
            code <<= length - bits
            bits = length
            codes[symbol] = f"{code:0{bits}b}"
            code += 1
    codes[EOS] = f"{code:0{bits}b}"
    return codes


class _State(dict[int, tuple["_State", bytes]]):
    """A part of a code. The items are the steps from here: by byte, next state and symbols.

    A step is computed when it is first taken: a few hundred are enough for all that servers send.

    Attributes:
        branches: where the bits 0 and 1 lead: a state, or the symbol that they complete.
        may_end: True if a string may end here, as the bits so far are nothing but padding.

    """

    kept: ClassVar = 0  # steps, in all states

    __slots__ = ("branches", "may_end")

    def __init__(self, *, may_end: bool) -> None:
        self.branches: list[_State | int | None] = [None, None]
        self.may_end = may_end

    def __missing__(self, byte: int) -> tuple[_State, bytes]:
        state, symbols = self, bytearray()
        for shift in range(7, -1, -1):
            branch = state.branches[byte >> shift & 1]
            if isinstance(branch, _State):
                state = branch
                continue
            if branch is None or branch == EOS:
                raise InvalidCode("EOS is in the string (RFC 7541 section 5.2)")
            symbols.append(branch)
            state = _start()
        step = state, bytes(symbols)
        if _State.kept < MOST_KEPT:
            _State.kept += 1
            self[byte] = step
        return step


@functools.cache
def _start() -> _State:
    """Return the state at the beginning of a code."""
    start = _State(may_end=True)
    for symbol, code in enumerate(_codes()):
        state = start
        for depth, bit in enumerate(code[:-1], 1):
            branch = state.branches[int(bit)]
            if not isinstance(branch, _State):
                is_padding = "0" not in code[:depth] and depth <= MAX_PADDING
                branch = state.branches[int(bit)] = _State(may_end=is_padding)
            state = branch
        state.branches[int(code[-1])] = symbol
    return start
