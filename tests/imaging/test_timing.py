import pytest

from imaging import PreprocessingSpec
from imaging.timing import (
    MAXIMUM_TR_S,
    ImplausibleRepetitionTimeError,
    MissingRepetitionTimeError,
    repetition_time_s,
)

MM = 2


@pytest.mark.parametrize(
    ("value", "unit", "tr_s"),
    [
        (2.0, 8, 2.0),
        (2200.0, 16, 2.2),
        (2_200_000.0, 24, 2.2),
        (2.200000047683716, 8, 2.2),
        (1.96, 8, 1.96),
        (6.25, 8, 6.25),
    ],
)
def test_a_declared_unit_is_obeyed(value, unit, tr_s):
    assert repetition_time_s(value, xyzt_units=MM + unit) == (tr_s, ())


@pytest.mark.parametrize(("value", "tr_s"), [(2.0, 2.0), (2000.0, 2.0), (0.72, 0.72), (720.0, 0.72)])
def test_without_a_unit_the_only_plausible_reading_is_taken_and_said(value, tr_s):
    found, (warning,) = repetition_time_s(value, xyzt_units=MM)
    assert found == tr_s
    assert warning.code == "time_unit_missing"
    assert f"{tr_s:g} s" in warning.message


@pytest.mark.parametrize(
    ("value", "units"),
    [
        (2000.0, 8),
        (2.0, 16),
        (2000.0, 24),
        (-2.0, 8),
        (20.0, 0),
        (0.01, 0),
        (2.0, 32),
        (2.0, 56),
        (10.5, 8),
        (6.26, 8),
    ],
)
def test_a_contradiction_is_not_guessed_away(value, units):
    with pytest.raises(ImplausibleRepetitionTimeError) as caught:
        repetition_time_s(value, xyzt_units=units)
    assert caught.value.value == value


def test_zero_is_missing_whatever_the_unit():
    for units in (0, 8, 16):
        with pytest.raises(MissingRepetitionTimeError):
            repetition_time_s(0.0, xyzt_units=units)


def test_the_slowest_scan_still_carries_the_pass_band():
    assert PreprocessingSpec().band_hz[1] <= 0.5 / MAXIMUM_TR_S
