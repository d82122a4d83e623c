import dataclasses

import pytest

from model.card import read_card
from model.predictor import Predictor
from training.demonstration import Plan, make_demonstration
from training.loop import TrainingSettings
from training.warm_start import ReaderSettings

TINY = Plan(
    seed=3,
    n_training=8,
    n_calibration=4,
    n_test=4,
    n_null=4,
    members=2,
    width=1,
    warm_start_windows=1,
    reader=ReaderSettings(epochs=1),
    end_to_end=TrainingSettings(epochs=1),
)


@pytest.mark.slow
def test_the_whole_line_makes_a_checkpoint_that_says_what_it_is_and_the_same_again(tmp_path):
    card = make_demonstration(tmp_path / "deep" / "one.safetensors", plan=TINY)
    make_demonstration(tmp_path / "other.safetensors", plan=TINY)
    one = (tmp_path / "deep" / "one.safetensors").read_bytes()
    assert one == (tmp_path / "other.safetensors").read_bytes()
    assert read_card(tmp_path / "other.safetensors") == card
    assert card.intended_use == "demonstration"
    assert "8 simulated subjects" in card.trained_on
    assert "4 simulated subjects never trained on" in card.metrics["measured_on"]
    assert sum(card.metrics["confusion"].values()) == 4
    assert card.temperature != 1.0
    assert Predictor.load(tmp_path / "other.safetensors", device="cpu").card.width == 1


def test_the_plan_fingerprints_its_cohort():
    from training.demonstration import _card

    fingerprint = _card(TINY, temperature=1.0, metrics={}).cohort_fingerprint
    other = _card(dataclasses.replace(TINY, seed=4), temperature=1.0, metrics={}).cohort_fingerprint
    assert len(fingerprint) == 64
    assert fingerprint != other
