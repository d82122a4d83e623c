"""Where things lie on the drawn scale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.web.rendering import percent, readable_bytes, sentence
from service.web.scale import probability_scale, trace_points, window_dots


def laid_out(probability: float, low: float, high: float, threshold: float) -> dict[str, object]:
    return {
        "adhd_probability": probability,
        "interval": {"level": 0.9, "low": low, "high": high},
        "threshold": threshold,
    }


def test_a_result_worked_out_by_hand() -> None:
    scale = probability_scale(laid_out(0.61, 0.44, 0.75, 0.5))
    assert (scale.point, scale.low, scale.high, scale.threshold) == (61, 44, 75, 50)
    # 14 to the right of the point, 17 to the left: uncertain from 50 - 14 to 50 + 17.
    assert (scale.band_low, scale.band_high) == (36, 67)


@given(
    values=st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3).map(sorted),
    threshold=st.floats(0.05, 0.95),
)
def test_the_point_lies_in_the_band_when_the_interval_holds_the_threshold(
    values: list[float], threshold: float
) -> None:
    low, point, high = values
    scale = probability_scale(laid_out(point, low, high, threshold))
    assert 0 <= scale.band_low <= scale.band_high <= 100
    if low + 0.001 < threshold < high - 0.001:
        assert scale.band_low <= scale.point <= scale.band_high
    elif not low - 0.001 < threshold < high + 0.001:
        assert not scale.band_low < scale.point < scale.band_high


def test_windows_lie_along_the_scan() -> None:
    dots = window_dots([{"start_frame": start, "probability": start / 100} for start in (0, 40, 80)])
    assert [(dot.across, dot.share) for dot in dots] == [(10, 0.0), (50, 0.4), (90, 0.8)]


def test_a_trace_fills_its_box() -> None:
    assert trace_points([1.0]) == ""
    assert trace_points([0.0, 10.0]) == "0.0,100.0 1000.0,7.4"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.614, "61 %"), (0.001, "< 1 %"), (0.999, "> 99 %"), (0.0, "0 %"), (1.0, "100 %"), (0.995, "> 99 %")],
)
def test_a_probability_never_looks_certain_when_it_is_not(value: float, text: str) -> None:
    assert percent(value).replace("\u202f", " ") == text


def test_sizes_and_sentences() -> None:
    assert [readable_bytes(size) for size in (12, 33_600_000, 1 << 30)] == ["12 bytes", "33.6 MB", "1.1 GB"]
    assert (sentence("expected x, found y"), sentence("")) == ("Expected x, found y.", "")
