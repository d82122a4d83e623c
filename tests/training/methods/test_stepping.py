"""Steps of a method's module: what is drawn, and how few a step can be taken on."""

from dataclasses import replace

import pytest
import torch

from model.methods.module_model import ModuleModel
from model.methods.recipes import recipe_beside_settings
from model.published.packaged import PackagedBolT
from model.published.training_recipes import training_of
from model.published.zou import Zou3DCNN
from tests.training.methods.tiny_methods import begun_again, settings_of, train
from training.fitting.steps import TrainingDivergedError
from training.methods.stepping import InputBatch, _ModuleLearner
from training.run_files import read_rows
from training.runs import EPOCHS_FILE, EpochRecord, fold_folder, read_outcome, read_run
from training.validation.cross_validation import plan_run
from training.validation.run_folder import RunDiffersError


def trained(people, run, *, method, **changes):
    settings = settings_of(method, inner_stopping=0.0, epochs=1, **changes)
    plan_run(people, people.subjects, settings=settings, out=run, device="cpu", threads=1)
    heard = []
    train(run, people, progress=lambda _fold, now: heard.append(now.batch))
    return heard


def test_who_is_left_alone_at_the_end_of_an_epoch_joins_the_batch_before(people, tmp_path):
    """A normalisation over the batch has no figures of a single scan: torch refuses it."""
    assert training_of("zou-3d-cnn").least_batch == 2
    heard = trained(people, tmp_path / "run", method="zou-3d-cnn", batch_size=3)
    assert read_outcome(tmp_path / "run", 0).n_training == 4
    assert heard == [1], "four scans in one batch, not three and one"
    (epoch,) = read_rows(fold_folder(tmp_path / "run", 0), EPOCHS_FILE, EpochRecord)
    assert epoch.training_loss > 0


@pytest.mark.parametrize("method", ["sc-cnn-attention", "mean-mlp"])
def test_who_can_be_alone_is_alone(method, people, tmp_path):
    assert trained(people, tmp_path / "run", method=method, batch_size=3) == [1, 2]


@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
def test_a_batch_in_parts_is_the_same_step_in_either_term_of_the_loss(at_once):
    def weights_after_a_step(micro_batch):
        torch.manual_seed(0)
        bolt = PackagedBolT(n_regions=4)
        for module in bolt.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        learner = _ModuleLearner(
            ModuleModel(bolt, reads="regions", maps=(), n_voxels=8, n_regions=4, grid_size=2),
            # Plain steps: Adam would make every first step as long.
            recipe=replace(training_of("bolt"), optimiser="sgd", cycle=None),
            settings=settings_of("bolt", batch_size=5, micro_batch=micro_batch, learning_rate=0.1),
            seed=0,
            device=torch.device("cpu"),
        )
        series = torch.randn(5, 44, 4, generator=torch.Generator().manual_seed(1))
        batch = InputBatch((series,), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0]))
        loss = learner.step(batch, epoch=1, share_done=0.0)
        return loss, {name: weight.detach().clone() for name, weight in bolt.named_parameters()}

    whole, expected = weights_after_a_step(None)
    parts, found = weights_after_a_step(at_once)
    assert parts == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("micro_batch", "parts"), [(None, [4]), (3, [2, 2]), (2, [2, 2]), (1, [2, 2])])
def test_a_batch_comes_in_parts_where_it_is_asked_for_alone(
    micro_batch, parts, people, tmp_path, monkeypatch
):
    """Three a batch are asked for; the fourth and last one joins them."""
    read = []

    def forward(network, *inputs, plain=Zou3DCNN.forward):
        if network.training:
            read.append(len(inputs[0]))
        return plain(network, *inputs)

    monkeypatch.setattr(Zou3DCNN, "forward", forward)
    trained(people, tmp_path / "run", method="zou-3d-cnn", batch_size=3, micro_batch=micro_batch)
    assert read == parts


def test_a_loss_whose_second_term_is_no_number_changes_no_weight(monkeypatch):
    model = ModuleModel(
        PackagedBolT(n_regions=4), reads="regions", maps=(), n_voxels=8, n_regions=4, grid_size=2
    )
    learner = _ModuleLearner(
        model,
        recipe=training_of("bolt"),
        settings=settings_of("bolt", batch_size=2),
        seed=0,
        device=torch.device("cpu"),
    )
    before = {name: weight.clone() for name, weight in model.module.state_dict().items()}

    def without_end(network, series):
        token = network.network.clsToken.mean()
        return series.mean(dim=(1, 2)) + token, token.abs() / 0

    monkeypatch.setattr(PackagedBolT, "logits_and_disagreement", without_end)
    with pytest.raises(TrainingDivergedError):
        learner.step(InputBatch((torch.ones(2, 44, 4),), torch.ones(2)), epoch=1, share_done=0.0)
    torch.testing.assert_close(dict(model.module.state_dict()), before)


def test_a_run_that_was_begun_with_another_recipe_is_not_gone_on_with(people, tmp_path, monkeypatch):
    run = tmp_path / "run"
    trained(people, run, method="sc-cnn-attention")
    assert read_run(run).recipe == recipe_beside_settings("sc-cnn-attention")
    other = recipe_beside_settings("bolt")
    monkeypatch.setattr("training.validation.cross_validation.recipe_beside_settings", lambda _method: other)
    with pytest.raises(RunDiffersError) as caught:
        trained(people, run, method="sc-cnn-attention")
    assert {one["field"] for one in caught.value.differences} == {
        "recipe.cycle",
        "recipe.disagreement",
        "recipe.piece_frames",
    }


def test_the_same_seed_gives_the_same_weights_and_another_others(people, tmp_path):
    trained(people, tmp_path / "one", method="sc-cnn-attention")
    trained(people, tmp_path / "seed", method="sc-cnn-attention", seed=3)
    again = train(begun_again(tmp_path / "one", tmp_path / "again", store=people), people)
    weights = [
        (fold_folder(run, 0) / "weights.safetensors").read_bytes()
        for run in (tmp_path / "one", again, tmp_path / "seed")
    ]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
