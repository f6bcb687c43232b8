"""``-O``: the name of the file that a download is saved as, in the present folder.

Not here: which names are safe (http/content_disposition.py).
"""

from __future__ import annotations

import os
from typing import Final

from ..client.response import Response
from ..http.content_disposition import filename_in, safe_filename
from ..http.percent import decode
from ..http.url import URL
from .outcome import CommandFailed

USUAL: Final = "index.html"  # of a URL that ends with a slash


def name_in_url(url: URL) -> str:
    """Return a safe name for a file, from the last part of the path of *url*."""
    last = decode(url.path.rsplit("/", 1)[-1]).decode("utf-8", "replace")
    return safe_filename(last) or USUAL


def name_for(usual: str, response: Response) -> tuple[str, bool]:
    """Return a safe name for the body of *response*, and whether the server has chosen it.

    Args:
        usual: the name in the URL that the user gave. That of a redirect would be one of a server.
        response: the name in its field Content-Disposition comes first.

    Raises:
        CommandFailed: the server's name is that of an existing file, which only a name that the
            user has given may replace.

    """
    value = response.field("content-disposition")
    sent = None if value is None else filename_in(value)
    name = None if sent is None else safe_filename(sent)
    if name is None:
        return usual, False
    if os.path.lexists(name):
        raise CommandFailed(f"{name}: exists, and it is the server that calls it so: use -o")
    return name, True
