"""Logging in and out with a browser's plain forms."""

import re
from html import escape
from urllib.parse import quote

import pytest

from tests.service.api.serving import PASSWORD, Serving

HTML = {"Accept": "text/html"}


def log_in(served: Serving, **fields: str) -> str:
    """Log in and return the token of the login."""
    served.user()
    answer = served.client.post("/login", data={"username": "doctor", "password": PASSWORD, **fields})
    assert answer.status_code == 303
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', served.client.get("/").text))
    return token


@pytest.mark.parametrize(
    "path", ["/", "/predictions", "/predictions/x", "/predictions?status=failed&subject_id=P-1"]
)
def test_a_page_leads_to_the_login_and_back(served: Serving, path: str) -> None:
    answer = served.client.get(path, headers=HTML)
    assert answer.status_code == 303
    location = answer.headers["location"]
    assert location == ("/login" if path == "/" else f"/login?next={quote(path, safe='')}")
    form = served.client.get(location).text
    assert f'name="next" value="{escape(path)}"' in form
    assert 'role="alert"' not in form
    served.user()
    back = served.client.post("/login", data={"username": "doctor", "password": PASSWORD, "next": path})
    assert back.headers["location"] == path


@pytest.mark.parametrize(
    ("path", "location", "said"),
    [
        ("/scans", "/login?lost=scan", "the scan was not taken"),
        ("/predictions/x/cancel", "/login?lost=change&next=%2Fpredictions%2Fx", "nothing was changed"),
        ("/scans/x/delete", "/login?lost=change", "nothing was changed"),
        ("/account/password", "/login?lost=change&next=%2Faccount", "nothing was changed"),
        ("/logout", "/login", ""),
    ],
)
def test_what_was_sent_after_the_login_ended_is_said_to_be_lost(
    served: Serving, path: str, location: str, said: str
) -> None:
    token = log_in(served)
    cookie = served.client.cookies["restnet"]
    served.client.post("/logout", data={"csrf_token": token})
    # Another tab still holds the form and the cookie.
    served.client.cookies["restnet"] = cookie
    answer = served.client.post(path, data={"csrf_token": token}, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, location)
    form = served.client.get(location).text
    assert ('role="alert"' in form) is bool(said)
    assert said in form


def test_only_our_own_sentences_stand_on_the_login_page(served: Serving) -> None:
    form = served.client.get("/login", params={"lost": "Send your password to x"})
    assert form.status_code == 200
    assert 'role="alert"' not in form.text


def test_a_form_of_an_earlier_login_is_told_to_reload(served: Serving) -> None:
    log_in(served)
    file = {"scan": ("child.nii.gz", b"x")}
    answer = served.client.post("/scans", data={"csrf_token": "old"}, files=file, headers=HTML)
    assert answer.status_code == 403
    assert "belongs to an earlier login. Reload it" in answer.text


def test_a_part_of_a_page_leads_to_the_login_as_a_whole(served: Serving) -> None:
    answer = served.client.get("/predictions", headers=HTML | {"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/login?next=%2Fpredictions")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "x",
        "/a\nb",
        "",
        "//[",
        "//a\u2100b",
    ],
)
def test_the_login_leads_nowhere_else(served: Serving, target: str) -> None:
    served.user()
    form = served.client.get("/login", params={"next": target})
    assert form.status_code == 200
    assert 'name="next" value="/"' in form.text
    answer = served.client.post("/login", data={"username": "doctor", "password": PASSWORD, "next": target})
    assert answer.headers["location"] == "/"


def test_a_wrong_password_is_refused_without_saying_which(served: Serving) -> None:
    served.user()
    texts = []
    for name in ("doctor", "nobody"):
        answer = served.client.post("/login", data={"username": name, "password": "wrong"}, headers=HTML)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        texts.append(answer.text.replace(name, ""))
    assert texts[0] == texts[1]
    assert "is not right" in texts[0]


def test_guessing_is_slowed(served: Serving) -> None:
    served.user()
    statuses = [
        served.client.post("/login", data={"username": "doctor", "password": "wrong"}).status_code
        for _ in range(9)
    ]
    assert statuses == [401] * 8 + [429]
    answer = served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 800


