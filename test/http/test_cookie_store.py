"""The store of cookies: order, eviction, and time by the cookies of one domain."""

import pytest

from dugong_like.http.cookie import Cookie, Place
from dugong_like.http.cookie_store import MAX_COOKIES, MAX_PER_DOMAIN, CookieStore

NOW = 1000.0


def names(store):
    return [cookie.name for cookie in store.cookies()]


def fill(store, number, domain="a.example", **flags):
    for count in range(number):
        store.put(Cookie(f"{flags.get('prefix', 'c')}{count}", "v", domain), NOW)


def test_a_cookie_that_replaces_another_keeps_its_place():
    store = CookieStore()
    for name, value in (("a", "1"), ("b", "2"), ("a", "3")):
        store.put(Cookie(name, value, "a.example"), NOW)

    assert [(cookie.name, cookie.value) for cookie in store.cookies()] == [("a", "3"), ("b", "2")]


@pytest.mark.parametrize(
    "other",
    [
        Cookie("n", "w", "b.example"),
        Cookie("n", "w", "a.example", host_only=False),
        Cookie("n", "w", "a.example", "/x"),
        Cookie("N", "w", "a.example"),
    ],
)
def test_what_makes_another_cookie(other):
    store = CookieStore()
    store.put(Cookie("n", "v", "a.example"), NOW)
    store.put(other, NOW)

    assert len(store) == 2


def test_expired_cookies_go_at_their_second():
    store = CookieStore()
    for name, expires in (("a", NOW + 5), ("b", None), ("c", NOW + 1), ("d", NOW), ("e", -1)):
        store.put(Cookie(name, "v", "a.example", expires=expires), NOW)
    assert names(store) == ["a", "b", "c"]
    store.expire(NOW + 0.5)
    assert names(store) == ["a", "b", "c"]
    store.expire(NOW + 1)
    assert names(store) == ["a", "b"]
    store.expire(NOW + 5)
    assert names(store) == ["b"]


def test_an_expired_cookie_deletes_the_one_before():
    store = CookieStore()
    store.put(Cookie("a", "v", "a.example"), NOW)
    store.put(Cookie("a", "v", "a.example", expires=NOW - 1), NOW)

    assert len(store) == 0


def test_a_domain_has_a_bounded_number_and_the_least_recently_used_go_first():
    store = CookieStore()
    fill(store, MAX_PER_DOMAIN)
    store.put(Cookie("path", "v", "a.example", "/x"), NOW)
    assert "c0" not in names(store)
    assert len(store) == MAX_PER_DOMAIN
    store.for_request(Place("a.example", "/", secure=True))  # all but "path" are used
    store.put(Cookie("new", "v", "a.example"), NOW)
    assert "path" not in names(store)
    assert "c1" in names(store)


def test_insecure_cookies_go_before_secure_ones_of_their_domain():
    store = CookieStore()
    for count in range(MAX_PER_DOMAIN - 1):
        store.put(Cookie(f"s{count}", "v", "a.example", secure=True), NOW)
    store.put(Cookie("insecure", "v", "a.example"), NOW)
    store.put(Cookie("s", "v", "a.example", secure=True), NOW)
    assert "insecure" not in names(store)
    store.put(Cookie("insecure", "v", "a.example"), NOW)  # which is in excess itself
    assert "insecure" not in names(store)
    store.put(Cookie("t", "v", "a.example", secure=True), NOW)
    assert "s0" not in names(store)
    assert len(store) == MAX_PER_DOMAIN


def test_one_domain_does_not_take_the_places_of_another():
    store = CookieStore()
    store.put(Cookie("mine", "v", "b.example"), NOW)
    fill(store, 10 * MAX_PER_DOMAIN)

    assert "mine" in names(store)
    assert len(store) == MAX_PER_DOMAIN + 1


def test_there_is_a_bounded_number_of_all():
    store = CookieStore()
    for count in range(MAX_COOKIES + 10):
        store.put(Cookie("n", "v", f"h{count}.example"), NOW)
        if count == MAX_COOKIES - 1:
            store.for_request(Place("h0.example", "/", secure=True))

    assert len(store) == MAX_COOKIES
    domains = {cookie.domain for cookie in store.cookies()}
    assert "h0.example" in domains  # it was used
    assert not domains & {f"h{count}.example" for count in range(1, 11)}


def test_at_least_what_the_rfc_asks_for():
    assert MAX_PER_DOMAIN >= 50
    assert MAX_COOKIES >= 3000


SECURE = Cookie("n", "v", "b.a.example", "/x", secure=True)


@pytest.mark.parametrize(
    ("cookie", "overlays"),
    [
        (SECURE.replaced(secure=False), True),
        (SECURE.replaced(secure=False, path="/x/y"), True),
        (SECURE.replaced(secure=False, path="/"), False),
        (SECURE.replaced(secure=False, path="/xy"), False),
        (SECURE.replaced(secure=False, domain="a.example", host_only=False), True),
        (SECURE.replaced(secure=False, domain="c.b.a.example"), True),
        (SECURE.replaced(secure=False, domain="c.a.example"), False),
        (SECURE.replaced(secure=False, domain="ab.a.example"), False),
        (SECURE.replaced(secure=False, name="N"), False),
    ],
)
def test_secure_cookies_are_left_alone(cookie, overlays):
    store = CookieStore()
    store.put(SECURE, NOW)
    assert store.overlays_secure(cookie) is overlays
    store.put(SECURE.replaced(secure=False), NOW)
    assert not store.overlays_secure(cookie)


def test_indices_can_be_made_again():
    store = CookieStore()
    fill(store, 3)
    store._by_domain.clear()
    store._by_name.clear()
    store.index_again()

    assert [cookie.name for cookie in store.of_domain("a.example")] == ["c0", "c1", "c2"]
    assert store.of_name("c1")
    assert len(store.for_request(Place("a.example", "/", secure=False))) == 3


def test_nothing_is_left_of_removed_cookies():
    store = CookieStore()
    fill(store, 3)
    store.remove(store.cookies())
    store.remove([Cookie("never", "v", "there.example")])

    assert (store._all, store._by_domain, store._by_name) == ({}, {}, {})


class Counted(dict):
    """A dict that counts the entries that were gone through."""

    gone_through = 0

    def items(self):
        Counted.gone_through += len(self)
        return super().items()


def test_a_request_looks_at_the_cookies_of_its_host_only():
    store = CookieStore()
    for count in range(1000):
        store.put(Cookie("n", "v", f"h{count}.example"), NOW)
    store.put(Cookie("n", "v", "example", host_only=False), NOW)
    for domain, cookies in store._by_domain.items():
        store._by_domain[domain] = Counted(cookies)
    store._all = Counted(store._all)
    Counted.gone_through = 0

    assert len(store.for_request(Place("h5.example", "/", secure=False))) == 2
    assert Counted.gone_through == 2
