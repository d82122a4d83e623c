import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from training.classical.inner import TooFewToSplitError, choose_inside, require_enough
from training.evidence.ridge import calibrate, inner_parts

LABELS = np.array([0, 0, 1] * 21)


def test_everybody_is_scored_once_by_what_was_fitted_on_the_others():
    seen = np.zeros(len(LABELS), dtype=int)

    def score_part(others, here):
        assert np.array_equal(others, ~here)
        assert 3 <= LABELS[here].sum() <= 5
        seen[here] += 1
        return np.random.default_rng(int(here.argmax())).normal(size=(2, int(here.sum())))

    choose_inside(LABELS, score_part, seed=3)
    assert seen.tolist() == [1] * len(LABELS)


def test_the_best_is_the_one_of_the_least_log_loss_once_its_scores_mean_something():
    generator = np.random.default_rng(0)
    # The second is the best but for its scale and its zero, which calibration finds.
    candidates = np.array([0.5 * LABELS, 80.0 * LABELS - 300, 0 * LABELS]) + generator.normal(
        size=(3, 63)
    ) * [
        [1.0],
        [30.0],
        [1.0],
    ]
    choice = choose_inside(LABELS, lambda _, here: candidates[:, here], seed=0)
    losses = []
    for scores in candidates:
        model = LogisticRegression().fit(scores[:, None] / scores.std(), LABELS)
        losses.append(log_loss(LABELS, model.predict_proba(scores[:, None] / scores.std())))
    assert choice.best == int(np.argmin(losses)) == 1
    model = LogisticRegression().fit(candidates[1][:, None] / candidates[1].std(), LABELS)
    logits = choice.slope * candidates[1] + choice.lean
    np.testing.assert_allclose(
        logits, model.decision_function(candidates[1][:, None] / candidates[1].std()), atol=1e-6
    )


def test_of_equals_the_first_is_taken():
    scores = np.random.default_rng(1).normal(size=63)
    assert choose_inside(LABELS, lambda _, here: np.array([scores[here]] * 3), seed=0).best == 0


def test_parts_hold_the_labels_in_their_shares_and_follow_the_seed():
    parts = inner_parts(LABELS, seed=4)
    counts = [[int(((parts == i) & (label == LABELS)).sum()) for label in (0, 1)] for i in range(5)]
    assert counts == [[9, 5], [9, 4], [8, 4], [8, 4], [8, 4]]
    assert np.array_equal(parts, inner_parts(LABELS, seed=4))
    assert not np.array_equal(parts, inner_parts(LABELS, seed=5))


def test_two_of_each_are_enough():
    require_enough(np.array([0, 1, 1, 0]), method="ridge")
    with pytest.raises(TooFewToSplitError, match=r"'ridge'.*found 2 and 1"):
        require_enough(np.array([0, 1, 1]), method="ridge")


@pytest.mark.parametrize("against", [-2.0, -1.0])
def test_scores_that_go_against_their_labels_by_chance_turn_nobody_round(against):
    scores = against * LABELS + np.random.default_rng(2).normal(size=63)
    slope, lean = calibrate(scores, LABELS)
    assert 0 < slope * scores.std() <= 1e-3
    # They mean nothing: everybody's probability is the share of cases.
    np.testing.assert_allclose(expit(slope * scores + lean), 1 / 3, atol=1e-3)


def test_of_candidates_none_wins_by_going_against_the_labels():
    noise = np.random.default_rng(3).normal(size=(2, 63))
    candidates = np.array([-2.0 * LABELS, 0.8 * LABELS]) + noise
    assert choose_inside(LABELS, lambda _, here: candidates[:, here], seed=0).best == 1
