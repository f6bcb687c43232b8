"""Schemes without the library that they need."""

import subprocess
import sys

import pytest
from kit.support import ROOT

from dugong_like.http.extras import missing_extra


def test_error_names_what_to_install():
    error = missing_extra("OAuth1", "oauthlib", "oauth")

    assert str(error) == "OAuth1 needs oauthlib: install 'dugong-like[oauth]'"
    assert error.name == "oauthlib"


@pytest.mark.parametrize(
    ("call", "library", "extra"),
    [
        ("OAuth1('k', 's')", "oauthlib", "oauth"),
        ("OAuth2('c', 'https://t.test/')", "oauthlib", "oauth"),
        ("NegotiateAuth()", "spnego", "negotiate"),
    ],
)
def test_schemes_are_there_and_name_the_extra(call, library, extra):
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from dugong_like import OAuth1, OAuth2, NegotiateAuth\n"
        f"try: {call}\n"
        "except ModuleNotFoundError as exc: print(exc)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip

    assert f"install 'dugong-like[{extra}]'" in done.stdout
