"""The arguments of `Client.sync`."""

import pytest
from kit.sync_server import BASE

from dugong_like import URL, InvalidOption, InvalidRequest

BAD = [
    ({"delete": 5}, TypeError),
    ({"dry_run": "no"}, TypeError),
    ({"checksum": None}, TypeError),
    ({"verify": 2}, TypeError),
    ({"fsync": "x"}, TypeError),
    ({"max_delete": -1}, InvalidOption),
    ({"max_delete": "1"}, TypeError),
    ({"jobs": 0}, InvalidOption),
    ({"jobs": 1.5}, TypeError),
    ({"jobs": 1000}, InvalidOption),
    ({"total": -1}, InvalidOption),
    ({"total": "1"}, TypeError),
    ({"rate": "1"}, TypeError),
    ({"rate": 0}, InvalidOption),
    ({"exclude": "*.tmp"}, TypeError),
    ({"exclude": [1]}, TypeError),
    ({"exclude": 5}, TypeError),
    ({"exclude": [""]}, InvalidOption),
    ({"links": "both"}, InvalidOption),
    ({"links": True}, TypeError),
    ({"server": "ftp"}, InvalidOption),
    ({"server": None}, TypeError),
    ({"record": 5}, TypeError),
    ({"record": ""}, ValueError),
    ({"on_progress": 1}, TypeError),
    ({"on_step": "x"}, TypeError),
    ({"workers": 1}, TypeError),
    ({"nonsense": 1}, TypeError),
]


def test_wrong_arguments_are_refused_before_anything_is_sent(manifest):
    accepted = []
    for options, error in BAD:
        try:
            manifest.client.co_sync(manifest.root, BASE, **options)
        except error as exc:
            assert next(iter(options)) in str(exc) or options in ({"record": ""}, {"rate": 0})
        else:
            accepted.append(options)

    assert accepted == []
    assert manifest.store.seen == []


def test_names_of_other_tools_get_advice(manifest):
    with pytest.raises(TypeError, match="jobs"):
        manifest.client.co_sync(manifest.root, BASE, transfers=5)


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("a", "b", InvalidOption),
        (BASE, BASE, InvalidOption),
        (URL(BASE), BASE, InvalidOption),
        (5, BASE, TypeError),
        (BASE, None, TypeError),
        ("a", f"{BASE}?x=1", InvalidOption),
        ("a", f"{BASE}#x", InvalidOption),
        ("a", "http://user:pass@word@example.org/", InvalidRequest),
        ("a", "http://user:pass@example.org/?x=1", InvalidOption),
        ("a\0", BASE, ValueError),
    ],
)
def test_one_side_is_a_folder_and_the_other_one_a_url(manifest, source, target, error):
    with pytest.raises(error):
        manifest.client.co_sync(source, target)
