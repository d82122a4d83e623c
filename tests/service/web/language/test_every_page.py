"""Every page in either language says nothing in the other."""

import csv
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from service.registry import active_model
from service.web.prediction.picture_wording import PICTURES
from service.web.terms import DEMONSTRATION, PUBLISHED_POINTS
from tests.service.api.serving import Serving, sample_result
from tests.service.web.prediction.test_page import described_card
from tests.service.web.test_content_security import pages

POINTS = Path(__file__).resolve().parents[4] / "model" / "assets" / "dosenbach_2010.tsv"
HTML = {"Accept": "text/html"}
CHINESE = re.compile("[\u3400-\u9fff]")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9'\u2019\-]+")
# Weeks are written as ISO 8601 has them, in every language.
WEEK = re.compile(r"\b\d{4}-W\d\d\b")
# What people read or hear of an element beside its text.
READ = {"alt", "title", "aria-label", "placeholder", "data-label", "hx-confirm", "data-hint"}
# Names, codes and units, which are the same in every language.
SAME = set(
    WORD.findall(
        "RestNet ADHD API DVARS MNI MNI152 NIfTI DICOM Grad-CAM JSON PDF Bi-LSTM Bi-GRU SHA-256 Enter "
        "REST CSV English LSTM lstm GRU GPU AUC Brier logit mm Hz nii gz KiB MiB GiB fMRI UTC TR sform "
        "gzip Gzip zip BIDS dcm2niix aPFC vmPFC Dosenbach Dice training_diverged"
    )
)
# What somebody or something else has written: names of files, accounts and sites.
GIVEN = set(
    WORD.findall(
        "doctor reader chief scan child P-1 KKI NYU NeuroImage NeuroIMAGE OHSU Peking Pittsburgh WashU nyu "
        "Ulm test tiny"
    )
)
# A warning of a later version, and what the card of the tests says: there are no words of ours for them.
UNKNOWN = "xpected the whole brain, found 97 % of it"
OF_THE_CARD = "simulated scans"


class Words(HTMLParser):
    """Collects what a page says, apart from codes and what is marked as English."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        names = set((given.get("class") or "").split())
        left_out = (
            tag in {"script", "style", "code", "textarea"}
            or bool(names & {"code", "secret", "hash", "who", "reason"})
            or (given.get("lang") in {"en", "zh-Hans"} and tag != "html")
        )
        inside = bool(self._open) and self._open[-1][1]
        if not (left_out or inside):
            self.said += [value for name, value in attrs if name in READ and value]
        if tag not in {"meta", "link", "input", "br", "img", "hr", "source"}:
            self._open.append((tag, left_out or inside))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not (self._open and self._open[-1][1]) and data.strip():
            self.said.append(" ".join(data.split()))


def said_on(page: str) -> list[str]:
    parser = Words()
    parser.feed(page)
    parser.close()
    assert parser.said
    return parser.said


def english_on(page: str) -> list[str]:
    ours = (text.replace(OF_THE_CARD, "") for text in said_on(page) if UNKNOWN not in text)
    return [text for text in ours if set(WORD.findall(WEEK.sub("", text))) - SAME - GIVEN]


def every_page(served: Serving) -> Iterator[str]:
    for page in pages(served):
        # The reader of the OpenAPI document is for programmers.
        if 'id="reader"' not in page:
            yield page
    yield from _results(served)


def _results(served: Serving) -> Iterator[str]:
    # Another account: the one before needs a code by now.
    served.user("reader")
    token = served.log_in("reader")
    card = described_card()
    with served.sessions.begin() as session:
        active = active_model(session)
        assert active is not None
        active.card = card
        model_version_id = active.id
    facts = {
        "accounts": False,
        "pictures": {name: {"width": 8, "height": 4, "low": 0, "high": 1} for name in PICTURES},
    }
    for figures, decision, rule, said, explained in (
        ((0.86, 0.71, 0.94), "adhd", "interval", {"age_years": "41", "sex": "other", "site": "Ulm"}, {}),
        (
            (0.12, 0.05, 0.29),
            "control",
            "conformal",
            {"age_years": "11", "sex": "female", "site": "nyu"},
            facts,
        ),
        ((0.5, 0.3, 0.7), "uncertain", "conformal", {}, None),
    ):
        accepted = served.upload({"X-CSRF-Token": token}, **said)
        result = sample_result(*figures) | {
            "decision": decision,
            "decision_rule": rule,
            "model": card | {"members": 5},
        }
        result["warnings"] = [
            {"code": "simulated_scan", "message": "x"},
            {"code": "time_unit_missing", "message": "x"},
        ]
        result["quality"] |= {"dvars_max": 7.0, "tr_s": 3.0, "spikes": 90}
        served.finish(accepted["prediction_id"], result, model_version_id=model_version_id)
        if explained is not None:
            served.explain(accepted["prediction_id"], **explained)
        page = accepted["links"]["page"]
        yield served.client.get(page, headers=HTML).text
        review = {"csrf_token": token, "answer": "cannot_tell", "reason": "x", "diagnosis": "other"}
        served.client.post(f"{page}/review", data=review, headers=HTML)
        yield served.client.get(page, headers=HTML).text
        served.client.post(f"{page}/explanation", data={"csrf_token": token}, headers=HTML)
        yield served.client.get(page, headers=HTML).text
    for query in ("", "?status=failed", "?subject_id=P-1", "?sort=-adhd_probability", "?status=lost"):
        yield served.client.get(f"/predictions{query}", headers=HTML).text
    served.log_in("chief")
    for path in ("/models", f"/models/{model_version_id}"):
        yield served.client.get(path, headers=HTML).text


def test_the_search_finds_what_it_is_for() -> None:
    page = '<html><p>预测 Show <b lang="en">Not this</b><code>nor this</code><img alt="A map"></p>'
    assert english_on(page) == ["预测 Show", "A map"]
    assert english_on('<p>ADHD 的概率：61%</p><button lang="en">English</button>') == []


def test_a_chinese_page_says_nothing_in_english(served: Serving) -> None:
    served.client.headers["Accept-Language"] = "zh-CN,zh;q=0.9"
    found = {text for page in every_page(served) for text in english_on(page)}
    assert sorted(found) == []


def test_an_english_page_says_nothing_in_chinese(served: Serving) -> None:
    number = 0
    for page in every_page(served):
        number += 1
        assert [text for text in said_on(page) if CHINESE.search(text)] == []
    assert number > 25


def test_what_the_demonstration_says_of_itself_is_marked() -> None:
    card = described_card()
    assert {card["name"], card["trained_on"], card["metrics"]["measured_on"]} == set(DEMONSTRATION)


def test_every_published_point_is_marked_or_an_abbreviation() -> None:
    with POINTS.open() as file:
        names = {row[key] for row in csv.DictReader(file, delimiter="\t") for key in ("region", "network")}
    words = {name for name in names if name.islower() or " " in name}
    assert words == set(PUBLISHED_POINTS)
