import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from imaging import brain_cube, window_starts
from model.networks import RestNetwork
from tests.training.fitting.toy_cohort import SPEC, toy_subjects
from training.fitting.batches import PlannedWindow, pack
from training.fitting.fit import fit
from training.fitting.logits import subject_logits
from training.fitting.machine import Machine
from training.fitting.settings import TrainingSettings
from training.fitting.state import STATE_FILE, TrainingStateError, load_state
from training.fitting.steps import Stepper, TrainingDivergedError
from training.run_files import read_rows
from training.runs import EPOCHS_FILE, EpochRecord

CPU = torch.device("cpu")
QUICK = TrainingSettings(network="D", rnn="gru", width=1, epochs=2, batch_size=4, learning_rate=3e-3)
PAPER = QUICK.model_copy(update={"protocol": "paper"})
REPOSITORY = Path(__file__).parents[3]


def fresh(settings, seed=0):
    torch.manual_seed(seed)
    return RestNetwork(settings)


def trained(folder, settings=QUICK, *, network=None, training=None, stopping=None, seed=3, progress=None):
    network = network or fresh(settings)
    if stopping is None:
        stopping = toy_subjects(4, seed=1) if settings.protocol == "nested" else []
    result = fit(
        network,
        training or toy_subjects(8),
        stopping=stopping,
        settings=settings,
        folder=folder,
        seed=seed,
        device=CPU,
        progress=progress,
    )
    return network, result


def same(network, other):
    ours, theirs = network.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_anybody_could_see_is_learnt_in_seconds_and_holds_for_others(tmp_path):
    settings = QUICK.model_copy(update={"width": 2, "epochs": 5})
    network, result = trained(tmp_path, settings, training=toy_subjects(16))
    others = toy_subjects(8, seed=2)
    logits = subject_logits(network, others, device=CPU)
    assert [logit > 0 for logit in logits] == [bool(subject.label) for subject in others]
    losses = [record.stopping_loss for record in result.records]
    assert losses[-1] < 0.5 * losses[0]
    assert result.epochs_run == len(result.records) == 5
    assert not network.training


def test_with_nobody_watched_every_epoch_is_run_and_the_last_weights_are_kept(tmp_path):
    settings = QUICK.model_copy(update={"inner_stopping": 0.0, "epochs": 4, "patience": 1})
    network, result = trained(tmp_path / "whole", settings, stopping=[])
    assert (result.best_epoch, result.epochs_run) == (4, 4)
    assert {(record.stopping_loss, record.stopping_auc) for record in result.records} == {(None, None)}
    shorter, _ = trained(tmp_path / "short", settings.model_copy(update={"epochs": 3}), stopping=[])
    assert not same(network, shorter)


def test_a_subjects_logit_is_the_mean_over_the_planned_windows_of_all_scans():
    network = fresh(QUICK).eval()
    subjects = toy_subjects(3, scans=2)
    mask = brain_cube(34).mask
    expected = []
    for subject in subjects:
        windows = []
        for series in subject.series:
            for start in window_starts(len(series), spec=SPEC):
                dense = np.zeros((3, 34, 34, 34), dtype=np.float32)
                dense[:, mask] = series[start : start + 3]
                windows.append(torch.from_numpy(dense))
        with torch.inference_mode():
            expected.append(float(network(torch.stack(windows)).mean()))
    found = subject_logits(network, subjects, device=CPU)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_watched_figures_are_those_of_the_weights_after_the_epoch(tmp_path):
    stopping = toy_subjects(6, seed=4)
    network, result = trained(
        tmp_path, QUICK.model_copy(update={"epochs": 1}), stopping=stopping, training=toy_subjects(4)
    )
    logits = subject_logits(network, stopping, device=CPU)
    labels = [subject.label for subject in stopping]
    record = result.records[0]
    assert record.stopping_loss == pytest.approx(log_loss(labels, 1 / (1 + np.exp(-logits))), rel=1e-6)
    assert record.stopping_auc == pytest.approx(roc_auc_score(labels, logits))


def test_the_same_seed_gives_the_same_weights_and_another_others(tmp_path):
    first, _ = trained(tmp_path / "1")
    again, _ = trained(tmp_path / "2")
    other, _ = trained(tmp_path / "3", seed=4)
    assert same(first, again)
    assert not same(first, other)


def test_drawing_leaves_torchs_generator_to_others(tmp_path):
    network = fresh(QUICK)
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    trained(tmp_path, network=network)
    assert torch.equal(torch.rand(1), expected)


def test_the_best_epochs_weights_come_back(tmp_path):
    """Labels turned round: every step that learns the training subjects makes the watched ones worse."""
    settings = QUICK.model_copy(update={"epochs": 9, "patience": 2, "width": 2})
    turned = toy_subjects(4, seed=1, turned=True)
    network, result = trained(tmp_path, settings, stopping=turned)
    losses = [record.stopping_loss for record in result.records]
    assert result.best_epoch == int(np.argmin(losses)) + 1
    assert result.epochs_run == result.best_epoch + 2 < 9
    shorter, _ = trained(
        tmp_path / "short", settings.model_copy(update={"epochs": result.best_epoch}), stopping=turned
    )
    assert same(network, shorter)


