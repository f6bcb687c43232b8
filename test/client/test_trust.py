"""The context for TLS of a client: made once, and changed by single requests."""

import ssl

import pytest

from dugong_like import InvalidOption, default_ssl_context
from dugong_like.client.trust import Trust


@pytest.mark.feature("E5")
def test_context_is_made_once_when_it_is_needed(tmp_path):
    assert Trust().context() is default_ssl_context()
    trust = Trust(verify=False)
    assert trust.context() is trust.context()
    assert trust.context().verify_mode is ssl.CERT_NONE
    missing = Trust(verify=tmp_path / "none.pem")
    with pytest.raises(InvalidOption, match=r"none\.pem"):
        missing.context()


def test_given_context(trusting):
    assert Trust(trusting).context() is trusting
    for more in ({"verify": False}, {"cert": "file"}):
        with pytest.raises(InvalidOption, match="up to the ssl_context"):
            Trust(trusting, **more)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"verify": None}, "verify"),
        ({"verify": 1}, "verify"),
        ({"cert": 1}, "cert"),
        ({"ssl_context": "tls"}, "context"),
    ],
)
def test_wrong_types(arguments, what):
    with pytest.raises(TypeError, match=what):
        Trust(**arguments)


def test_change_of_one_option_leaves_the_others(ca_file, certificate):
    trust = Trust(verify=ca_file)
    assert trust.changed({}) is trust
    assert trust.changed({"proxy": None}) is trust
    trusted = [
        trust.changed({"cert": (certificate.chain, certificate.key)}),
        trust.changed({"verify": False}).changed({"verify": ca_file}),
    ]
    for one in trusted:
        assert one.context().cert_store_stats()["x509"] == 1
        assert one.context().verify_mode is ssl.CERT_REQUIRED
    assert trust.changed({"verify": False}).context().verify_mode is ssl.CERT_NONE


def test_a_given_context_is_replaced_as_a_whole(trusting, ca_file):
    other = ssl.create_default_context()
    assert Trust(trusting).changed({"ssl_context": other}).context() is other
    assert Trust(verify=ca_file).changed({"ssl_context": other}).context() is other
    for options in ({"verify": False}, {"cert": "file"}):
        with pytest.raises(InvalidOption, match="another ssl_context"):
            Trust(trusting).changed(options)
