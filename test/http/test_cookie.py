"""What a line Set-Cookie does, as a table: the cases of http-state and of the web platform tests.

Each row: the section of RFC 6265bis, the URL of the response, its lines, the URL of the next
request, and the field Cookie of that; ``""`` for none.
"""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.cases import each_case

from dugong_like import Cookie, Cookies, InvalidRequest
from dugong_like.http.cookie import (
    Place,
    check_pair,
    domain_matches,
    is_address,
    is_loopback,
    path_matches,
    read_set_cookie,
)
from dugong_like.http.public_suffixes import built_in

NOW = 1_700_000_000  # November 2023
FUTURE = "Fri, 01 Mar 2024 08:00:00 GMT"
PAST = "Mon, 01 Mar 2010 08:00:00 GMT"

HTTP = "http://www.shop.example/dir/page"
TLS = "https://www.shop.example/dir/page"
HERE = (HTTP, HTTP)
SAFE = (TLS, TLS)
LONG = "v" * 4095


def rows(section, urls, *cases):
    """Return rows with the same section and the same two URLs."""
    where, to = urls
    return [
        (section, where, [lines] if isinstance(lines, str) else lines, to, sent)
        for lines, sent in cases
    ]


TABLE = [
    *rows(
        "5.6 name and value", HERE,
        ("n=v", "n=v"),
        ("n=", "n="),
        ("n", "n"),
        ("=v", "v"),
        ("=", ""),
        ("", ""),
        ("   ", ""),
        ("\t", ""),
        ("; Path=/", ""),
        ("=; Path=/", ""),
        (" ; n=v", ""),
        ("=n=v", "n=v"),
        ("==n=v", "=n=v"),
        ("n==v", "n==v"),
        ("n=v=w", "n=v=w"),
        ("n=v;w", "n=v"),
        ("n;w=v", "n"),
        ("  n  =  v  ;  x  ", "n=v"),
        ("\tn\t=\tv\t", "n=v"),
        ("n =v", "n=v"),
        ("n m=v w", "n m=v w"),
        ("n=v\tw", "n=v\tw"),
        ("n\tm=v", "n\tm=v"),
        ("\xa0n=v\xa0", "\xa0n=v\xa0"),  # no white space of HTTP
        ("n=v, m=w", "n=v, m=w"),
        ("n=v,m=w;Path=/", "n=v,m=w"),
        ('n="v"', 'n="v"'),
        ('n="v;w"', 'n="v'),
        ('n="v', 'n="v'),
        ('n=" v "', 'n=" v "'),
        ('"n=v"', '"n=v"'),
        ('"n=v;w"=x', '"n=v'),
        ("n=v\\;w", "n=v\\"),
        ("$Version=1; n=v", "$Version=1"),
        ("n={\"a\":[1,2]}", "n={\"a\":[1,2]}"),
        ("1=v", "1=v"), ("$=v", "$=v"), ("!n=v", "!n=v"), ("@n=v", "@n=v"), ("#n=v", "#n=v"),
        ("%6e=v", "%6e=v"), ("(n)=v", "(n)=v"), ("+=v", "+=v"), ("n[m]=v", "n[m]=v"),
        ("n=\xe4\xff", "n=\xe4\xff"),
        ("\xc3\xa4=v", "\xc3\xa4=v"),
        ("N=1", "N=1"),
    ),
    *rows(
        "5.6 step 1, control characters", HERE,
        *((f"n=v{chr(code)}w", "") for code in (0, 1, 8, 10, 11, 12, 13, 27, 31, 127)),
        ("n\x00=v", ""),
        ("n=v; Path=/\r", ""),
        ("n=v; x=\x7f", ""),
        ("n=v\x80w", "n=v\x80w"),
    ),
    *rows(
        "5.6 step 5, sizes", HERE,
        (f"n={LONG}", f"n={LONG}"),
        (f"n={LONG}v", ""),
        (f"nn={LONG}", ""),
        (f"{LONG}=v", f"{LONG}=v"),
        (f"{LONG}v=v", ""),
        (LONG + "v", LONG + "v"),
        (LONG + "vv", ""),
        (f"n={LONG}   ", f"n={LONG}"),
        (f"n=v; Path=/{'p' * 1024}", "n=v"),  # ignored, so the path is /dir
        (f"n=v; Path=/nowhere; Path=/{'p' * 1024}", ""),
        (f"n=v; Path=/{'p' * 1023}", ""),
        (f"n=v; Max-Age={'0' * 1025}", "n=v"),
        (f"n=v; Max-Age={'0' * 1024}", ""),
        (f"n=v; x={'y' * 5000}", "n=v"),
    ),
    *rows(
        "5.6.1 Expires", HERE,
        (f"n=v; Expires={FUTURE}", "n=v"),
        (f"n=v; expires={PAST}", ""),
        (f"n=v; EXPIRES = {PAST} ", ""),
        ("n=v; Expires=", "n=v"),
        ("n=v; Expires", "n=v"),
        ("n=v; Expires=soon", "n=v"),
        (f"n=v; Expires={FUTURE}, m=w", "n=v"),
        ("n=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT", ""),
        ("n=v; Expires=Mon, 01 Jan 1601 00:00:00 GMT", ""),
        (f"n=v; Expires={PAST}; Expires={FUTURE}", "n=v"),
        (f"n=v; Expires={FUTURE}; Expires={PAST}", ""),
        (f"n=v; Expires={PAST}; Expires=bad", ""),
        (["n=v", f"n=; Expires={PAST}"], ""),
        (["n=v", "m=w", f"n=v; Expires={PAST}"], "m=w"),
        ([f"n=v; Expires={PAST}", "m=w"], "m=w"),
    ),
    *rows(
        "5.6.2 Max-Age", HERE,
        ("n=v; Max-Age=1", "n=v"),
        ("n=v; Max-Age=0", ""),
        ("n=v; max-age=-1", ""),
        ("n=v; Max-Age=-99999999999999999999", ""),
        ("n=v; Max-Age=99999999999999999999", "n=v"),
        ("n=v; Max-Age=007", "n=v"),
        ("n=v; Max-Age=", "n=v"),
        ("n=v; Max-Age", "n=v"),
        ("n=v; Max-Age=-", "n=v"),
        ("n=v; Max-Age=+0", "n=v"),
        ("n=v; Max-Age=0x0", "n=v"),
        ("n=v; Max-Age=0.5", "n=v"),
        ("n=v; Max-Age=0 0", "n=v"),
        ("n=v; Max-Age=\"0\"", "n=v"),
        ("n=v; Max-Age=\u00b2", "n=v"),
        ("n=v; Max-Age=5,000", "n=v"),
        ("n=v; Max-Age=0; Max-Age=9", "n=v"),
        ("n=v; Max-Age=9; Max-Age=0", ""),
        ("n=v; Max-Age=0; Max-Age=x", ""),
        (f"n=v; Max-Age=9; Expires={PAST}", "n=v"),
        (f"n=v; Expires={PAST}; Max-Age=9", "n=v"),
        (f"n=v; Max-Age=0; Expires={FUTURE}", ""),
        (f"n=v; Max-Age=x; Expires={PAST}", ""),
        (["n=v; Max-Age=9", "m=w; Max-Age=9", "n=; Max-Age=0"], "m=w"),
        (["n=v", "N=w; Max-Age=0"], "n=v"),
    ),
    *rows(
        "5.6.3 Domain", HERE,
        ("n=v; Domain=www.shop.example", "n=v"),
        ("n=v; Domain=.www.shop.example", "n=v"),
        ("n=v; Domain=shop.example", "n=v"),
        ("n=v; DOMAIN=.SHOP.example", "n=v"),
        ("n=v; Domain =  .shop.example  ", "n=v"),
        ("n=v; Domain=", "n=v"),
        ("n=v; Domain", "n=v"),
        ("n=v; Domain=.", "n=v"),
        ("n=v; Domain=..shop.example", ""),
        ("n=v; Domain=www..shop.example", ""),
        ("n=v; Domain=. shop.example", ""),
        ("n=v; Domain=shop.example.", ""),
        ("n=v; Domain=shop.example..", ""),
        ("n=v; Domain=shop.example .", ""),
        ("n=v; Domain=example", ""),
        ("n=v; Domain=.example", ""),
        ("n=v; Domain=example.", ""),
        ("n=v; Domain=hop.example", ""),
        ("n=v; Domain=other.example", ""),
        ("n=v; Domain=api.shop.example", ""),
        ("n=v; Domain=a.www.shop.example", ""),
        ("n=v; Domain=\"shop.example\"", ""),
        ("n=v; Domain=shop.example:80", ""),
        ("n=v; Domain=http://shop.example", ""),
        ("n=v; Domain=*.shop.example", ""),
        ("n=v; Domain=sh\xf6p.example", ""),
        ("n=v; Domain=\u017fhop.example", ""),  # which is shop.example in upper case
        ("n=v; Domain=shop.example,other.example", ""),
        ("n=v; Domain=shop.example; Domain=other.example", ""),
        ("n=v; Domain=other.example; Domain=shop.example", "n=v"),
        ("n=v; Domain=other.example; Domain=", "n=v"),
        ("n=v; Domain=a; Domain=shop.example; Domain=b", ""),
        (["n=1; Domain=shop.example", "n=2; Domain=.shop.example"], "n=2"),
        (["n=1; Domain=shop.example", "n=2"], "n=1; n=2"),
        (["n=1; Domain=www.shop.example; Path=/", "n=2; Path=/"], "n=1; n=2"),
        (["n=1; Domain=shop.example", "n=2; Domain=shop.example; Max-Age=0"], ""),
        (["n=1", "n=2; Domain=www.shop.example; Max-Age=0"], "n=1"),
    ),
    *rows(
        "5.1.3 a subdomain asks", (HTTP, "http://a.www.shop.example/dir/"),
        ("n=v", ""),
        ("n=v; Domain=", ""),
        ("n=v; Domain=www.shop.example", "n=v"),
        ("n=v; Domain=.shop.example", "n=v"),
        ("n=v; Domain=shop.example; Domain=", ""),
    ),
    *rows(
        "5.1.3 a sibling asks", (HTTP, "http://api.shop.example/dir/"),
        ("n=v", ""),
        ("n=v; Domain=www.shop.example", ""),
        ("n=v; Domain=shop.example", "n=v"),
        ("n=v; Domain=api.shop.example", ""),
    ),
    *rows(
        "5.1.3 the domain above asks", (HTTP, "http://shop.example/dir/"),
        ("n=v", ""),
        ("n=v; Domain=www.shop.example", ""),
        ("n=v; Domain=shop.example", "n=v"),
    ),
    *rows(
        "5.1.3 a stranger asks", (HTTP, "http://evilshop.example/dir/"),
        ("n=v; Domain=shop.example", ""),
    ),
    *rows(
        "5.1.3 another port asks", (HTTP, "http://WWW.Shop.Example:8080/dir/"),
        ("n=v", "n=v"),
        ("n=v; Domain=www.shop.example", "n=v"),
    ),
    *rows(
        "5.1.3 an IPv4 address", ("http://127.0.0.1/", "http://127.0.0.1/"),
        ("n=v", "n=v"),
        ("n=v; Domain=127.0.0.1", "n=v"),
        ("n=v; Domain=.127.0.0.1", "n=v"),
        ("n=v; Domain=0.0.1", ""),
        ("n=v; Domain=1", ""),
        ("n=v; Domain=.0.1", ""),
    ),
    *rows(
        "5.1.3 an IPv6 address", ("http://[2001:db8::1]/", "http://[2001:db8::1]/"),
        ("n=v", "n=v"),
        ("n=v; Domain=2001:db8::1", "n=v"),
        ("n=v; Domain=[2001:db8::1]", ""),
        ("n=v; Domain=:1", ""),
    ),
    ("5.1.3", "http://127.0.0.1/", ["n=v; Domain=127.0.0.1"], "http://a.127.0.0.1/", ""),
    ("5.1.3", "http://127.0.0.1/", ["n=v"], "http://127.0.0.2/", ""),
    ("5.1.3", "http://k.example/", ["n=v; Domain=\u212a.example"], "http://k.example/", ""),
    ("5.1.2", "http://shop.example./", ["n=v"], "http://shop.example./", "n=v"),
    ("5.1.2", "http://shop.example./", ["n=v"], "http://shop.example/", ""),
    ("5.1.2", "http://shop.example/", ["n=v"], "http://shop.example./", ""),
    ("5.1.2", "http://a.shop.example./", ["n=v; Domain=shop.example"], "http://shop.example./", ""),
    ("5.1.2", "http://a.sh.example./", ["n=v; Domain=sh.example."], "http://sh.example./", "n=v"),
    ("5.1.2", "http://xn--a.example", ["n=v; Domain=xn--A.example"], "http://xn--a.example", "n=v"),
    *rows(
        "5.7 step 9, public suffixes", ("http://a.b.co.uk/", "http://a.b.co.uk/"),
        ("n=v; Domain=b.co.uk", "n=v"),
        ("n=v; Domain=co.uk", ""),
        ("n=v; Domain=.co.uk", ""),
        ("n=v; Domain=CO.UK", ""),
        ("n=v; Domain=uk", ""),
        ("n=v; Domain=co.uk.", ""),
    ),
    ("5.7 step 9", "http://a.co.uk./", ["n=v; Domain=co.uk."], "http://a.co.uk./", ""),
    ("5.7 step 9", "http://shop.com/", ["n=v; Domain=com"], "http://shop.com/", ""),
    ("5.7 step 9", "http://me.github.io/", ["n=v; Domain=github.io"], "http://me.github.io/", ""),
    ("5.7 step 9", "http://github.io/", ["n=v; Domain=github.io"], "http://github.io/", "n=v"),
    ("5.7 step 9", "http://github.io/", ["n=v; Domain=github.io"], "http://me.github.io/", ""),
    ("5.7 step 9", "http://localhost/", ["n=v; Domain=localhost"], "http://localhost/", "n=v"),
    ("5.7 step 9", "http://localhost/", ["n=v; Domain=localhost"], "http://a.localhost/", ""),
    ("5.7 step 9", "http://intranet/", ["n=v"], "http://intranet/", "n=v"),
    *rows(
        "5.6.4 Path", HERE,
        ("n=v; Path=/", "n=v"),
        ("n=v; path=/dir", "n=v"),
        ("n=v; PATH = /dir ", "n=v"),
        ("n=v; Path=/dir/", "n=v"),
        ("n=v; Path=/dir/page", "n=v"),
        ("n=v; Path=/dir/page/", ""),
        ("n=v; Path=/dir/pag", ""),
        ("n=v; Path=/di", ""),
        ("n=v; Path=/DIR", ""),
        ("n=v; Path=/other", ""),
        ("n=v; Path=//", ""),
        ("n=v; Path=", "n=v"),
        ("n=v; Path", "n=v"),
        ("n=v; Path=dir", "n=v"),
        ("n=v; Path=\"/other\"", "n=v"),
        ("n=v; Path=http://a/", "n=v"),
        ("n=v; Path=/dir?x", ""),
        ("n=v; Path=/dir#x", ""),
        ("n=v; Path=/d%69r", ""),
        ("n=v; Path=/dir\xe4", ""),
        ("n=v; Path=/other; Path=/dir", "n=v"),
        ("n=v; Path=/dir; Path=/other", ""),
        ("n=v; Path=/other; Path=", "n=v"),
        ("n=v; Path=; Path=/other", ""),
        (["n=1; Path=/", "n=2; Path=/dir"], "n=2; n=1"),
        (["n=1; Path=/dir", "n=2; Path=/dir/"], "n=2; n=1"),
        (["n=1; Path=/dir", "n=2"], "n=2"),  # the default path is /dir
        (["n=1; Path=/", "n=2; Path=/; Max-Age=0"], ""),
        (["n=1; Path=/", "n=2; Max-Age=0"], "n=1"),
    ),
    *rows(
        "5.1.4 default path", (HTTP, "http://www.shop.example/"),
        ("n=v", ""),
        ("n=v; Path=/", "n=v"),
    ),
    ("5.1.4", HTTP, ["n=v"], "http://www.shop.example/dir", "n=v"),
    ("5.1.4", HTTP, ["n=v"], "http://www.shop.example/dir?a/b", "n=v"),
    ("5.1.4", HTTP, ["n=v"], "http://www.shop.example/dir/a/b", "n=v"),
    ("5.1.4", HTTP, ["n=v"], "http://www.shop.example/directory", ""),
    ("5.1.4", HTTP, ["n=v"], "http://www.shop.example/d%69r", ""),
    ("5.1.4", "http://shop.example", ["n=v"], "http://shop.example/a", "n=v"),
    ("5.1.4", "http://shop.example?a/b", ["n=v"], "http://shop.example/c", "n=v"),
    ("5.1.4", "http://shop.example/a?b/c", ["n=v"], "http://shop.example/d", "n=v"),
    ("5.1.4", "http://shop.example/a/", ["n=v"], "http://shop.example/a", "n=v"),
    ("5.1.4", "http://shop.example/a/", ["n=v"], "http://shop.example/b", ""),
    ("5.1.4", "http://shop.example//a", ["n=v"], "http://shop.example//b", "n=v"),
    ("5.1.4", "http://shop.example/", ["n=v; Path=/a/"], "http://shop.example/a//b", "n=v"),
    *rows(
        "5.7 step 13, Secure without TLS", HERE,
        ("n=v; Secure", ""),
        ("n=v; SECURE", ""),
        ("n=v; Secure=", ""),
        ("n=v; Secure=false", ""),
        ("n=v;   Secure   ; x", ""),
        ("n=v; x=\"a;b\"; Secure", ""),
        ("n=v; \"Secure\"", "n=v"),
        ("n=v; Secure x", "n=v"),
        ("n=v; x=Secure", "n=v"),
    ),
    *rows("5.7 step 13, Secure with TLS", SAFE, ("n=v; Secure", "n=v"), ("n=v", "n=v")),
    ("5.8.3 step 1", TLS, ["n=v; Secure", "m=w"], HTTP, "m=w"),
    ("5.8.3 step 1", TLS, ["n=v; Secure"], "wss://www.shop.example/dir/", "n=v"),
    ("5.8.3 step 1", TLS, ["n=v; Secure"], "ws://www.shop.example/dir/", ""),
    ("5.8.3 step 1", HTTP, ["n=v"], TLS, "n=v"),
    *(
        ("this machine is secure", f"http://{host}/", ["n=v; Secure"], f"http://{host}:81/", "n=v")
        for host in ("localhost", "LOCALHOST", "a.localhost", "localhost.", "127.0.0.1",
                     "127.9.9.9", "[::1]")
    ),
    *(
        ("another one is not", f"http://{host}/", ["n=v; Secure"], f"http://{host}/", "")
        for host in ("notlocalhost", "localhost.example", "127.0.0.1.example", "10.0.0.1", "[::2]")
    ),
    *rows(
        "5.6.7 SameSite with TLS", SAFE,
        ("n=v; SameSite=Strict", "n=v"),
        ("n=v; SameSite=lax", "n=v"),
        ("n=v; SameSite=", "n=v"),
        ("n=v; SameSite=other", "n=v"),
        ("n=v; SameSite=None; Secure", "n=v"),
        ("n=v; SameSite=None", ""),
        ("n=v; SameSite=none; SameSite=Lax", "n=v"),
        ("n=v; HttpOnly", "n=v"),
        ("n=v; Partitioned; Secure", "n=v"),
    ),
    *rows(
        "5.7 step 20, __Secure-", SAFE,
        ("__Secure-n=v; Secure", "__Secure-n=v"),
        ("__Secure-n=v; Secure; Domain=shop.example", "__Secure-n=v"),
        ("__SECURE-n=v; Secure", "__SECURE-n=v"),
        ("__Secure-n=v", ""),
        ("__secure-n=v", ""),
        ("__Secure-=v", ""),
        ("__Secure-=v; Secure", "__Secure-=v"),
        ("__Secure=v", "__Secure=v"),
        ("_Secure-n=v", "_Secure-n=v"),
        ("x__Secure-n=v", "x__Secure-n=v"),
    ),
    *rows(
        "5.7 step 21, __Host-", SAFE,
        ("__Host-n=v; Secure; Path=/", "__Host-n=v"),
        ("__hOST-n=v; Secure; Path=/", "__hOST-n=v"),
        ("__Host-n=v; Secure; Path=/; Domain=", "__Host-n=v"),
        ("__Host-n=v; Path=/", ""),
        ("__host-n=v; Path=/", ""),
        ("__Host-n=v; Secure", ""),
        ("__Host-n=v; Secure; Path=", ""),
        ("__Host-n=v; Secure; Path=/dir", ""),
        ("__Host-n=v; Secure; Path=/; Domain=shop.example", ""),
        ("__Host-n=v; Secure; Path=/; Domain=www.shop.example", ""),
        ("__Host=v", "__Host=v"),
    ),
    ("5.7 step 21", "https://shop.example/", ["__Host-n=v; Secure"], "https://shop.example/", ""),
    *rows(
        "5.7 step 21, without TLS", HERE,
        ("__Host-n=v; Secure; Path=/", ""),
        ("__Secure-n=v; Secure", ""),
        ("__Secure-n=v", ""),
        ("__Host-n=v; Path=/", ""),
    ),
    *rows(
        "5.7 step 22, prefixes without a name", SAFE,
        ("=__Secure-n=v; Secure", ""),
        ("=__Host-n=v; Secure; Path=/", ""),
        ("=__host-n; Secure; Path=/", ""),
        ("__Secure-n; Secure", ""),
        ("  =  __Secure-n=v", ""),
        ("=x__Secure-n=v", "x__Secure-n=v"),
    ),
    *rows(
        "layered cookies, __Http- and __Host-Http-", SAFE,
        ("__Http-n=v; Secure; HttpOnly", "__Http-n=v"),
        ("__Http-n=v; Secure", ""),
        ("__http-n=v; HttpOnly", ""),
        ("__Host-Http-n=v; Secure; HttpOnly; Path=/", "__Host-Http-n=v"),
        ("__Host-Http-n=v; Secure; Path=/", ""),
        ("__host-http-n=v; Secure; HttpOnly", ""),
    ),
    *rows(
        "5.7 step 23, one cookie replaces another", HERE,
        (["n=1", "n=2"], "n=2"),
        (["n=1", "m=2", "n=3"], "n=3; m=2"),  # it keeps its creation time
        (["n=1", "N=2"], "n=1; N=2"),
        (["n=1", "n =2"], "n=2"),
        (["n", "m"], "m"),  # both without a name
        (["n", "=m"], "m"),
        (["n", "n=v"], "n; n=v"),
        (["n=1", "n=2; HttpOnly"], "n=2"),
        (["n=1; HttpOnly", "n=2"], "n=2"),
        (["n=1", "m=2", "n=; Max-Age=0", "n=3"], "m=2; n=3"),  # anew
        (["z=1", "a=2", "m=3"], "z=1; a=2; m=3"),
        (["a=1", "b=\x00", "c=3"], "a=1; c=3"),
    ),
    *rows(
        "5.8.3 step 2, order", (HTTP, "http://www.shop.example/dir/page/x"),
        (
            ["a=1; Path=/", "b=2; Path=/dir/page", "c=3; Path=/dir", "d=4; Path=/dir/page/x"],
            "d=4; b=2; c=3; a=1",
        ),
        (["a=1; Path=/; Domain=shop.example", "b=2; Path=/"], "a=1; b=2"),
        (["b=2; Path=/", "a=1; Path=/; Domain=shop.example"], "b=2; a=1"),
    ),
]  # fmt: skip


