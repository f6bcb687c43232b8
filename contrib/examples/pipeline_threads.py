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
from collections.abc import Iterable

from dugong_like import URL, DugongError, HTTPConnection, Request, SharedPipeline


def ask(pipeline: SharedPipeline, paths: Iterable[str]) -> None:
    """Submit a request for each path; that waits while too many are unanswered."""
    try:
        for path in paths:
            pipeline.submit(Request(target=path))
    except DugongError:  # the one that listens has ended
        return
    pipeline.finish()


def main(argv: list[str] | None = None) -> int:
    """Fetch everything; exit status 1 if a request failed, 4 if a status was an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", type=URL)
    options = parser.parse_args(argv)
    url = options.url
    paths = (line.strip() for line in sys.stdin if line.strip())
    worst = 0
    with HTTPConnection.to(url, timeout=30) as conn, SharedPipeline(conn) as pipeline:
        # A daemon: it may wait for standard input when the one that listens has ended.
        threading.Thread(target=ask, args=(pipeline, paths), daemon=True).start()
        try:
            for answer in pipeline:
                status = answer.response.status
                print(f"{status} {len(answer.body):>10} {answer.request.target}")
                worst = max(worst, status)
        except DugongError as exc:
            print(f"{url.host}: {exc}", file=sys.stderr)
            return 1
    return 4 if worst >= 400 else 0


if __name__ == "__main__":
    sys.exit(main())
