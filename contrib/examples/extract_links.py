"""Crawl a site with asyncio and print the links of its pages.

Several workers share a queue of pages, and a client with its pool of connections. Only
pages of the given host are fetched, each once, up to a limit.

Run: ``python3 contrib/examples/extract_links.py http://host:port/ [--pages 100] [--workers 8]``
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from html.parser import HTMLParser
from urllib.parse import urljoin

from dugong_like import URL, AsyncClient, DugongError, InvalidRequest

MAX_PAGE = 2 << 20  # characters; longer pages are cut off here


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

    async def work(self, client: AsyncClient) -> None:
        """Fetch pages until there are no more."""
        while True:
            url = await self.queue.get()
            try:
                for link in await links_of(client, url):
                    there = urljoin(str(url), link)
                    print(f"{url} -> {there}")
                    self.add(there)
            except DugongError as exc:
                self.failures += 1
                print(f"{url}: {exc}", file=sys.stderr)
            finally:
                self.queue.task_done()


async def links_of(client: AsyncClient, url: URL) -> list[str]:
    """Return the links of one page; none if it is not HTML or not there."""
    async with client.stream("GET", url) as response:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if response.status_code != 200 or kind.strip().lower() != "text/html":
            return []
        parser = LinkParser()
        left = MAX_PAGE
        async for text in response.aiter_text():
            parser.feed(text[:left])
            left -= len(text)
            if left <= 0:
                break
    return parser.links


async def crawl(url: str, pages: int, workers: int) -> Crawler:
    """Crawl with so many workers until all pages are done."""
    crawler = Crawler(url, pages)
    async with AsyncClient(timeout=20, follow_redirects=False) as client:
        tasks = [asyncio.create_task(crawler.work(client)) for _ in range(workers)]
        await crawler.queue.join()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return crawler


def main(argv: list[str] | None = None) -> int:
    """Crawl; exit status 1 if a page could not be fetched."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", type=URL)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args(argv)
    crawler = asyncio.run(crawl(str(options.url), options.pages, options.workers))
    print(f"{len(crawler.seen)} pages, {crawler.failures} failures", file=sys.stderr)
    return 1 if crawler.failures else 0


if __name__ == "__main__":
    sys.exit(main())