def test_paper_goes_back_to_the_weights_of_patience_epochs_before(tmp_path):
    """With steps that hardly learn, the loss goes up and down with the windows that are drawn."""
    settings = PAPER.model_copy(update={"epochs": 12, "patience": 2, "learning_rate": 1e-6})
    network, result = trained(tmp_path, settings)
    losses = [record.training_loss for record in result.records]
    assert result.epochs_run == result.best_epoch + 2 < 12
    assert min(losses) == losses[result.best_epoch - 1]
    assert [record.stopping_loss for record in result.records] == [None] * result.epochs_run
    shorter, _ = trained(tmp_path / "short", settings.model_copy(update={"epochs": result.best_epoch}))
    assert same(network, shorter)


def test_pieces_of_a_batch_give_its_gradient(tmp_path):
    """Pieces that are alike have the whole batch's statistics; nothing else may tell them apart."""
    one = toy_subjects(1, frames=3)[0]
    alike = [replace(one, subject_id=str(i)) for i in range(4)]
    weights = {}
    for at_once in (None, 1, 3):
        settings = PAPER.model_copy(update={"dropout": 0.0, "epochs": 1, "micro_batch": at_once})
        network, _ = trained(tmp_path / str(at_once), settings, training=alike)
        weights[at_once] = network.head.weight.detach()
    start = fresh(PAPER).head.weight.detach()
    assert float((weights[None] - start).abs().min()) > 1e-3
    torch.testing.assert_close(weights[1], weights[None], atol=1e-5, rtol=0)
    torch.testing.assert_close(weights[3], weights[None], atol=1e-5, rtol=0)


def test_a_step_on_a_cpu_is_the_step_of_the_whole_network_on_dense_frames():
    """The brain-only stem, the pieces and Adam together, against the plain loop written out."""
    settings = PAPER.model_copy(update={"dropout": 0.0, "precision": "float32"})
    subjects = toy_subjects(4)
    windows = [PlannedWindow(i, 0, i) for i in range(4)]
    batch = pack(subjects, windows, settings=settings, generator=np.random.default_rng(0))
    ours, theirs = fresh(settings).train(), fresh(settings).train()
    loss = Stepper(ours, settings=settings, spec=SPEC, device=CPU).step(batch, epoch=1, share_done=0.0)
    dense = torch.zeros(4, 3, 34**3)
    dense[:, :, torch.from_numpy(np.flatnonzero(brain_cube(34).mask))] = batch.frames.float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        theirs(dense.reshape(4, 3, 34, 34, 34)), batch.labels
    )
    expected.backward()
    assert loss / 4 == pytest.approx(float(expected.detach()), rel=1e-4)
    both = zip(ours.parameters(), theirs.parameters(), strict=True)
    gradients = [(one.grad, other.grad) for one, other in both]
    largest = max(float(expected.abs().max()) for _, expected in gradients)
    for found, expected in gradients:
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * largest)


def test_pieces_of_a_batch_are_normalised_apart(tmp_path):
    whole, _ = trained(tmp_path / "whole")
    pieces, _ = trained(tmp_path / "pieces", QUICK.model_copy(update={"micro_batch": 2}))
    assert not same(whole, pieces)


def test_the_cosine_falls_to_almost_nothing(tmp_path):
    settings = PAPER.model_copy(update={"schedule": "cosine", "epochs": 4})
    _, result = trained(tmp_path, settings)
    # Two batches an epoch: an epoch's last step is at 1/8, 3/8, 5/8 and 7/8 of the whole.
    expected = [3e-3 * (1 + np.cos(np.pi * done / 8)) / 2 for done in (1, 3, 5, 7)]
    assert [record.learning_rate for record in result.records] == pytest.approx(expected)


def test_progress_says_where_it_stands_and_for_how_long(tmp_path):
    seen = []
    _, result = trained(tmp_path, progress=seen.append)
    assert [(p.epoch, p.batch, p.n_epochs, p.n_batches) for p in seen] == [
        (epoch, batch, 2, 2) for epoch in (1, 2) for batch in (1, 2)
    ]
    assert seen[0].stopping_loss is None
    assert seen[2].stopping_loss == result.records[0].stopping_loss
    assert seen[1].training_loss == pytest.approx(result.records[0].training_loss)
    assert seen[2].remaining_s == pytest.approx(0.5 * result.records[0].seconds)
    assert seen[3].remaining_s == 0