@functools.cache
def from_package():
    return pytest.importorskip("publicsuffixlist").PublicSuffixList().is_public


@pytest.mark.reliability(63)
@pytest.mark.parametrize("suffixes", ["built-in", "package"])
@each_case("row", TABLE)
def test_table(row, suffixes):
    _, where, lines, to, sent = row
    jar = Cookies(is_public_suffix=from_package() if suffixes == "package" else built_in)
    jar.extract(where, lines, NOW)

    assert (jar.header(to, NOW) or "") == sent


def test_the_table_is_large():
    assert len(TABLE) >= 140
    assert all(row[0] for row in TABLE)


@pytest.mark.parametrize("line", ["n=v; Max-Age=99999999999", "n=v; Expires=1 Jan 9999 00:00:00"])
def test_no_cookie_lives_longer_than_400_days(line):
    jar = Cookies()
    jar.extract(TLS, [line], NOW)

    assert jar.cookies()[0].expires == NOW + 400 * 86400
    assert jar.header(TLS, NOW + 400 * 86400 - 1) == "n=v"
    assert jar.header(TLS, NOW + 400 * 86400) is None


def test_all_that_is_stored():
    line = "n=v; Domain=shop.example; Path=/x; Max-Age=60; Secure; HttpOnly; SameSite=StricT"
    cookie = read_set_cookie(line, Place.of(TLS), NOW, built_in)

    assert cookie == Cookie(
        "n", "v", "shop.example", "/x", NOW + 60, True, True, "strict", host_only=False
    )
    assert repr(cookie) == "<Cookie 'n' of .shop.example/x>"
    plain = read_set_cookie("n=v", Place.of(HTTP), NOW, built_in)
    assert plain == Cookie("n", "v", "www.shop.example", "/dir")


