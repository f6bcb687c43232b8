"""NO_PROXY, row by row: what an entry stands for, and what it does not."""

import pytest
from kit.cases import each_case

from dugong_like.transport.proxy.no_proxy import address_of, is_exempt

DIRECT = [
    # entries, host, port
    ("*", "example.org", 80),
    ("*", "::1", 80),
    ("other.test, *", "example.org", 80),
    ("example.org", "example.org", 80),
    ("EXAMPLE.org", "example.ORG", 80),
    ("example.org.", "example.org", 80),
    ("example.org", "example.org.", 80),
    ("example.org", "www.example.org", 80),
    ("example.org", "a.b.c.example.org", 80),
    (".example.org", "www.example.org", 80),
    (".example.org", "example.org", 80),
    ("org", "example.org", 80),
    ("localhost", "localhost", 80),
    ("a.test,example.org", "example.org", 80),
    ("a.test example.org", "example.org", 80),
    (" a.test ,\t, example.org ,", "example.org", 80),
    ("example.org:443", "example.org", 443),
    (".example.org:443", "www.example.org", 443),
    ("example.org:0443", "example.org", 443),
    ("b\xfccher.test", "xn--bcher-kva.test", 80),
    ("xn--bcher-kva.test", "www.xn--bcher-kva.test", 80),
    ("under_score.test", "under_score.test", 80),
    ("127.0.0.1", "127.0.0.1", 80),
    ("127.0.0.1:80", "127.0.0.1", 80),
    ("127.0.0.1", "127.1", 80),
    ("127.0.0.1", "0x7f.1", 80),
    ("127.0.0.1", "2130706433", 80),
    ("127.0.0.1", "0177.0.0.01", 80),
    ("127.1", "127.0.0.1", 80),
    ("10.0.0.1", "::ffff:10.0.0.1", 80),
    ("::ffff:10.0.0.1", "10.0.0.1", 80),
    ("::FFFF:a00:1", "10.0.0.1", 80),
    ("::1", "::1", 80),
    ("[::1]", "::1", 80),
    ("[::1]:80", "::1", 80),
    ("0:0:0:0:0:0:0:1", "::1", 80),
    ("2001:DB8::A", "2001:db8:0:0::a", 80),
    ("::1", "0:0::0:1", 80),
    ("10.0.0.0/8", "10.255.1.2", 80),
    ("10.1.2.3/8", "10.255.1.2", 80),
    ("10.0.0.1/32", "10.0.0.1", 80),
    ("0.0.0.0/0", "1.2.3.4", 80),
    ("10.0.0.0/8", "::ffff:10.1.1.1", 80),
    ("::ffff:10.0.0.0/104", "10.1.1.1", 80),
    ("127.0.0.0/8", "127.1", 80),
    ("fd00::/8", "fd12:3456::1", 80),
    ("::/0", "2001:db8::1", 80),
    ("2001:db8::/32", "2001:DB8:ffff::", 80),
    ("2001:db8::1/128", "2001:db8::1", 80),
    ("fe80::/10", "fe80::1%eth0", 80),
    ("fe80::1", "fe80::1%eth0", 80),
    ("fe80::1%eth0", "fe80::1%eth0", 80),
    ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ("::1", "::1%lo.example.org", 80),
]
THROUGH_THE_PROXY = [
    ("", "example.org", 80),
    (" , ,", "example.org", 80),
    ("example.org", "example.com", 80),
    ("example.org", "badexample.org", 80),  # not at the border of a label
    (".example.org", "badexample.org", 80),
    ("example.org", "example.org.evil.test", 80),
    ("www.example.org", "example.org", 80),
    ("example.org:443", "example.org", 80),
    ("example.org:443", "example.org", 4430),
    ("[::1]:443", "::1", 80),
    ("127.0.0.1:443", "127.0.0.1", 80),
    ("127.0.0.1", "127.0.0.2", 80),
    ("0.0.1", "127.0.0.1", 80),  # an address has no labels
    ("1", "127.0.0.1", 80),
    ("127.0.0.1", "127.0.0.1.example.org", 80),
    ("10.0.0.0/8", "11.0.0.1", 80),
    ("10.0.0.0/8", "example.org", 80),
    ("10.0.0.0/8", "10.example.org", 80),
    ("::/0", "1.2.3.4", 80),
    ("0.0.0.0/0", "::1", 80),
    ("fd00::/8", "fe80::1", 80),
    ("::1", "::2", 80),
    ("::1:80", "::1", 80),  # another address, not a port
    ("fe80::1%eth0", "fe80::1", 80),
    ("fe80::1%eth0", "fe80::1%eth1", 80),
    # CVE-2025-22870: a zone is no part of a name
    ("example.org", "::1%.example.org", 80),
    (".example.org", "fe80::1%25.example.org", 80),
    ("org", "::1%org", 80),
    # malformed
    ("*.example.org", "www.example.org", 80),
    ("*example.org", "example.org", 80),
    (".*", "example.org", 80),
    (".", "example.org", 80),
    ("..example.org", "example.org", 80),
    ("example..org", "example.org", 80),
    ("<local>", "localhost", 80),
    ("http://example.org", "example.org", 80),
    ("example.org/", "example.org", 80),
    ("user@example.org", "example.org", 80),
    ("example.org:", "example.org", 80),
    ("example.org:http", "example.org", 80),
    ("example.org:99999", "example.org", 80),
    ("example.org:0", "example.org", 80),
    ("example.org:80:80", "example.org", 80),
    (":80", "example.org", 80),
    (":", "example.org", 80),
    ("[example.org]", "example.org", 80),
    ("[127.0.0.1]", "127.0.0.1", 80),
    ("[::1", "::1", 80),
    ("::1]", "::1", 80),
    ("[::1]80", "::1", 80),
    ("[a:b]", "a", 80),
    ("127.0.0.1%lo", "127.0.0.1", 80),
    ("127.0.0.1/", "127.0.0.1", 80),
    ("127.0.0.1/33", "127.0.0.1", 80),
    ("127.0.0.1/-1", "127.0.0.1", 80),
    ("127.0.0.0/255.0.0.0", "127.0.0.1", 80),
    ("127.0.0.0/8:80", "127.0.0.1", 80),
    ("127.0.0.0/8/8", "127.0.0.1", 80),
    ("/8", "127.0.0.1", 80),
    ("::/129", "::1", 80),
    ("fe80::1%eth0/64", "fe80::1%eth0", 80),
    ("[fd00::]/8", "fd00::1", 80),
    ("256.0.0.1", "256.0.0.1.test", 80),
    ("1.2.3.4.5", "1.2.3.4", 80),
    ("0x1ffffffff", "::1", 80),
    ("08.8.8.8", "8.8.8.8", 80),
    ("\x00", "example.org", 80),
    ("\u2100", "a", 80),
]


