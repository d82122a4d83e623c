import pytest
from sklearn.metrics import roc_auc_score

from model.card import read_card
from model.checkpoint import load_checkpoint, save_checkpoint
from model.errors import CheckpointMismatchError
from model.predictor import Predictor
from training.demonstration import SETTINGS, Plan, ask_about_subject, make_demonstration
from training.demonstration_card import describe_demonstration
from training.simulation.simulator import subject_profile

TINY = Plan(
    seed=3,
    n_training=16,
    n_test=2,
    n_null=2,
    effect_size=0.8,
    settings=SETTINGS.model_copy(
        update={"width": 1, "folds": 2, "epochs": 2, "inner_stopping": 0.3, "inner_calibration": 0.3}
    ),
)


def describing_it_again_changes_no_byte(path, copy):
    """A card that lost its population gets it back, and one that says what is not so gets nothing."""
    trained = load_checkpoint(path)
    for metrics, refused in ((trained.card.metrics, False), ({"new_subjects": {}}, True)):
        bare = trained.card.model_copy(update={"population": None, "metrics": metrics})
        save_checkpoint(copy, members=trained.members, card=bare, weights_dtype="float16")
        before = copy.read_bytes()
        assert before != path.read_bytes()
        if refused:
            with pytest.raises(CheckpointMismatchError, match="on new people"):
                describe_demonstration(copy, plan=TINY)
            assert copy.read_bytes() == before
        else:
            describe_demonstration(copy, plan=TINY)
            assert copy.read_bytes() == path.read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_line_makes_a_checkpoint_that_says_what_it_is_and_the_same_again(tmp_path):
    path = tmp_path / "deep" / "one.safetensors"
    card = make_demonstration(path, plan=TINY)
    make_demonstration(tmp_path / "other.safetensors", plan=TINY, processes=1)
    assert path.read_bytes() == (tmp_path / "other.safetensors").read_bytes()
    assert read_card(path) == card
    assert card.population.subjects == 16
    describing_it_again_changes_no_byte(path, tmp_path / "undescribed.safetensors")
    assert (card.name, card.version, card.intended_use) == ("RestNet demonstration", "2", "demonstration")
    assert card.trained_on == "16 simulated subjects (seed 3, effect size 0.8); no person's scan"
    assert (card.network, card.rnn, card.width, card.members) == ("C", "lstm", 1, 2)
    assert len(card.cohort_fingerprint) == 64

    metrics = card.metrics
    assert "16 simulated subjects" in metrics["measured_on"]
    assert sum(metrics["confusion"].values()) == 16
    new, null = metrics["new_subjects"], metrics["null_cohort"]
    assert sum(new["confusion"].values()) == sum(new["decisions"].values()) == 2
    assert sum(null["decisions"].values()) == 2
    # Too few for a quantile below 1: every set holds both classes.
    assert card.decision_rule == "conformal"
    assert new["coverage"]["overall"]["value"] == 1.0
    assert new["decisions"]["uncertain"] == 2

    answers = [ask_about_subject(path, index, seed=4, effect_size=0.8) for index in range(2)]
    labels = [subject_profile(index, seed=4).label for index in range(2)]
    assert new["auc"]["value"] == pytest.approx(roc_auc_score(labels, [p for p, _ in answers]), abs=1e-4)
    assert Predictor.load(path, device="cpu").card == card
    kernels = [member["encoder.stem.weight"] for member in load_checkpoint(path).members]
    assert kernels[0].shape == kernels[1].shape
    assert not (kernels[0] == kernels[1]).all()
