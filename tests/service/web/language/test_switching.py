"""The pages in one language and in the other, by a form that needs no JavaScript."""

import re

import pytest

from tests.service.api.serving import PASSWORD, Serving

HTML = {"Accept": "text/html"}


def choose(served: Serving, language: str, back: str = "/login", **headers: str) -> str:
    answer = served.client.post("/language", data={"language": language, "next": back}, headers=headers)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_page_is_english_until_somebody_asks_for_another_language(served: Serving) -> None:
    page = served.client.get("/login")
    assert '<html lang="en">' in page.text
    assert "Log in" in page.text
    assert {"Cookie", "Accept-Language"} <= set(page.headers["vary"].split(", "))
    assert page.headers["content-language"] == "en"
    page = served.client.get("/login", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert '<html lang="zh-Hans">' in page.text
    assert "登录" in page.text
    assert page.headers["content-language"] == "zh-Hans"


def test_the_button_on_a_page_changes_its_language_and_back(served: Serving) -> None:
    page = served.client.get("/login?lost=change").text
    form = re.search(r'<form class="language" method="post" action="/language">.*?</form>', page, re.DOTALL)
    assert form is not None
    assert 'name="next" value="/login?lost=change"' in form[0]
    assert 'name="language" value="zh-Hans" lang="zh-Hans">中文</button>' in form[0]
    assert choose(served, "zh-Hans", "/login?lost=change") == "/login?lost=change"
    page = served.client.get("/login?lost=change").text
    assert "登录" in page
    assert "You were logged out" not in page
    assert choose(served, "en", "/login") == "/login"
    assert "Log in" in served.client.get("/login").text


def test_the_choice_is_kept_for_a_year_and_outlives_the_logout(served: Serving) -> None:
    answer = served.client.post("/language", data={"language": "zh-Hans", "next": "/"})
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("language=zh-hans;")
    assert "max-age=31536000" in cookie
    assert "samesite=lax" in cookie
    served.user()
    served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', served.client.get("/").text))
    served.client.post("/logout", data={"csrf_token": token})
    assert '<html lang="zh-Hans">' in served.client.get("/login").text


@pytest.mark.parametrize(
    "hostile",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example/",
        "javascript:alert(1)",
        "/\r\nLocation: https://elsewhere.example/",
        "http:/elsewhere.example",
        "predictions",
    ],
)
def test_nobody_is_led_elsewhere(served: Serving, hostile: str) -> None:
    assert choose(served, "zh-Hans", hostile) == "/"


def test_a_list_that_was_filtered_by_a_script_is_the_one_to_come_back_to(served: Serving) -> None:
    here = "http://testserver/predictions?status=failed"
    assert choose(served, "en", "/predictions", Referer=here) == "/predictions?status=failed"
    elsewhere = "https://elsewhere.example/other?status=failed"
    assert choose(served, "en", "/predictions", Referer=elsewhere) == "/predictions"
    assert choose(served, "en", "/predictions", Referer="http://[") == "/predictions"


def test_another_site_cannot_change_the_language(served: Serving) -> None:
    answer = served.client.post(
        "/language", data={"language": "zh-Hans"}, headers=HTML | {"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_language_that_there_is_not_is_refused(served: Serving) -> None:
    answer = served.client.post("/language", data={"language": "tlh"}, headers=HTML)
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


def test_a_page_that_answers_a_form_leads_back_to_where_the_form_stood(served: Serving) -> None:
    served.user()
    served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', served.client.get("/").text))
    refused = served.client.post(
        "/account/password",
        data={"csrf_token": token, "current": "x", "new": "one", "again": "another"},
        headers=HTML,
    )
    assert refused.status_code == 422
    assert 'name="next" value="/account"' in refused.text


def test_a_program_is_answered_in_english(served: Serving) -> None:
    answer = served.client.get("/api/v1/predictions/none", headers={"Accept-Language": "zh"})
    assert answer.status_code == 401
    assert not re.search("[\u4e00-\u9fff]", answer.text)
