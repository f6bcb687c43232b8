"""The field Link: URLs with their relations to a response (RFC 8288 section 3).

A link that breaks the grammar is skipped up to the next one.

Not here: resolving the URLs, which may be relative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .content_type import end_of_parameters, first_of_each, parameters
from .extended_values import extended_value

_target = re.compile(r"<([^<>]*+)>[\t ]*+(?=[;,]|\Z)").match


def parse_links(values: str | Iterable[str]) -> list[dict[str, str]]:
    """Return the links in the values of one or several fields, in their order.

    Each is a dict of ``"url"`` and the parameters of the link, such as ``"rel"`` and ``"title"``,
    names in lower case. The first one of each name counts. ``"title*"`` is decoded (RFC 8187).
    """
    found = []
    for value in (values,) if isinstance(values, str) else values:
        at = value.find("<")
        while at >= 0:
            match = _target(value, at)
            if match is None:
                at = value.find("<", at + 1)
                continue
            pairs = parameters(value, match.end())
            decoded = (
                (name, extended_value(text) if name.endswith("*") else text) for name, text in pairs
            )
            known = ((name, text) for name, text in decoded if text is not None and name != "url")
            found.append({"url": match[1].strip(), **first_of_each(known)})
            at = value.find("<", end_of_parameters(value, match.end()))
    return found


def links_by_relation(values: str | Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the links of `parse_links` by their relations, such as ``"next"``, in lower case.

    A link with several relations is there under each of them, one without any under its URL. Of
    several links with the same relation the last one counts.
    """
    found = {}
    for link in parse_links(values):
        for relation in link.get("rel", "").lower().split() or [link["url"]]:
            found[relation] = link
    return found
