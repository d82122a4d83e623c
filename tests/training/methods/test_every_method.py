"""Every method trains, goes on where it was killed, and comes to a checkpoint that says what the run said."""

import shutil

import numpy as np
import pytest
import torch

from model.checkpoint import load_checkpoint
from model.full_float32 import full_float32
from model.methods.catalogue import METHODS
from model.methods.scan_view import ScanView
from tests.training.methods.tiny_methods import REPORTED, SPEC, begun_again, reads_regions, train
from tests.training.validation.test_leaks import reported
from training.cohort.store.views import view_scan
from training.fitting.logits import subject_logits
from training.fitting.prepared import TrainingSubject
from training.fitting.state import STATE_FILE
from training.run_files import read_rows
from training.runs import CHECKPOINT_FILE, EPOCHS_FILE, EpochRecord, fold_folder, read_outcome, read_run
from training.validation.cross_validation import finish_run
from training.validation.fold import WEIGHTS_FILE, train_fold

# One of Mao's networks stands for the others, which differ in one layer; leaks are looked for in all.
_LIKE_ANOTHER = {"mao-4d-cnn-lstm", "mao-4d-cnn-convolution"}
every_method = pytest.mark.parametrize("method", [name for name in METHODS if name not in _LIKE_ANOTHER])


class KilledError(Exception):
    """What comes in the midst of a training."""


@pytest.fixture(scope="session")
def finished(honest, people, tmp_path_factory):
    """Give a method's run with both folds, the ensemble and its card."""
    runs = {}

    def of(method):
        if method not in runs:
            run = shutil.copytree(honest(method), tmp_path_factory.mktemp("finished") / "run")
            train_fold(run, 1, cohort=people.folder, device="cpu")
            finish_run(run)
            runs[method] = run
        return runs[method]

    return of


@every_method
def test_killed_in_its_last_epoch_it_comes_to_the_same_weights(method, honest, people, tmp_path):
    run = begun_again(honest(method), tmp_path / "run", store=people)
    epochs = 2 if METHODS[method].learns_in_epochs else 0

    def kill(_fold, now):
        if now.epoch == epochs:
            raise KilledError

    with pytest.raises(KilledError):
        train(run, people, progress=kill)
    folder = fold_folder(run, REPORTED)
    assert (folder / STATE_FILE).exists() == METHODS[method].learns_in_epochs
    assert not (folder / WEIGHTS_FILE).exists()
    heard = []
    train(run, people, progress=lambda _fold, now: heard.append(now.epoch))
    # Scans are read again, for regions or all at once; no epoch is computed twice.
    assert set(heard) - {0} == {epochs} - {0}
    whole = fold_folder(honest(method), REPORTED)
    assert (folder / WEIGHTS_FILE).read_bytes() == (whole / WEIGHTS_FILE).read_bytes()
    losses = [
        [(row.epoch, row.training_loss, row.stopping_loss) for row in read_rows(of, EPOCHS_FILE, EpochRecord)]
        for of in (folder, whole)
    ]
    assert losses[0] == losses[1]
    assert reported(run) == reported(honest(method))


@every_method
def test_the_checkpoint_says_of_people_what_the_run_said(method, finished, people):
    run = finished(method)
    checkpoint = load_checkpoint(run / CHECKPOINT_FILE)
    for_person = {row.subject_id: row.logit for row in reported(run)}
    found = dict.fromkeys(for_person, 0.0)
    if method == "network":
        network = checkpoint.networks()[REPORTED]
        asked = [one for one in people.subjects if one.subject_id in for_person]
        given = [TrainingSubject.from_store(people, one) for one in asked]
        logits = subject_logits(network, given, device=torch.device("cpu"))
        found = {one.subject_id: logit for one, logit in zip(asked, logits, strict=True)}
    else:
        model = checkpoint.models()[REPORTED]
        with torch.inference_mode(), full_float32():
            for person in for_person:
                views = [view_scan(people, scan) for scan in people.scans_of(person)]
                found[person] = np.concatenate([model.window_logits(view) for view in views]).mean()
    assert len(found) == 6
    assert found == pytest.approx(for_person, abs=1e-5)
    assert len(set(for_person.values())) > 1, "it does not say the same of everybody"


@every_method
def test_the_card_names_the_method_and_its_regions(method, finished):
    run = finished(method)
    card = load_checkpoint(run / CHECKPOINT_FILE).card
    record = read_run(run)
    assert (card.method, card.members) == (method, 2)
    assert card.name == f"tiny {'C-lstm' if method == 'network' else method}"
    assert card.regions == record.regions
    if reads_regions(method):
        assert (card.regions.name, card.regions.n_regions) == ("eighths", 8)
    else:
        assert card.regions is None
    assert card.metrics["confusion"]["tp"] + card.metrics["confusion"]["fn"] == 6
    assert read_outcome(run, REPORTED).epochs_run == (2 if METHODS[method].learns_in_epochs else 1)


N_VOXELS = 12_658  # of the cube of 34


@pytest.mark.parametrize(
    ("method", "n_parameters"),
    [
        ("ridge-connectivity", 8 * 7 // 2 + 1),  # a weight a pair, and the intercept
        ("tangent-logistic", 8 * 9 // 2 + 1),  # of pairs, and of each region itself
        ("svm-reho", N_VOXELS + 1),
        ("mkl", N_VOXELS + 28 + 1),
        ("mkl-t1w", N_VOXELS + 28 + 101_036 + 1),  # in the brain on the cube of 68
        ("mean-mlp", 8 * 160 + 160 + 2 * 160 + 160 * 2 + 2),
    ],
)
def test_a_run_counts_what_is_fitted_as_one_does_by_hand(method, n_parameters, honest):
    assert read_run(honest(method)).n_parameters == n_parameters


@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if one.reads == ("regions",)])
def test_serving_needs_no_atlas_and_nothing_kept(method, finished, people):
    """A scan as serving prepares it, without the store, is answered as the store's view of it."""
    model = load_checkpoint(finished(method) / CHECKPOINT_FILE).models()[REPORTED]
    scan = people.scans[0]
    bare = ScanView(series=np.asarray(people.series(scan)), spec=SPEC)
    with torch.inference_mode():
        alone, kept = model.window_logits(bare), model.window_logits(view_scan(people, scan))
    np.testing.assert_array_equal(alone, kept)
