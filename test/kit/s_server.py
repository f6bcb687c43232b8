"""``openssl s_server``, which starts new handshakes and changes keys when it is told to.

What it reads from its standard input goes to the client, save for commands, which are a letter
at the start of what it reads at once. What the client sends is on its standard output.
"""

import fcntl
import random
import re
import signal
import subprocess
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from kit.support import program, wait_until

# What s_server says about itself between the bytes of the client.
CHATTER = re.compile(rb"SSL_do_handshake -> 1\n|(Read|Write) BLOCK\n")
# The version, and the command: new keys, new keys on both sides, a new handshake, one that
# asks for a certificate.
EVENTS = [("1.3", "k"), ("1.3", "K"), ("1.2", "r"), ("1.2", "R")]


class OpenSSL:
    """A running s_server.

    Attributes:
        port: where it listens.

    """

    def __init__(self, process):
        self._process = process
        self._said = b""  # replaced as a whole, as two threads look at it
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        wait_until(lambda: re.search(rb"ACCEPT \S*:(\d+)\n", self._said) or process.poll())
        self.port = int(re.search(rb"ACCEPT \S*:(\d+)\n", self._said)[1])

    def _listen(self):
        while piece := self._process.stdout.read1(65536):
            self._said += piece

    def say(self, data):
        """Send *data*, which has digits where s_server may see a command, to the client."""
        self._process.stdin.write(data)
        self._process.stdin.flush()
        wait_until(lambda: self._has_read() or self._process.poll() is not None, 30)
        if not self._has_read():
            raise BrokenPipeError

    def _has_read(self):
        return not any(fcntl.ioctl(self._process.stdin.fileno(), termios.FIONREAD, bytes(4)))

    def command(self, letter):
        """Do what *letter* stands for."""
        self.say(letter.encode() + b"\n")

    def wait_for(self, size):
        """Wait until it has written more than *size* bytes: no fewer than it has received."""
        wait_until(lambda: len(self._said) > size or self._process.poll() is not None, 30)
        if len(self._said) <= size:
            raise BrokenPipeError

    @contextmanager
    def killed_by_failures(self):
        """Kill it if the block raises, so that nobody waits for what it will not receive."""
        try:
            yield
        except BaseException:
            self.kill()
            raise

    def heard(self, start):
        """Return what the client has sent, from *start* on."""
        heard = CHATTER.sub(b"", bytes(self._said))
        return heard[heard.index(start) :] if start in heard else b""

    def uploaded(self):
        """Return the body of the request with PUT, as far as it is here."""
        head, _, rest = self.heard(b"PUT /").partition(b"\r\n\r\n")
        if b"chunked" not in head:
            return rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return body

    def handshakes(self):
        """Return how many there were in the middle; the client must have closed by now."""
        wait_until(lambda: self._process.poll() is not None)
        self._listener.join()
        return int(re.search(rb"(\d+) server renegotiates", self._said[-2000:])[1])

    def stop(self):
        """Do nothing any more until `go_on` is called."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        """Go on after `stop`."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        """End the process."""
        self._process.kill()

    def close(self):
        """End the process, if there still is one, and give everything back."""
        self.kill()
        self._process.wait()
        self._listener.join()
        self._process.stdout.close()
        with suppress(BrokenPipeError):
            self._process.stdin.close()


@contextmanager
def s_servers(certificate):
    """Yield a function that starts s_server with a version of TLS and options, and returns it."""
    openssl = program("openssl")
    servers = []

    def start(version, *options):
        process = subprocess.Popen(
            [
                openssl, "s_server", "-accept", "127.0.0.1:0", "-naccept", "1",
                "-cert", certificate.chain, "-cert_chain", certificate.chain,
                "-key", certificate.key, f"-tls{version.replace('.', '_')}", *options,
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        servers.append(OpenSSL(process))
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.close()


@contextmanager
def in_background(function, *arguments):
    """Call a function on another thread meanwhile; raise what it raises."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function, *arguments)
        yield
        future.result()


def digits(size, seed=0):
    """Return *size* random digits: none of them is a command of s_server."""
    return random.Random(seed).randbytes(size // 2 + 1).hex().translate(TO_DIGITS).encode()[:size]


TO_DIGITS = str.maketrans("abcdef", "012345")


def sized(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def pieces(data, count):
    step = len(data) // count + 1
    return [data[place : place + step] for place in range(0, len(data), step)]
