"""What the result page says in words: for a clinician, and never against its own figures."""

import re
from pathlib import Path

import pytest

from service.web import wording
from service.web.prediction.scale import Band
from tests.service.api.serving import sample_result

ERRORS = Path(__file__).resolve().parents[3] / "docs" / "errors.md"


def test_every_warning_has_a_sentence_for_a_clinician() -> None:
    table = ERRORS.read_text().split("\n## Warnings\n")[1]
    documented = set(re.findall(r"^\| `([a-z0-9_]+)`", table, re.MULTILINE))
    assert len(documented) >= 7
    assert set(wording.WARNINGS) == documented - {"demonstration_model"}


def test_a_warning_is_said_in_words_and_keeps_its_figures() -> None:
    message = "expected an asymmetry that tells the sides apart, found none that is clear (evidence +0.01)"
    warnings = [
        {"code": "left_right_unverified", "message": message},
        {"code": "demonstration_model", "message": "x"},
        {"code": "of_a_later_version", "message": "expected x, found y"},
    ]
    known, unknown = wording.warnings_beside_banner(warnings)
    assert known.said == wording.WARNINGS["left_right_unverified"]
    assert "evidence" not in known.said
    assert known.measured == message
    assert (unknown.said, unknown.measured) == ("expected x, found y", "")


@pytest.mark.parametrize(
    ("figures", "named", "expected"),
    [
        ((0.86, 0.71, 0.94), "adhd", "interval lies above"),
        ((0.12, 0.05, 0.29), "control", "interval lies below"),
        ((0.5, 0.3, 0.7), "uncertain", "interval includes the threshold"),
    ],
)
def test_the_interval_explains_a_decision_that_was_made_by_it(
    figures: tuple[float, float, float], named: str, expected: str
) -> None:
    result = sample_result(*figures) | {"decision": named}
    assert expected in wording.decision(result).meaning
    # Rows of the first version name no rule.
    del result["decision_rule"]
    assert expected in wording.decision(result).meaning


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("uncertain", "rules out neither"),
        ("adhd", "the control group is ruled out"),
        ("control", "the ADHD group is ruled out"),
    ],
)
def test_conformal_sets_explain_a_decision_that_was_made_by_them(named: str, expected: str) -> None:
    result = sample_result(0.6, 0.4, 0.7) | {"decision": named, "decision_rule": "conformal"}
    meaning = wording.decision(result).meaning
    assert expected in meaning
    assert "interval" not in meaning


def test_an_empty_set_rules_both_groups_out() -> None:
    result = sample_result(0.6, 0.4, 0.7) | {"decision": "uncertain", "decision_rule": "conformal"}
    assert "rules out both" in wording.decision(result, Band(20, 70, rules_out_both=True)).meaning


def test_the_error_rate_of_conformal_sets_is_a_number() -> None:
    result = sample_result(0.9, 0.8, 0.95) | {"decision": "adhd", "decision_rule": "conformal"}
    band = Band(20, 70, rules_out_both=False, error_rate=0.1)
    assert wording.decision(result, band).meaning.endswith("the ADHD group is not. That rate is 10\u202f%.")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("age_years", 11.5, "11.5 years"),
        ("age_years", 12.0, "12 years"),
        ("n_frames", 172.0, "172"),
        ("tr_s", 1.96, "1.96 s"),
        ("spike_share", 0.049, "5\u202f%"),
        ("dvars_max", 1.968, "1.97"),
        ("tsnr", None, "none"),
        ("mean_intensity", 12345.6, "12346"),
        ("temporal_sd", 0.00012345, "0.000123"),
    ],
)
def test_a_figure_has_its_unit(key: str, value: float | None, text: str) -> None:
    assert wording.figure(key, value) == text


def test_few_words_for_a_steady_scan_with_frames_that_stand_out() -> None:
    lines = {line.name: line for line in wording.quality_lines({"spikes": 8, "dvars_max": 1.34})}
    assert "in a steady scan even small changes are" in lines["Frames that stand out"].meaning
    assert "2 is twice the ordinary one" in lines["DVARS, largest"].meaning


@pytest.mark.parametrize(("duration_s", "text"), [(344.0, "5 min 44 s"), (119.7, "2 min 0 s")])
def test_a_length_never_has_sixty_seconds(duration_s: float, text: str) -> None:
    [line] = wording.quality_lines({"duration_s": duration_s})
    assert line.value == text


@pytest.mark.parametrize(
    ("position", "wait_s", "line"),
    [
        (1, None, "Waiting, next in line"),
        (1, 0.4, "Waiting, next in line, a few seconds"),
        (3, 41.0, "Waiting, number 3 in line, about 50 s"),
        (40, 90.0, "Waiting, number 40 in line, about 2 min"),
    ],
)
def test_who_waits_is_told_the_place_and_about_how_long(
    position: int, wait_s: float | None, line: str
) -> None:
    said = wording.progress_line(
        "queued", queue_position=position, expected_wait_s=wait_s, cancel_requested=False
    )
    assert said == line
