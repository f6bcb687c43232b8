"""Crawl a site with asyncio and print the links of its pages.

Several workers share a queue of pages; each has a connection of its own, and the
operations of the library run as awaitables. Only pages of the given host are fetched,
each once, up to a limit.

Run: ``python3 contrib/examples/extract_links.py http://host:port/ [--pages 100] [--workers 8]``
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from html.parser import HTMLParser
from urllib.parse import urljoin

from dugong_like import URL, AsyncConnection, DugongError, HTTPConnection, InvalidRequest

MAX_PAGE = 2 << 20  # bytes; longer pages are cut off here


class LinkParser(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the target of ``<a href=...>``."""
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


class Crawler:
    """Fetches pages of one host and knows which it has seen."""

    def __init__(self, start: str, most: int) -> None:
        self.origin = URL(start).origin
        self.left = most
        self.queue: asyncio.Queue[URL] = asyncio.Queue()
        self.seen: set[URL] = set()
        self.failures = 0
        self.add(start)

    def add(self, link: str) -> None:
        """Take *link* into the queue if it is new and of this host."""
        try:
            url = URL(link)
        except InvalidRequest:
            return  # mailto: and the like, and what is none
        if url.origin == self.origin and url not in self.seen and self.left > 0:
            self.left -= 1
            self.seen.add(url)
            self.queue.put_nowait(url.copy_with(fragment=""))

    async def work(self) -> None:
        """Fetch pages until there are no more; one connection, used again and again."""
        async with AsyncConnection(HTTPConnection.to(self.origin, timeout=20)) as conn:
            while True:
                url = await self.queue.get()
                try:
                    for link in await links_of(conn, url):
                        there = urljoin(str(url), link)
                        print(f"{url} -> {there}")
                        self.add(there)
                except DugongError as exc:
                    self.failures += 1
                    conn.connection.reset()
                    print(f"{url}: {exc}", file=sys.stderr)
                finally:
                    self.queue.task_done()


async def links_of(conn: AsyncConnection, url: URL) -> list[str]:
    """Return the links of one page; none if it is not HTML or not there."""
    await conn.send_request("GET", url.target)
    response = await conn.read_response()
    if response.status != 200 or response.headers.get_content_type() != "text/html":
        await conn.discard()
        return []
    page = io.BytesIO()
    while page.tell() < MAX_PAGE and (piece := await conn.read(65536)):
        page.write(piece)
    await conn.discard()
    parser = LinkParser()
    parser.feed(page.getvalue().decode(response.headers.get_content_charset("utf-8"), "replace"))
    return parser.links


async def crawl(url: str, pages: int, workers: int) -> Crawler:
    """Crawl with so many workers until all pages are done."""
    crawler = Crawler(url, pages)
    tasks = [asyncio.create_task(crawler.work()) for _ in range(workers)]
    await crawler.queue.join()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return crawler


def main(argv: list[str] | None = None) -> int:
    """Crawl; exit status 1 if a page could not be fetched."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args(argv)
    crawler = asyncio.run(crawl(options.url, options.pages, options.workers))
    print(f"{len(crawler.seen)} pages, {crawler.failures} failures", file=sys.stderr)
    return 1 if crawler.failures else 0


if __name__ == "__main__":
    sys.exit(main())
