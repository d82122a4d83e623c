"""What a report's drawings show, worked out by hand."""

import re
from xml.etree import ElementTree as ET

import pytest

from service.report.charts import dvars_chart, scale_chart, windows_chart
from service.web.prediction.scale import Band, uncertain_band
from tests.service.api.serving import sample_result

CONFORMAL = {"decision_rule": "conformal"}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("adhd", "control", "band"),
    [
        # Both groups are left between .335 and .54.
        (0.665, 0.54, (0.335, 0.54)),
        # None is left between .4 and .7.
        (0.3, 0.4, (0.4, 0.7)),
        (1.2, 1.1, (0.0, 1.0)),
    ],
)
def test_the_band_of_conformal_sets_that_are_no_single_group(
    adhd: float, control: float, band: tuple[float, float]
) -> None:
    card = {"conformal_quantiles": {"level": 0.9, "adhd": adhd, "control": control}}
    found = uncertain_band(CONFORMAL, card)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((100 * band[0], 100 * band[1]))
    assert uncertain_band({"decision_rule": "interval"}, card) is None
    # Of a row from when there was one rule.
    assert uncertain_band({}, card) is None


def test_the_band_is_where_the_model_says_uncertain() -> None:
    from model.decision import conformal_decision

    quantiles = {"level": 0.9, "adhd": 0.6653, "control": 0.5397}
    band = uncertain_band(CONFORMAL, {"conformal_quantiles": quantiles})
    assert band is not None
    for percents in range(101):
        probability = percents / 100
        uncertain = conformal_decision(probability, quantiles) == "uncertain"
        assert uncertain == (band.low <= percents <= band.high)


def test_a_card_without_quantiles_has_no_band() -> None:
    assert uncertain_band(CONFORMAL, {}) is None
    assert uncertain_band(CONFORMAL, {"conformal_quantiles": None}) is None
    caption = scale_chart(sample_result() | CONFORMAL, None).caption
    assert caption.endswith("Dashed: the threshold.")


def test_the_scale_has_the_point_the_interval_the_threshold_and_the_band() -> None:
    chart = scale_chart(sample_result(0.5, 0.25, 0.75), Band(25, 50, rules_out_both=False))
    root = ET.fromstring(chart.svg)  # noqa: S314  (ours)
    point = root.find(f"{SVG}circle")
    band, bar = root.findall(f"{SVG}rect")
    assert point is not None
    assert point.get("cx") == "220.0"
    assert (band.get("x"), band.get("width")) == ("115.0", "105.0")
    assert (bar.get("x"), bar.get("width")) == ("115.0", "210.0")
    [threshold] = [line for line in root.findall(f"{SVG}line") if line.get("stroke-dasharray")]
    assert threshold.get("x1") == threshold.get("x2") == "220.0"
    assert chart.alt.replace("\u202f", " ") == (
        "Scale from 0 to 100 %: probability 50 %, interval 25 % to 75 %, threshold 50 %; "
        "the answer is uncertain from 25 % to 50 %"
    )
    assert "this band decides, not the threshold" in chart.caption
    assert "where the bar includes the threshold" in scale_chart(sample_result(), None).caption


@pytest.mark.parametrize("threshold", [0.001, 0.999])
def test_the_words_of_the_threshold_stay_clear_of_the_ends(threshold: float) -> None:
    chart = scale_chart(sample_result() | {"threshold": threshold}, None)
    [x] = re.findall(r'<text x="([\d.]+)"[^>]*>threshold', chart.svg)
    assert 100 <= float(x) <= 340


def test_each_window_and_each_change_has_its_place() -> None:
    result = sample_result()
    windows = ET.fromstring(windows_chart(result).svg)  # noqa: S314  (ours)
    heights = {circle.get("cy") for circle in windows.findall(f"{SVG}circle")}
    # 61 % of the way from 112 up to 12.
    assert heights == {"51.0"}
    assert "0:00 to 1:55: 61" in windows_chart(result).alt
    chart = dvars_chart(result)
    assert chart is not None
    [points] = re.findall(r'points="([^"]+)"', chart.svg)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert [x for x, _ in places] == [48.0, 239.0, 430.0]
    assert min(places, key=lambda place: place[1])[0] == 239.0
    result["quality"]["dvars"] = []
    assert dvars_chart(result) is None
