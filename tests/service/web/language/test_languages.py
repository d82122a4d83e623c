"""Which language a browser is answered in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.web.language import Language
from service.web.language.languages import chosen

EN, ZH = Language.ENGLISH, Language.CHINESE


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", EN),
        ("zh-CN,zh;q=0.9,en;q=0.8", ZH),
        ("en-GB,en;q=0.9,zh;q=0.8", EN),
        ("en;q=0.5, zh-Hans-CN;q=0.6", ZH),
        ("zh", ZH),
        ("ZH-tw", ZH),
        ("de-DE,de;q=0.9,zh;q=0.2,en;q=0.1", ZH),
        ("de,*;q=0.5", EN),
        ("zh;q=0, en;q=0.1", EN),
        ("zh;q=0", EN),
        ("zh;q=nan", EN),
        ("zh;q=2", EN),
        ("zh;level=1", EN),
        ("zhx", EN),
        (";;,,q=1", EN),
    ],
)
def test_a_browser_gets_the_language_that_it_likes_best(accepted: str, language: Language) -> None:
    assert chosen(None, accepted) == language


def test_what_somebody_chose_goes_before_what_the_browser_likes() -> None:
    assert chosen("en", "zh") == EN
    assert chosen("zh-Hans", "en") == ZH
    assert chosen("zh-Hant", "en") == EN
    assert chosen("", "zh") == ZH


@given(st.text(), st.text())
def test_nothing_that_a_browser_says_is_a_fault(cookie: str, accepted: str) -> None:
    assert chosen(cookie, accepted) in set(Language)
