"""The static table of HPACK, and how fields are counted (RFC 7541 appendix A, section 4.1).

Not here: the dynamic tables (hpack_encoder.py, hpack_decoder.py).
"""

from __future__ import annotations

from typing import Final

Field = tuple[bytes, bytes]  # name and value

ENTRY_OVERHEAD: Final = 32  # bytes that count for each field, besides name and value
DEFAULT_TABLE_SIZE: Final = 4096  # bytes of a dynamic table until a setting changes it

# Name and value of each entry, separated by a blank, in the order of their indices, from 1.
_LINES: Final = b"""\
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
"""

ENTRIES: Final[tuple[Field, ...]] = tuple(
    (name, value) for name, _, value in (line.partition(b" ") for line in _LINES.splitlines())
)
FIRST_DYNAMIC: Final = len(ENTRIES) + 1  # index of the newest entry of a dynamic table
# Indices by field, and by name: the lowest one, which is the shortest.
INDICES: Final = {field: index for index, field in enumerate(ENTRIES, 1)}
NAME_INDICES: Final = {name: index for index, (name, _) in reversed(list(enumerate(ENTRIES, 1)))}


def entry_size(name: bytes, value: bytes) -> int:
    """Return the bytes that a field counts for (RFC 7541 section 4.1, RFC 9113 section 6.5.2)."""
    return len(name) + len(value) + ENTRY_OVERHEAD
