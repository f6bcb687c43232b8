"""Fetch many paths of one host over one connection: a thread asks, another one listens.

No request waits for the response to the one before, so the round trip is paid once.
The paths come from standard input, one on each line; for each its status and length
are printed, in the same order.

Run: ``python3 contrib/examples/pipeline_threads.py http://host:port < paths``
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterable, Iterator
from queue import Queue

from dugong_like import URL, DugongError, Exchange, HTTPConnection

AHEAD = 200  # requests that may be waiting for their response
END = None


def write_requests(
    conn: HTTPConnection,
    paths: Iterable[str],
    sent: Queue[Exchange | Exception | None],
) -> None:
    """Send a request for each path and tell the reader; the last word is `END`."""
    try:
        for path in paths:
            sent.put(conn.send_request("GET", path))
    except Exception as exc:  # the reader says what became of it
        sent.put(exc)
    sent.put(END)


def read_responses(
    conn: HTTPConnection,
    sent: Queue[Exchange | Exception | None],
) -> Iterator[tuple[str, int, int]]:
    """Yield path, status and length of each response."""
    while (item := sent.get()) is not END:
        if isinstance(item, Exception):
            raise item
        response = conn.read_response()
        length = 0
        while piece := conn.read(65536):
            length += len(piece)
        yield item.path, response.status, length


def main(argv: list[str] | None = None) -> int:
    """Fetch everything; exit status 1 if the connection failed, 4 if a status was an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    options = parser.parse_args(argv)
    url = URL(options.url)
    paths = (line.strip() for line in sys.stdin if line.strip())
    sent: Queue[Exchange | Exception | None] = Queue(AHEAD)
    worst = 0
    with HTTPConnection.to(url, timeout=30) as conn:
        # A daemon: if the reader fails, the writer may wait for ever for room in the queue.
        writer = threading.Thread(target=write_requests, args=(conn, paths, sent), daemon=True)
        writer.start()
        try:
            for path, status, length in read_responses(conn, sent):
                print(f"{status} {length:>10} {path}")
                worst = max(worst, status)
        except DugongError as exc:
            print(f"{url.host}: {exc}", file=sys.stderr)
            return 1
        writer.join()
    return 4 if worst >= 400 else 0


if __name__ == "__main__":
    sys.exit(main())
