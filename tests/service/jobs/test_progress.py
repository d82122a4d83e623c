import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.db.rows import PredictionState
from service.jobs import overall_progress

STAGES = (PredictionState.PREPROCESSING, PredictionState.CLASSIFYING)


@given(stage=st.sampled_from(STAGES), fractions=st.lists(st.floats(-1, 2), min_size=2, max_size=2))
def test_progress_grows_within_a_stage_and_stays_within_the_job(
    stage: PredictionState, fractions: list[float]
) -> None:
    low, high = (overall_progress(stage, fraction) for fraction in sorted(fractions))
    assert 0 <= low <= high <= 1


def test_the_stages_follow_each_other() -> None:
    ends = [overall_progress(stage, fraction) for stage in STAGES for fraction in (0.0, 1.0)]
    assert ends[0] == 0
    assert ends[1] == ends[2]
    assert ends[3] == pytest.approx(1)