def interrupt_in_the_second_epoch(progress):
    if progress.epoch == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize(("begun", "elsewhere"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_a_training_goes_on_in_the_precision_that_it_was_begun_in(begun, elsewhere, tmp_path, monkeypatch):
    def take(precision):
        capabilities = {"avx512_bf16": precision == "bfloat16"}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    take(begun)
    expected, whole = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", progress=interrupt_in_the_second_epoch)
    take(elsewhere)
    assert trained(tmp_path / "anew", QUICK.model_copy(update={"epochs": 1}))[1].precision == elsewhere
    went_on, result = trained(tmp_path / "cut")
    assert result.precision == whole.precision == begun
    assert same(went_on, expected)
    assert trained(tmp_path / "cut")[1] == result, "also of a training that is given again"


def test_a_training_begun_in_bfloat16_does_not_go_on_where_that_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, progress=interrupt_in_the_second_epoch)
    state = (tmp_path / STATE_FILE).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("training.fitting.fit.is_bfloat16_right", lambda _device: False)
        with pytest.raises(TrainingStateError, match="expected a device that computes bfloat16 right") as one:
            trained(tmp_path)
        assert one.value.code == "training_state_invalid"
        assert (tmp_path / STATE_FILE).read_bytes() == state
    _, result = trained(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("training.fitting.fit.is_bfloat16_right", lambda _device: False)
        assert trained(tmp_path)[1] == result, "a finished training needs no further step"


def test_the_machine_of_the_last_epoch_is_kept(tmp_path):
    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, progress=interrupt_in_the_second_epoch)
    torch.set_num_threads(threads + 1)
    try:
        _, result = trained(tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert result.machine == Machine(
        device="cpu",
        device_name=platform.machine(),
        threads=threads + 1,
        torch_version=torch.__version__,
    )
    assert trained(tmp_path)[1] == result, "who only gives it again did not train it"


def test_a_finished_training_is_given_again_without_training(tmp_path):
    network, result = trained(tmp_path)
    not_again = lambda _: pytest.fail("it trained")  # noqa: E731
    again, same_result = trained(tmp_path, network=fresh(QUICK, seed=9), progress=not_again)
    assert same_result == result
    assert same(network, again)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path):
    def interrupt(progress):
        if progress.epoch == 2 and progress.batch == 2:
            raise KeyboardInterrupt

    expected, _ = trained(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", progress=interrupt)
    assert len(read_rows(tmp_path / "cut", EPOCHS_FILE, EpochRecord)) == 1
    went_on, result = trained(tmp_path / "cut")
    assert same(went_on, expected)
    assert tuple(read_rows(tmp_path / "cut", EPOCHS_FILE, EpochRecord)) == result.records


def test_another_trainings_folder_is_refused(tmp_path):
    trained(tmp_path)
    for change in (
        {"settings": QUICK.model_copy(update={"learning_rate": 1e-3})},
        {"seed": 4},
        {"training": toy_subjects(8, seed=5)},
        {"stopping": toy_subjects(4, seed=1, turned=True)},
    ):
        with pytest.raises(TrainingStateError, match="found one of other settings"):
            trained(tmp_path, **change)


def test_a_damaged_state_is_refused(tmp_path):
    trained(tmp_path)
    path = tmp_path / STATE_FILE
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(TrainingStateError, match="found a damaged file"):
        trained(tmp_path)


def test_a_finished_state_keeps_no_more_than_the_chosen_weights(tmp_path):
    network, _ = trained(tmp_path)
    with pytest.raises(TrainingStateError):
        load_state(tmp_path / STATE_FILE, identity="another")
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    assert (tmp_path / STATE_FILE).stat().st_size < n_bytes + 16_384


def test_a_loss_that_is_no_number_ends_the_training_by_name(tmp_path):
    settings = PAPER.model_copy(update={"epochs": 3})
    network = fresh(settings)

    def spoil(progress):
        if progress.epoch == 2 and progress.batch == 1:
            with torch.no_grad():
                network.head.bias.fill_(float("nan"))

    with pytest.raises(TrainingDivergedError, match="epoch 2: expected a finite training loss") as refused:
        trained(tmp_path, settings, network=network, progress=spoil)
    assert refused.value.details() == {"epoch": 2, "loss": "training", "found": "nan"}
    assert len(read_rows(tmp_path, EPOCHS_FILE, EpochRecord)) == 1


def test_subjects_that_do_not_fit_the_protocol_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected subjects of 2 classes to watch under 'nested', found 0"):
        trained(tmp_path, stopping=[])
    with pytest.raises(ValueError, match="expected subjects of 0 classes to watch under 'paper', found 2"):
        trained(tmp_path, PAPER, stopping=toy_subjects(2))
    with pytest.raises(ValueError, match="at least 2 subjects"):
        trained(tmp_path, training=toy_subjects(1))


def test_training_in_bfloat16_follows_float32(tmp_path):
    losses = {}
    for precision in ("float32", "bfloat16"):
        settings = QUICK.model_copy(update={"precision": precision, "epochs": 1})
        _, result = trained(tmp_path / precision, settings)
        assert result.precision == precision
        losses[precision] = result.records[0].training_loss
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_bitwise_the_same_weights(tmp_path):
    """SIGKILL amid an epoch, amid the saving of a state, between state and log, and at random times."""
    script = Path(__file__).with_name("killed_training.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    killed = [line for line in done.stdout.splitlines() if line.startswith("killed")]
    # The eight awkward moments; the random times add to them on all but the fastest machine.
    assert len(killed) >= 8
    assert done.stdout.splitlines()[-1] == "the same"