@pytest.mark.parametrize(
    ("value", "stored"),
    [("Strict", "strict"), ("LAX", "lax"), ("None", "none"), ("x", ""), ("", "")],
)
def test_same_site_is_stored(value, stored):
    line = f"n=v; Secure; SameSite={value}"

    assert read_set_cookie(line, Place.of(TLS), NOW, built_in).same_site == stored


@given(st.text(st.characters(max_codepoint=255)) | st.from_regex(r"[a=; \t]*", fullmatch=True))
def test_any_line_is_a_cookie_or_ignored(line):
    cookie = read_set_cookie(line, Place.of(TLS), NOW, built_in)

    assert cookie is None or 0 < len(cookie.name + cookie.value) <= 4096


@pytest.mark.reliability(63)
def test_a_long_line_takes_time_by_its_length():
    line = "n=v" + ";a=b" * 250_000

    assert read_set_cookie(line, Place.of(TLS), NOW, built_in).value == "v"
    assert read_set_cookie("=" * 1_000_000, Place.of(TLS), NOW, built_in) is None


@pytest.mark.parametrize(
    ("host", "address", "loopback"),
    [
        ("127.0.0.1", True, True), ("::1", True, True), ("10.1.2.3", True, False),
        ("fe80::1%eth0", True, False), ("1.2.3", True, False), ("a.0x7f", True, False),
        ("localhost", False, True), ("a.localhost.", False, True), ("example.com", False, False),
        ("127.example", False, False), ("127", True, False),
    ],
)  # fmt: skip
def test_kinds_of_hosts(host, address, loopback):
    assert is_address(host) is address
    assert is_loopback(host) is loopback


