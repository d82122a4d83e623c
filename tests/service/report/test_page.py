"""The HTML of a report: one file that loads nothing and in which nothing that was typed is more than text."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from service.report.page import content_security_policy, render
from service.web.language import Language, spoken
from tests.service.report.made_up import HOSTILE, PICTURES, evened, hostile_report, made_up_report, review

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "aside", "header", "section", "div"),
    *("h1", "h2", "p", "span", "bdi", "ul", "ol", "li", "dl", "dt", "dd", "figure", "figcaption", "img"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "line", "circle", "polyline", "text"),
}
LOADING = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}


class File(HTMLParser):
    """What a browser would make of a file."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.style = ""
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in_style = tag == "style"
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self._in_style &= tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return evened(" ".join(self.words))


def test_it_loads_nothing_and_holds_no_code() -> None:
    for report in (made_up_report(pictures=PICTURES), hostile_report()):
        file = File(render(report))
        assert file.tags <= TAGS, file.tags - TAGS
        assert not [name for name, _ in file.attributes if name.startswith("on") or name == "style"]
        loaded = [value for name, value in file.attributes if name in LOADING]
        assert all(value.startswith("data:image/png;base64,") for value in loaded)
        assert len(loaded) == len(report.pictures)
        assert not re.search(r"url\(|@import|expression", file.style)


def test_what_was_typed_is_shown_as_it_was_typed() -> None:
    report = hostile_report()
    text = File(render(report)).text
    for hostile in HOSTILE:
        assert text.count(evened(hostile)) >= 7, hostile
    assert "49" not in text
    reason = "first line\n  second <b>line</b>"
    html = render(made_up_report(reviews=[review(reason)]))
    assert "<bdi>first line\n  second &lt;b&gt;line&lt;/b&gt;</bdi>" in html


def test_its_policy_lets_its_own_style_in_and_nothing_else() -> None:
    html = render(made_up_report())
    file = File(html)
    digest = base64.b64encode(hashlib.sha256(file.style.encode()).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in content_security_policy(Language.ENGLISH).split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    # A saved copy has no headers, and a policy in the file cannot speak of frames.
    [kept] = [value for name, value in file.attributes if value.startswith("default-src")]
    assert kept == content_security_policy(Language.ENGLISH).removesuffix("; frame-ancestors 'none'")
    assert html.index("http-equiv") < html.index("<style")


def test_the_name_of_a_saved_file_tells_nothing_of_the_person() -> None:
    html = render(hostile_report())
    found = re.search(r"<title>(.*)</title>", html)
    assert found is not None
    assert found[1] == "RestNet report 5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11"


def test_without_pictures_reviews_or_figures_it_says_so_or_nothing() -> None:
    text = File(render(made_up_report(performance=[], dvars=None))).text
    assert "Nobody has reviewed this answer yet." in text
    assert "The model's card holds no cross-validated figures." in text
    assert "Pictures" not in text
    assert "DVARS over the minutes" not in text
    whole = File(render(made_up_report(pictures=PICTURES, reviews=[review("x")], more_reviews=True)))
    assert "Earlier reviews stand on the page of the prediction." in whole.text
    alternatives = [value for name, value in whole.attributes if name == "alt"]
    assert alternatives == [picture.alt for picture in PICTURES]


def test_it_prints_on_any_paper_without_cutting_a_figure() -> None:
    style = File(render(made_up_report())).style
    [paper] = re.findall(r"@page \{(.*?)\n\}", style, flags=re.DOTALL)
    # No size: the reader's printer has A4 or Letter.
    assert "size" not in paper
    assert "It does not diagnose." in paper
    for rule in (
        "figure { [^}]*break-inside: avoid",
        "tr { break-inside: avoid",
        "h1, h2 { [^}]*break-after: avoid",
    ):
        assert re.search(rule, style), rule


@pytest.mark.parametrize("colour", ["#1c2427", "#566065", "#7a4a06"])
def test_its_words_are_in_the_pages_colours(colour: str) -> None:
    # Which the test of the pages' contrast holds to WCAG on a darker ground than white.
    assert colour in File(render(made_up_report())).style


def test_in_chinese_everything_but_names_is_chinese_under_its_own_policy() -> None:
    with spoken(Language.CHINESE):
        report = made_up_report(pictures=PICTURES)
    html = render(report)
    assert '<html lang="zh-Hans">' in html
    for words in ("ADHD 的概率", "临床复核", "扫描质量", "本报告"):
        assert words in html
    for words in ("Probability of ADHD", "Clinical review", "Across the scan", "The model<"):
        assert words not in html
    digest = base64.b64encode(hashlib.sha256(File(html).style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in content_security_policy(Language.CHINESE)
    assert f"style-src 'sha256-{digest}'" not in content_security_policy(Language.ENGLISH)
