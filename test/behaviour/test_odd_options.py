"""Options that cannot be what they were given as: refused at once, by name, whatever it is.

Not here: the arguments of single operations (test_messages.py), and numbers (test_numbers.py).
"""

import gc

import pytest
from kit.cases import each_case

from dugong_like import (
    BasicAuth,
    CachingResolver,
    HTTPConnection,
    InvalidOption,
    InvalidRequest,
    NetworkStream,
    Proxy,
    ScriptedStream,
    ScriptedTransport,
    SocketOptions,
    TLSSessions,
    tls_context,
)

HUGE = 10**5000  # Python refuses to write it down
LIMITS = [
    *("buffer_size", "max_line_size", "max_header_size", "max_fields", "max_informational"),
    *("max_chunk_line", "max_extensions", "timeout", "expect100_timeout"),
]
OTHERS = [
    *("dns_test_hostnames", "socket_options", "uds", "sock", "resolver", "transport"),
    *("server_hostname", "fingerprint", "tls_sessions", "ssl_context", "proxy"),
]
ODD = [5, 1j, object(), HUGE]


def str_of(value):
    """Return the name of a case; some numbers have no other."""
    return type(value).__name__


def refuse(make, name):
    """Have *make* refuse something by *name*, as briefly as a message can be."""
    with pytest.raises((TypeError, InvalidOption, InvalidRequest), match=name) as failure:
        make()
    assert len(str(failure.value)) < 300


@each_case("value", ["x", [1], {}, 1j, True, -1, float("nan"), HUGE])
@each_case("name", LIMITS)
def test_limits_of_a_connection_are_named(name, value):
    refuse(lambda: HTTPConnection("h.test", **{name: value}), name)


@pytest.mark.parametrize("value", ODD, ids=str_of)
@pytest.mark.parametrize("name", OTHERS)
def test_options_of_a_connection_are_named(name, value, trusting):
    """Or what they are: "a proxy", "a fingerprint"."""
    options = {"ssl_context": trusting, name: value}
    refuse(lambda: HTTPConnection("h.test", **options), name)


@pytest.mark.parametrize("value", [*ODD, [1], b"h"], ids=str_of)
def test_host_and_port_are_named(value):
    refuse(lambda: HTTPConnection(value), "host.* is a string")
    refuse(lambda: HTTPConnection("h.test", proxy=(value, 80)), "host.* is a string")
    if value != 5:
        refuse(lambda: HTTPConnection("h.test", value), "port (is a|number)")
        refuse(lambda: HTTPConnection("h.test", proxy=("h", value)), "port (is a|number)")


CLASSES = [
    ("transport", ScriptedTransport),
    ("resolver", CachingResolver),
    ("socket_options", SocketOptions),
    ("tls_sessions", TLSSessions),
    ("proxy", Proxy),
]


@pytest.mark.parametrize(("name", "kind"), CLASSES)
def test_a_class_is_not_one_of_its_objects(name, kind, trusting):
    options = {"ssl_context": trusting, name: kind}
    refuse(lambda: HTTPConnection("h.test", **options), name)


def test_a_class_is_no_credentials():
    refuse(lambda: Proxy("http://p.test", auth=BasicAuth), r"auth is a class.* BasicAuth\(…\)")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([("a",)], "pairs of a name and a port, not tuple"),
        ([("a", 80, 0)], "pairs of a name and a port, not tuple"),
        ([5], "pairs of a name and a port, not 5"),
        ([(5, 80)], "pairs of a name and a port, not tuple"),
        ([("a", "80")], "port is a number, not '80'"),
        ([("a", 99999)], "not a port number from 1 to 65535: 99999"),
        (["a b"], "not a host name: 'a b'"),
        ("a", "a sequence of names, not 'a'"),
        (b"a", "a sequence of names, not b'a'"),
        (None, "a sequence of names, not None"),
    ],
)
def test_test_names_that_are_none(names, text):
    refuse(
        lambda: HTTPConnection("h.test", dns_test_hostnames=names), f"dns_test_hostnames.*{text}"
    )


@pytest.mark.parametrize("names", [(), [], ["a.test"], [("a.test", 80)], [["a.test", 80], "b"]])
def test_test_names_that_can_be(names):
    HTTPConnection("h.test", dns_test_hostnames=names)


PROXY = [
    ({"headers": 5}, "the headers of a proxy"),
    ({"headers": "x"}, "the headers of a proxy"),
    ({"mode": HUGE}, "not a mode of a proxy: int"),
    ({"mode": ["auto"]}, "not a mode of a proxy: list"),
    ({"ssl_context": HUGE}, "ssl_context is an ssl.SSLContext, not int"),
    ({"auth": 5}, "auth has no session"),
]


@pytest.mark.parametrize(("options", "text"), PROXY)
def test_options_of_a_proxy_are_named(options, text):
    refuse(lambda: Proxy("https://p.test", **options), text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([], "h", 1), "neither http nor https: "),
        (("http", 5, 1), "host.* is a string, not 5"),
        (("http", "h", "1"), "port is a number, not '1'"),
        (("http", "h", 1, "x"), "environ is a mapping, such as os.environ, not 'x'"),
    ],
)
def test_arguments_about_the_environment_are_named(arguments, text):
    refuse(lambda: Proxy.from_env(*arguments), text)


@pytest.mark.parametrize("value", [1j, HUGE, object()], ids=str_of)
@pytest.mark.parametrize("name", ["verify", "ca", "min_version", "max_version", "ciphers", "alpn"])
def test_options_of_a_tls_context_are_named(name, value):
    refuse(lambda: tls_context(**{name: value}), name)


def test_files_of_a_tls_context_are_named():
    refuse(lambda: tls_context(keylog=5), "keylog is the path of a file, not 5")
    refuse(lambda: tls_context(verify="False"), "verify is True or False, not 'False'")
    refuse(lambda: tls_context(client_cert=HUGE), "client_cert .* not int")


@pytest.mark.parametrize("value", ["x", -1, HUGE, True], ids=str_of)
def test_sizes_of_stores_are_named(value):
    refuse(lambda: TLSSessions(value), "max_entries")


@pytest.mark.parametrize("value", ["x", -1, HUGE, [1]], ids=str_of)
def test_time_limit_of_a_stream_is_named_and_the_stream_stays_open(value):
    stream = ScriptedStream()
    refuse(lambda: NetworkStream(stream, timeout=value), "timeout")
    gc.collect()
    assert not stream.closed


@pytest.mark.parametrize("script", ["text", [bytearray(b"x")], [True], [HTTPConnection], 5])
def test_scripts_have_what_can_happen(script):
    refuse(lambda: ScriptedTransport(script), "a script")
    refuse(lambda: ScriptedStream(script), "incoming")
    refuse(lambda: ScriptedStream([], script), "rooms")