@pytest.mark.feature("A57")
@pytest.mark.reliability(62)
@each_case(("entries", "host", "port"), DIRECT)
def test_servers_that_are_reached_without_the_proxy(entries, host, port):
    assert is_exempt(entries, host, port)


@pytest.mark.feature("A57")
@pytest.mark.reliability(62)
@each_case(("entries", "host", "port"), THROUGH_THE_PROXY)
def test_servers_that_are_reached_through_the_proxy(entries, host, port):
    assert not is_exempt(entries, host, port)


@pytest.mark.reliability(62)
def test_malformed_entries_do_not_hide_the_others():
    entries = ", ".join(entry for entry, _, _ in THROUGH_THE_PROXY[28:])

    assert not is_exempt(entries, "other.test", 80)
    assert is_exempt(f"{entries}, other.test", "other.test", 80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3.4", "1.2.3.4"), ("1.2.772", "1.2.3.4"), ("1.131844", "1.2.3.4"),
        ("0x01020304", "1.2.3.4"), ("010.0.0.1", "8.0.0.1"), ("4294967295", "255.255.255.255"),
        ("4294967296", None), ("1.2.3.256", None), ("256.1", None), ("1.2.65536", None),
        ("1.16777216", None), ("", None), ("0x", None), ("1..2", None), ("a", None), ("1.2.", None),
        ("::g", None), ("::1.2.3.4", "::102:304"), ("09", None),
    ],
)  # fmt: skip
def test_addresses(text, expected):
    address, zone = address_of(text)

    assert (None if address is None else str(address), zone) == (expected, "")
