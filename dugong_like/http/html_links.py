"""Links on a page, for listing the folder that a server shows as one.

Not here: fetching the page, and links in fields (links.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

from .patterns import compiled_later

SCHEMES: Final = ("http", "https")

_plain = compiled_later(r"https?://[-A-Za-z0-9@:%_+.~#?&/=]+")


class _Links(HTMLParser):
    """Collects the targets of the ``a`` elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the target, if this is a link."""
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def links_below(page: str, url: str, *, plain: bool, same_scheme: bool) -> list[str]:
    """Return the URLs on *page* that are below *url*, each once, in their order.

    Links to the folder itself, such as those that sort its entries, are left out.

    Args:
        page: HTML, or other text.
        url: of the page, which is taken for a folder: relative links are within it.
        plain: True for whatever looks like a URL as well, wherever it is on the page.
        same_scheme: False for https URLs below an http one as well, and the opposite.

    """
    folder = f"{url.partition('#')[0].partition('?')[0].rstrip('/')}/"
    parser = _Links()
    parser.feed(page)
    parser.close()
    links = [*parser.found, *(_plain().findall(page) if plain else ())]
    found = dict.fromkeys(_absolute(links, folder))
    return [link for link in found if _is_below(link, folder, same_scheme=same_scheme)]


def _absolute(links: list[str], folder: str) -> Iterator[str]:
    for link in links:
        try:
            yield urljoin(folder, link.strip()).partition("#")[0]
        except ValueError:  # such as a bad address of IPv6
            pass


def _is_below(link: str, folder: str, *, same_scheme: bool) -> bool:
    scheme, _, rest = link.partition(":")
    own_scheme, _, own = folder.partition(":")
    if scheme not in SCHEMES or (same_scheme and scheme != own_scheme):
        return False
    return rest.startswith(own) and rest.partition("?")[0] != own
