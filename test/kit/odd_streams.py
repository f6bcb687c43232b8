"""Binary streams whose length is hard to know."""

import io
import mmap
import os

from dugong_like.polling.stream_parts import PIECE


def mapped(data):
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


class Quiet(io.BytesIO):
    """Its `seek` returns nothing, as that of `mmap` did for long."""

    def seek(self, *place):
        super().seek(*place)


class Wrapper:
    """Hands on to another stream what it does not have itself."""

    def __init__(self, data):
        self._inner = io.BytesIO(data)

    def __getattr__(self, name):
        return getattr(self._inner, name)


class Doubled(Wrapper):
    """Gives each byte twice, and the position of the stream below: base64 does such things."""

    def read(self, size):
        return b"".join(bytes([byte]) * 2 for byte in self._inner.read(size // 2))


class Halved(Wrapper):
    """Gives every second byte: a decompressor does such things."""

    def read(self, size):
        return self._inner.read(2 * size)[::2]


class Signed(Wrapper):
    """Gives something more at the end."""

    tail = b"signature"

    def read(self, size):
        if data := self._inner.read(size):
            return data
        data, self.tail = self.tail[:size], self.tail[size:]
        return data


class Made:
    """As a file of /proc: its end is at 0 although there is something in it."""

    def __init__(self, data, end=0):
        self._inner = io.BytesIO(data)
        self._end = end

    def read(self, size):
        return self._inner.read(size)

    def tell(self):
        return self._inner.tell()

    def seek(self, place, whence=0):
        return self._inner.seek(self._end if whence == os.SEEK_END else place)


def finish_reading(stream, start=0):
    stream.seek(start)
    return b"".join(iter(lambda: stream.read(PIECE), b""))
