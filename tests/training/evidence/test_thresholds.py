import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_curve

from training.evidence.metrics import ClassMissingError
from training.evidence.thresholds import choose_threshold

people = st.integers(2, 30).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=st.integers(1, 19).map(lambda k: k / 20)),
        arrays(np.int64, n, elements=st.integers(0, 1)).filter(lambda labels: 0 < labels.sum() < len(labels)),
    )
)


def met(probabilities, labels, threshold):
    called = probabilities > threshold
    return called[labels == 1].mean(), (~called)[labels == 0].mean()


@settings(deadline=None)
@given(people=people)
def test_youdens_threshold_reaches_the_best_point_of_scikit_learns_curve(people):
    probabilities, labels = people
    false_alarms, hits, _ = roc_curve(labels, probabilities, drop_intermediate=False)
    threshold = choose_threshold(probabilities, labels, rule="youden")
    sensitivity, specificity = met(probabilities, labels, threshold)
    assert sensitivity + specificity - 1 == pytest.approx((hits - false_alarms).max())
    assert 0 < threshold < 1


@settings(deadline=None)
@given(people=people, required=st.sampled_from([0.3, 0.5, 0.8, 0.9, 1.0]))
def test_a_required_sensitivity_is_kept_at_the_fewest_false_alarms(people, required):
    probabilities, labels = people
    false_alarms, hits, _ = roc_curve(labels, probabilities, drop_intermediate=False)
    threshold = choose_threshold(probabilities, labels, rule=required)
    sensitivity, specificity = met(probabilities, labels, threshold)
    fewest = false_alarms[hits >= required - 1e-9].min()
    assert sensitivity >= required - 1e-9
    assert 1 - specificity == pytest.approx(fewest)
    assert sensitivity == pytest.approx(hits[np.isclose(false_alarms, fewest)].max()), "what is free is taken"


def test_the_line_is_drawn_in_the_middle_of_the_gap():
    labels = np.array([0, 0, 0, 1, 1])
    # Worked by hand: all five can be told apart by anything from 0.3 to 0.6, of which 0.5 is nearest itself.
    assert choose_threshold(np.array([0.1, 0.2, 0.3, 0.6, 0.7]), labels, rule="youden") == 0.5
    assert choose_threshold(np.array([0.1, 0.2, 0.3, 0.4, 0.7]), labels, rule="youden") == pytest.approx(0.35)


def test_a_sample_that_tells_nothing_leaves_the_threshold_at_a_half():
    labels = np.array([0, 1, 0, 1])
    assert choose_threshold(np.full(4, 0.3), labels, rule="youden") == 0.5
    assert choose_threshold(np.array([0.2, 0.2, 0.8, 0.8]), labels, rule="youden") == 0.5


def test_equal_probabilities_fall_on_one_side_together():
    probabilities, labels = np.array([0.4, 0.4, 0.4, 0.9]), np.array([0, 1, 1, 1])
    assert choose_threshold(probabilities, labels, rule=0.9) < 0.4
    assert 0.4 < choose_threshold(probabilities, labels, rule=0.3) < 0.9


def test_even_probabilities_of_0_and_1_leave_a_threshold_that_a_card_accepts():
    labels = np.array([0, 1])
    assert 0 < choose_threshold(np.array([0.0, 0.0]), labels, rule=1.0) < 1
    assert 0 < choose_threshold(np.array([1.0, 1.0]), labels, rule="youden") < 1


def test_one_class_and_impossible_rules_are_refused():
    with pytest.raises(ClassMissingError, match="threshold"):
        choose_threshold(np.array([0.2, 0.3]), np.array([1, 1]), rule="youden")
    for rule in (0.0, 1.01, float("nan")):
        with pytest.raises(ValueError, match="sensitivity"):
            choose_threshold(np.array([0.2, 0.3]), np.array([0, 1]), rule=rule)
