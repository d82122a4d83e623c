"""Where the marks of a distribution lie on its line."""

from typing import Any

import pytest

from service.web.prediction.strip import strip

# The line runs from -35 to 135.
SPREAD = {"minimum": 0.0, "p1": 1.0, "p5": 5.0, "p25": 25.0, "p50": 50.0, "p75": 75.0, "p95": 95.0}
SPREAD |= {"p99": 99.0, "maximum": 100.0}


def test_the_training_subjects_lie_in_the_middle_of_the_line() -> None:
    drawn = strip(SPREAD, 50.0)
    assert drawn is not None
    assert (drawn.minimum, drawn.p50, drawn.maximum) == (20.59, 50, 79.41)
    assert drawn.p5 < drawn.p25 < drawn.p50 < drawn.p75 < drawn.p95
    assert (drawn.at, drawn.beyond) == (50, "")


@pytest.mark.parametrize(
    ("value", "at", "beyond"),
    [(-35.0, 0, ""), (-40.0, 0, "below"), (135.0, 100, ""), (9000.0, 100, "above"), (None, None, "")],
)
def test_what_lies_far_off_stands_at_the_end(value: float | None, at: float | None, beyond: str) -> None:
    drawn = strip(SPREAD, value)
    assert drawn is not None
    assert (drawn.at, drawn.beyond) == (at, beyond)


@pytest.mark.parametrize("same", [0.0, 1.0, -2.0])
def test_subjects_who_are_all_the_same_are_a_point_in_the_middle(same: float) -> None:
    drawn = strip(dict.fromkeys(SPREAD, same), same)
    assert drawn is not None
    assert drawn.minimum == drawn.maximum == drawn.at == 50


@pytest.mark.parametrize("spread", [None, {"n_known": 0}, {"n_known": 9, "p25": 1.0, "p50": 2.0, "p75": 3.0}])
def test_of_too_few_nothing_is_drawn(spread: dict[str, Any] | None) -> None:
    assert strip(spread, 1.0) is None