def test_matching():
    assert domain_matches("a.b.example", "b.example")
    assert not domain_matches("ab.example", "b.example")
    assert not domain_matches("1.2.3.4", "3.4")
    assert path_matches("/a/b", "/a")
    assert not path_matches("/ab", "/a")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("", "v", "not the name"), ("a=b", "v", "not the name"), ("a;b", "v", "not the name"),
        ("a\r\nb", "v", "not the name"), (" a", "v", "not the name"),
        ("\u20ac", "v", "not the name"),
        ("a", "x\r\ny", "U.000D"), ("a", "x;y", "U.003B"),
        ("a", "x\x00", "U.0000"), ("a", "x\ty", "U.0009"),
        ("a", "\u20ac", "U.20AC"), ("a", " x", "begins or ends with white space"),
        ("a", "x ", "begins or ends with white space"), ("a", "x" * 4096, "4097 octets"),
    ],
)  # fmt: skip
def test_what_users_must_not_set(name, value, message):
    with pytest.raises(InvalidRequest, match=message):
        check_pair(name, value)


@pytest.mark.parametrize(("name", "value"), [(1, "v"), ("a", 1), ("a", None), (None, "v")])
def test_types_of_what_users_set(name, value):
    with pytest.raises(TypeError, match="of (a|the) cookie"):
        check_pair(name, value)


def test_messages_do_not_show_values():
    for value in ("secret\r\n", "secret ", "secret" * 1000):
        with pytest.raises(InvalidRequest) as caught:
            check_pair("a", value)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "v", '"v"', "a b", "a,b", "a=b", "\xe4", "\\", b"\xe4"])
def test_what_users_may_set(value):
    assert check_pair("a", value)[1] == (value if isinstance(value, str) else "\xe4")
