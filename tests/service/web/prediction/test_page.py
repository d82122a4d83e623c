"""The page of a result beside the training subjects of the model that answered."""

import re
from functools import cache
from html import unescape
from typing import Any

import pytest

from model import demonstration_checkpoint, read_card
from tests.service.api.serving import CARD, Serving, sample_result
from tests.service.web.test_content_security import inline_code

HTML = {"Accept": "text/html"}
SAID = {"age_years": "11.5", "sex": "female", "site": "nyu"}
# The sample's scan, with figures that the demonstration's training scans have.
USUAL = {"dvars_mean": 0.98, "dvars_max": 1.2, "spikes": 5, "template_coverage": 1.0, "in_band_power": 0.91}


@cache
def described_card() -> dict[str, Any]:
    return read_card(demonstration_checkpoint()).model_dump(mode="json")


def words(text: str) -> str:
    """Take the tags out."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).replace("\u202f", " ").split())


class Page:
    """What a page says: its headings, the rows of its tables, and all of its text."""

    def __init__(self, html: str) -> None:
        self.headings = [words(one) for one in re.findall(r"<h2.*?</h2>", html, flags=re.DOTALL)]
        self.rows = [words(one) for one in re.findall(r"<tr>.*?</tr>", html, flags=re.DOTALL)]
        self.text = words(html)

    def row(self, name: str) -> str:
        [found] = [row for row in self.rows if row.startswith(name)]
        return found


@pytest.fixture
def drawn(served: Serving) -> Any:
    served.user()
    token = served.log_in("doctor")

    def draw(
        card: dict[str, Any],
        *,
        quality: dict[str, Any] | None = None,
        said: dict[str, str] = SAID,
        **more: Any,
    ) -> Page:
        accepted = served.upload({"X-CSRF-Token": token}, **said)
        result = sample_result() | {"warnings": []} | more
        result["quality"] = result["quality"] | (quality or {})
        served.finish(accepted["prediction_id"], result, model_version_id=served.register_model(card))
        text = served.client.get(accepted["links"]["page"], headers=HTML).text
        assert inline_code(text) == []
        return Page(text)

    return draw


def test_quality_comes_before_the_answer_and_the_model_after_it(drawn: Any) -> None:
    page = drawn(described_card(), warnings=[{"code": "left_right_unverified", "message": "x"}])
    assert page.headings == [
        "Quality of the scan",
        "Probability of ADHD",
        "Uncertain",
        "This person and the training group",
        "Across the scan",
        "To bear in mind",
        "What drove this answer",
        "The model",
        "The file",
        "Clinical review",
    ]


def test_a_usual_scan_of_a_usual_person_is_inside_in_words(drawn: Any) -> None:
    page = drawn(described_card(), quality=USUAL)
    assert "Good enough to read." in page.text
    assert "Inside the training group in all that could be compared." in page.text
    assert page.row("Age").endswith("11.5 years Inside · nine in ten: 7.9 to 18.7 years")
    assert page.row("Sex") == "Sex female Inside · 152 of 400 training subjects"
    assert page.row("Site") == "Site nyu Inside · 114 of 400 training subjects"
    assert page.row("Repetition time").startswith("Repetition time 2 s Inside · 239 of 400")
    assert "Inside · nine in ten: 1.11 to 1.35" in page.row("DVARS, largest")
    assert page.row("Frames that stand out").startswith("Frames that stand out 5 (3 %) Inside")
    assert "not known of the training scans" in page.row("Temporal signal-to-noise")
    assert "A movement is a tall peak" in page.row("DVARS, largest")


def test_what_is_unlike_the_training_group_is_outside_in_words(drawn: Any) -> None:
    said = {"age_years": "41", "sex": "other", "site": "Ulm"}
    page = drawn(described_card(), quality=USUAL | {"dvars_max": 7.0, "tr_s": 3.0}, said=said)
    assert "Read it with care." in page.text
    assert "Its largest change from frame to frame is larger, as a movement makes it" in page.text
    assert "No training scan has a repetition time near 3 s." in page.text
    assert "Outside the training group in: age, sex, site, repetition time." in page.text
    assert "Outside, above · nine in ten: 1.11 to 1.35" in page.row("DVARS, largest")
    assert "41 years Outside, above" in page.row("Age")
    assert page.row("Site") == "Site Ulm Outside · 0 of 400 training subjects"
    assert "Outside" in page.row("Repetition time")
    assert "1.5, 1.96, 2, 2.5 s" in page.row("Repetition time")


def test_what_was_not_said_is_not_given(drawn: Any) -> None:
    page = drawn(described_card(), said={})
    for name in ("Age", "Sex", "Site"):
        assert page.row(name).startswith(f"{name} not given")
        assert "side" not in page.row(name)
    assert "Not compared: age, sex, site." in page.text


def test_the_model_says_how_well_it_did_on_whom(drawn: Any) -> None:
    text = drawn(described_card()).text
    assert "Sensitivity 88 % 95 % interval 82 % to 93 %" in text
    assert "Specificity 80 % 95 % interval 75 % to 84 %" in text
    assert (
        "Measured on 400 simulated subjects, each by the one model that was trained without their fold"
        in text
    )
    assert "146 with the condition, 254 controls; 152 female, 248 male; 7 sites (KKI 43, NYU 114" in text


def test_the_band_of_conformal_sets_is_drawn_and_said(drawn: Any) -> None:
    page = drawn(described_card(), decision_rule="conformal", decision="uncertain")
    assert "uncertain from 33 % to 54 %" in page.text
    assert "uncertain between 33 % and 54 %" in page.text


def test_an_older_card_leaves_out_what_it_does_not_say(drawn: Any) -> None:
    page = drawn(CARD)
    assert "No warning about its quality." in page.text
    assert "does not describe its training subjects" in page.text
    assert "gives no sensitivity and specificity" in page.text
    assert "Among the training scans" not in page.text
    assert page.row("Repetition time") == "Repetition time 2 s From one frame to the next."
    assert "uncertain where the interval holds it" in page.text
    assert not re.search("Inside|Outside", page.text)