def test_white_space_around_a_name_buys_no_guesses(served: Serving) -> None:
    served.user()
    statuses = [
        served.client.post("/login", data={"username": "doctor" + " " * n, "password": "wrong"}).status_code
        for n in range(9)
    ]
    assert statuses == [401] * 8 + [429]


def test_one_address_guesses_at_a_hundred_accounts_at_most(served: Serving) -> None:
    served.resources.throttle.address_limit = 3
    statuses = [
        served.client.post("/login", data={"username": f"user{n}", "password": "wrong"}).status_code
        for n in range(4)
    ]
    assert statuses == [401] * 3 + [429]


def test_a_neighbour_cannot_lock_out_who_has_logged_in_in_this_browser_before(served: Serving) -> None:
    token = log_in(served)
    known = {"restnet-browser": served.client.cookies["restnet-browser"]}
    served.client.post("/logout", data={"csrf_token": token})
    served.client.cookies.clear()
    # The same address, as behind one gateway, in another browser.
    wrong = {"username": "doctor", "password": "wrong"}
    assert [served.client.post("/login", data=wrong).status_code for _ in range(9)] == [401] * 8 + [429]
    served.client.cookies.update(known)
    answer = served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    assert answer.status_code == 303


def test_the_cookie_of_a_known_browser_gives_no_access_and_no_endless_guesses(served: Serving) -> None:
    log_in(served)
    known = {"restnet-browser": served.client.cookies["restnet-browser"]}
    served.client.cookies.clear()
    served.client.cookies.update(known)
    assert served.client.get("/api/v1/predictions").status_code == 401
    wrong = {"username": "doctor", "password": "wrong"}
    assert [served.client.post("/login", data=wrong).status_code for _ in range(9)] == [401] * 8 + [429]
    # Nor does it help with another account, or to be planted by somebody else.
    served.user("another")
    other = {"username": "another", "password": "wrong"}
    assert [served.client.post("/login", data=other).status_code for _ in range(9)] == [401] * 8 + [429]


def test_a_planted_browser_cookie_is_replaced(served: Serving) -> None:
    served.client.cookies["restnet-browser"] = "planted"
    served.user()
    answer = served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    assert "restnet-browser=planted" not in answer.headers["set-cookie"]
    assert len(answer.cookies["restnet-browser"]) == 43


def test_a_login_that_finds_the_line_full_is_asked_to_come_back(served: Serving) -> None:
    served.user()
    served.resources.logins.most = 0
    login = {"username": "doctor", "password": PASSWORD}
    for _ in range(10):
        answer = served.client.post("/login", data=login, headers=HTML)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert "Too many attempts" in answer.text
    # It was no guess, so it does not count as one.
    served.resources.logins.most = 34
    assert served.client.post("/login", data=login).status_code == 303


def test_the_name_comes_back_escaped(served: Serving) -> None:
    answer = served.client.post("/login", data={"username": '"><script>x', "password": "y"})
    assert "<script>x" not in answer.text
    assert "&#34;&gt;&lt;script&gt;x" in answer.text


def test_a_login_rotates_the_token_and_ends_the_old_one(served: Serving) -> None:
    log_in(served)
    first = served.client.cookies["restnet"]
    served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    second = served.client.cookies["restnet"]
    assert first != second
    served.client.cookies.clear()
    served.client.cookies["restnet"] = first
    assert served.client.get("/api/v1/predictions").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {"Origin": "http://["}],
)
def test_another_site_logs_nobody_in(served: Serving, headers: dict[str, str]) -> None:
    served.user()
    answer = served.client.post("/login", data={"username": "doctor", "password": PASSWORD}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_logging_out_ends_the_login_on_the_server(served: Serving) -> None:
    token = log_in(served)
    cookie = served.client.cookies["restnet"]
    assert served.client.post("/logout", data={"csrf_token": "wrong"}).status_code == 403
    assert served.client.get("/api/v1/predictions").status_code == 200
    answer = served.client.post("/logout", data={"csrf_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert 'restnet=""' in answer.headers["set-cookie"]
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    served.client.cookies["restnet"] = cookie
    assert served.client.get("/api/v1/predictions").status_code == 401


def test_a_form_that_is_too_large_is_not_read(served: Serving) -> None:
    answer = served.client.post(
        "/login", data={"username": "doctor", "password": "x" * 100_000}, headers=HTML
    )
    assert answer.status_code == 413
    assert "That did not work" in answer.text
