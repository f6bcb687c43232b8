"""Pipes whose ends may be non-blocking, and threads at the other end of them."""

import contextlib
import os
import threading


class End(int):
    """The descriptor of one end of a pipe, which is closed once."""

    open = True

    def close(self):
        if self.open:
            self.open = False  # the number may soon belong to another file
            os.close(self)


@contextlib.contextmanager
def pipe(reader_blocks=True, writer_blocks=True):
    """Yield the two ends of a pipe; those that are left are closed."""
    reader, writer = map(End, os.pipe())
    os.set_blocking(reader, reader_blocks)
    os.set_blocking(writer, writer_blocks)
    try:
        yield reader, writer
    finally:
        reader.close()
        writer.close()


class Drain(threading.Thread):
    """Reads an end of a pipe to its end, which is when the writing end is closed.

    Attributes:
        data: what has been read.

    """

    def __init__(self, fd):
        super().__init__()
        self._fd = fd
        self.data = b""

    def run(self):
        while piece := os.read(self._fd, 5000):
            self.data += piece


class Feed(threading.Thread):
    """Writes data to an end of a pipe, little by little, and closes it."""

    def __init__(self, fd, data):
        super().__init__()
        self._fd = fd
        self._data = data

    def run(self):
        for start in range(0, len(self._data), 10_000):
            os.write(self._fd, self._data[start : start + 10_000])
        self._fd.close()
