"""The field Keep-Alive, as servers send it, and as they should not."""

from math import inf

import pytest

from dugong_like.client.keep_alive import parse_keep_alive

VALUES = {
    "timeout=5, max=100": (5, 100),  # Apache
    "timeout=20": (20, inf),  # nginx
    "timeout=5": (5, inf),  # Node
    "max=0": (inf, 0),
    'Timeout = 5 ; MAX="3"': (5, 3),
    "timeout=5, timeout=9": (5, inf),
    "": (inf, inf),
    "300": (inf, inf),
    "timeout=-1": (inf, inf),
    "timeout=soon, max=many": (inf, inf),
    "xtimeout=3, max-age=5": (inf, inf),
    "timeout=1234567890": (inf, inf),
    "timeout=5.5": (5, inf),
}


@pytest.mark.parametrize("value", VALUES)
def test_values(value):
    assert parse_keep_alive(value) == VALUES[value]


def test_other_types():
    with pytest.raises(TypeError, match="Keep-Alive is a string, not 5"):
        parse_keep_alive(5)
