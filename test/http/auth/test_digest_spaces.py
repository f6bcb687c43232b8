"""What is kept of servers: by origin and realm, and never too much."""

import pytest

from dugong_like import Origin
from dugong_like.http.auth import digest_spaces
from dugong_like.http.auth.digest_answer import Answerer, strongest
from dugong_like.http.auth.digest_spaces import MAX_ORIGINS, MAX_SPACES, ProtectionSpaces
from dugong_like.http.challenges import parse_challenges

HERE = Origin("http", "server.test")


def learn(spaces, origin=HERE, path="/", realm="r", domain=None):
    text = f'Digest realm="{realm}", nonce=n' + ("" if domain is None else f', domain="{domain}"')
    challenge = strongest(parse_challenges(text), has_body=True)
    answerer = Answerer.of(challenge, "u", "p", has_body=True)
    spaces.learn(origin, path, challenge, answerer)
    return answerer


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (None, ["/", "/a", "*"], []),
        ("", ["/", "/a", "*"], []),
        ("/a", ["/a", "/a/b", "/ab", "/a?x"], ["/", "/b", "*"]),
        ("/a /b/c", ["/a", "/b/c/d"], ["/b"]),
        ("http://server.test/a", ["/a"], ["/b"]),
        ("http://SERVER.test:80/a", ["/a"], ["/b"]),
        ("http://server.test", ["/", "/a"], []),
        ("https://server.test/a", [], ["/", "/a"]),
        ("http://other.test/a", [], ["/", "/a"]),
        ("//server.test/a", ["/a"], ["/b"]),
        ("b", ["/dir/b"], ["/b", "/dir/a"]),
        ("http://user:pw@server.test/ http://[", [], ["/"]),
    ],
)
def test_paths_of_a_challenge(domain, inside, outside):
    spaces = ProtectionSpaces()
    answerer = learn(spaces, path="/dir/a", domain=domain)

    assert [path for path in inside if spaces.find(HERE, path) is not answerer] == []
    assert [path for path in outside if spaces.find(HERE, path) is not None] == []
    assert spaces.find(Origin("http", "other.test"), "/a") is None


def test_domains_of_requests_by_path_are_paths():
    spaces = ProtectionSpaces()
    learn(spaces, "host", domain="/a http://server.test/b")

    assert spaces.find("host", "/a") is not None
    assert spaces.find("host", "/b") is None


def test_last_space_that_was_learned_wins():
    spaces = ProtectionSpaces()
    one, other = learn(spaces, realm="1"), learn(spaces, realm="2")

    assert spaces.find(HERE, "/") is other
    spaces.forget(HERE, other)
    assert spaces.find(HERE, "/") is one
    again = learn(spaces, realm="1")
    assert spaces.find(HERE, "/") is again
    spaces.forget(HERE, again)
    assert spaces.find(HERE, "/") is None


def test_only_the_present_one_is_replaced():
    spaces = ProtectionSpaces()
    old, new = learn(spaces), learn(spaces)
    spaces.replace(HERE, old, old.following("2"))
    spaces.forget(HERE, None)
    assert spaces.find(HERE, "/") is new

    following = new.following("3")
    spaces.replace(HERE, new, following)
    assert spaces.find(HERE, "/") is following


def test_child_processes_know_nothing(monkeypatch):
    spaces = ProtectionSpaces()
    learn(spaces)
    monkeypatch.setattr(digest_spaces, "generation", lambda: -1)

    assert spaces.find(HERE, "/") is None
    answerer = learn(spaces)
    assert spaces.find(HERE, "/") is answerer


def test_not_more_than_some_are_kept():
    spaces = ProtectionSpaces()
    for number in range(MAX_SPACES + 5):
        learn(spaces, realm=str(number), domain=f"/{number}/")
    assert [n for n in range(MAX_SPACES + 5) if spaces.find(HERE, f"/{n}/")] == [*range(5, 21)]

    last = [Origin("http", f"h{number}.test") for number in range(MAX_ORIGINS)]
    for origin in last:
        learn(spaces, origin)
    assert spaces.find(HERE, "/20/") is None
    assert all(spaces.find(origin, "/") for origin in last)
