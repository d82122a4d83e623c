"""Where things lie on the drawn scale."""

from itertools import pairwise

import pytest

from model.decision import conformal_decision
from service.web.prediction.scale import (
    Band,
    Mark,
    Scale,
    dvars_trace,
    probability_scale,
    stretches,
    time_marks,
    uncertain_band,
)
from service.web.rendering import percent, readable_bytes, sentence


def laid_out(probability: float, low: float, high: float, threshold: float) -> dict[str, object]:
    return {
        "adhd_probability": probability,
        "interval": {"level": 0.9, "low": low, "high": high},
        "threshold": threshold,
    }


def test_a_result_worked_out_by_hand() -> None:
    assert probability_scale(laid_out(0.61, 0.44, 0.75, 0.5)) == Scale(61, 44, 75, 50)


BY_SETS = {"decision_rule": "conformal"}


@pytest.mark.parametrize(
    ("quantiles", "band"),
    [
        # Control is in the set up to 60 %, ADHD from 30 %: between them lie both.
        ({"level": 0.9, "control": 0.6, "adhd": 0.7}, Band(30, 60, rules_out_both=False, error_rate=0.1)),
        # Control is in the set up to 20 %, ADHD from 70 %: between them lies neither.
        ({"level": 0.9, "control": 0.2, "adhd": 0.3}, Band(20, 70, rules_out_both=True, error_rate=0.1)),
        # Too few were there to calibrate on: nothing is ever ruled out.
        ({"level": 0.9, "control": 1.0, "adhd": 1.0}, Band(0, 100, rules_out_both=False, error_rate=0.1)),
    ],
)
def test_the_band_is_where_the_sets_name_no_single_class(quantiles: dict[str, float], band: Band) -> None:
    found = uncertain_band(BY_SETS, {"conformal_quantiles": quantiles})
    assert found == band
    for probability in range(5, 100, 10):
        within = band.low < probability < band.high
        assert (conformal_decision(probability / 100, quantiles) == "uncertain") is within


@pytest.mark.parametrize("result", [{}, {"decision_rule": "interval"}])
@pytest.mark.parametrize("card", [None, {}, {"conformal_quantiles": {"control": 0.6, "adhd": 0.7}}])
def test_where_the_interval_decides_there_is_no_band(
    result: dict[str, object], card: dict[str, object] | None
) -> None:
    assert uncertain_band(result, card) is None


def over(duration_s: float, *starts: int) -> dict[str, object]:
    windows = [{"start_frame": start, "probability": start / 100} for start in starts]
    return {"windows": windows, "quality": {"duration_s": duration_s}}


def test_windows_lie_along_the_run_in_minutes() -> None:
    # 100 frames of 2 s; the chart runs from 10 % (probability 1) to 90 % (probability 0).
    found = stretches(over(200.0, 0, 40, 80))
    assert [(one.across, one.height) for one in found] == [(10, 90), (50, 58), (90, 26)]
    assert [(one.begins, one.ends) for one in found] == [("0:00", "0:40"), ("1:20", "2:00"), ("2:40", "3:20")]


def test_the_only_window_lies_in_the_middle() -> None:
    # The middle 20 of 90 frames of 2 s, as the plan of one window takes them.
    [found] = stretches(over(180.0, 35))
    assert (found.across, found.begins, found.ends) == (50, "1:10", "1:50")


def test_times_stand_below_a_chart() -> None:
    assert time_marks(180.4) == [Mark(0, "0:00"), Mark(50, "1:30"), Mark(100, "3:00")]


@pytest.mark.parametrize(
    ("values", "texts"),
    [([0.0, 0.8], "0 1"), ([1.0, 1.34], "0 1"), ([1.0, 1.97], "0 1 2.0"), ([1.0, 40.0], "0 40.0")],
)
def test_a_trace_has_an_axis_whose_figures_stand_apart(values: list[float], texts: str) -> None:
    trace = dvars_trace(values)
    assert trace is not None
    assert " ".join(mark.text for mark in trace.marks) == texts
    heights = [mark.at for mark in trace.marks]
    assert heights[0] == 90
    assert all(lower - upper > 10 for lower, upper in pairwise(heights))


def test_the_figures_of_a_trace_stand_where_its_line_runs() -> None:
    trace = dvars_trace([0.0, 10.0])
    assert trace is not None
    # The line's box of 100 lies between 10 % and 90 % of the chart.
    assert trace.points == "0.0,100.0 1000.0,7.4"
    assert trace.marks[-1] == Mark(15.93, "10.0")
    assert dvars_trace([1.0]) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.614, "61 %"), (0.001, "< 1 %"), (0.999, "> 99 %"), (0.0, "0 %"), (1.0, "100 %"), (0.995, "> 99 %")],
)
def test_a_probability_never_looks_certain_when_it_is_not(value: float, text: str) -> None:
    assert percent(value).replace("\u202f", " ") == text


def test_sizes_and_sentences() -> None:
    sizes = (12, 2048, 33_600_000, 1 << 30, 3 << 29)
    assert [readable_bytes(size) for size in sizes] == ["12 bytes", "2 KiB", "32 MiB", "1 GiB", "1.5 GiB"]
    assert (sentence("expected x, found y"), sentence("")) == ("Expected x, found y.", "")
