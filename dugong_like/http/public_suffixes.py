"""Public suffixes: domains below which anybody may register a name (RFC 6265bis section 5.5).

A cookie for such a domain would go to the servers of strangers. The list of all of them changes
weekly, so it is that of the package publicsuffixlist, where it is installed (the extra ``psl``).
Without it a built-in list knows the kinds that matter most: every domain of one label, such as
``com``, the second level of countries that register below it, such as ``co.uk``, and some providers
of hosting, such as ``github.io``.

Not here: what follows for a cookie (cookie.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

IsPublicSuffix = Callable[[str], bool]

# Second-level domains of countries, by the country.
SECOND_LEVEL: Final = {
    country: frozenset(labels.split())
    for country, labels in {
        "ae": "ac co gov mil net org sch",
        "ar": "com edu gob gov int mil net org tur",
        "at": "ac co gv or",
        "au": "asn com edu gov id net org",
        "bd": "ac co com edu gov mil net org",
        "br": "adv art blog com eco edu emp eng esp g12 gov ind inf jus leg med mil net org tv",
        "cn": "ac com edu gov mil net org",
        "co": "com edu gov mil net nom org",
        "cr": "ac co ed fi go or sa",
        "cy": "ac biz com gov ltd net org",
        "ec": "com edu fin gob gov info med mil net org pro",
        "eg": "com edu gov mil net org sci",
        "es": "com edu gob nom org",
        "fr": "asso com nom prd tm",
        "gr": "com edu gov net org",
        "gt": "com edu gob ind mil net org",
        "hk": "com edu gov idv net org",
        "hu": "2000 co info org priv",
        "id": "ac biz co desa go mil my net or sch web",
        "il": "ac co gov idf k12 muni net org",
        "in": "ac co edu firm gen gov ind mil net nic org res",
        "ir": "ac co gov id net org sch",
        "it": "edu gov",
        "jp": "ac ad co ed go gr lg ne or",
        "ke": "ac co go info me mobi ne or sc",
        "kr": "ac co es go hs kg mil ms ne or pe re sc",
        "lk": "ac com edu gov int net ngo org sch",
        "ma": "ac co gov net org press",
        "mx": "com edu gob net org",
        "my": "biz com edu gov mil name net org",
        "ng": "com edu gov i mil mobi name net org sch",
        "nz": "ac co cri geek gen govt health iwi kiwi maori mil net org parliament school",
        "pe": "com edu gob mil net nom org",
        "ph": "com edu gov i mil net ngo org",
        "pk": "ac com edu fam gob gok gop gos gov net org web",
        "pl": "com edu gov info net org",
        "pt": "com edu gov int net nome org publ",
        "py": "com coop edu gov mil net org",
        "ro": "arts com firm info nom nt org rec store tm www",
        "rs": "ac co edu gov in org",
        "sa": "com edu gov med net org pub sch",
        "sg": "com edu gov net org",
        "th": "ac co go in mi net or",
        "tr": "av bbs bel biz com dr edu gen gov info k12 mil name net org pol tel tv web",
        "tw": "com edu gov idv mil net org",
        "ua": "com edu gov in net org",
        "ug": "ac co com go ne or org sc",
        "uk": "ac co gov ltd me net nhs org plc police",
        "uy": "com edu gub mil net org",
        "uz": "co com net org",
        "ve": "co com edu gob gov info mil net org web",
        "vn": "ac biz com edu gov health info int name net org pro",
        "za": "ac co edu gov law mil net nom org school web",
        "zw": "ac co gov mil org",
    }.items()
}
# Hosting of sites that belong to strangers.
HOSTING: Final = frozenset(
    [
        "appspot.com",
        "azurestaticapps.net",
        "azurewebsites.net",
        "blogspot.com",
        "cloudfront.net",
        "co.com",
        "deno.dev",
        "eu.org",
        "firebaseapp.com",
        "fly.dev",
        "github.io",
        "gitlab.io",
        "herokuapp.com",
        "netlify.app",
        "ngrok.io",
        "ngrok-free.app",
        "onrender.com",
        "pages.dev",
        "readthedocs.io",
        "s3.amazonaws.com",
        "surge.sh",
        "vercel.app",
        "uk.com",
        "us.com",
        "web.app",
        "workers.dev",
        "za.com",
    ]
)


def built_in(domain: str) -> bool:
    """Return True if *domain* is a public suffix as far as the built-in list knows.

    Args:
        domain: in ASCII and lower case, without a dot at the end.

    """
    above, _, top = domain.rpartition(".")
    return not above or above in SECOND_LEVEL.get(top, ()) or domain in HOSTING


def default_list() -> IsPublicSuffix:
    """Return the function that decides: that of publicsuffixlist, or `built_in` without it.

    The package takes some 40 ms to read its list, once for the process.
    """
    global _chosen  # noqa: PLW0603 - one for the process
    if _chosen is None:
        _chosen = _from_package() or built_in
    return _chosen


def _from_package() -> IsPublicSuffix | None:
    try:
        from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - need not be there
    except ImportError:
        return None
    is_public: IsPublicSuffix = PublicSuffixList().is_public
    return is_public


_chosen: IsPublicSuffix | None = None
