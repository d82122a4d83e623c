import os
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch

from imaging import PreprocessingSpec, brain_cube, window_starts
from model.networks import RestNetwork
from tests.training.fitting.toy_cohort import SPEC, toy_subjects
from training.fitting import frozen
from training.fitting.fit import fit
from training.fitting.frozen import (
    FeaturesNotStoredError,
    encode_subjects,
    remove_features,
    settle_normalisation,
)
from training.fitting.logits import subject_logits
from training.fitting.settings import TrainingSettings, TrainingSettingsError, read_settings
from training.fitting.state import STATE_FILE
from training.run_files import read_rows
from training.runs import EPOCHS_FILE, EpochRecord

CPU = torch.device("cpu")
FROZEN = TrainingSettings(
    network="D",
    rnn="gru",
    width=2,
    epochs=3,
    batch_size=4,
    windows_per_subject=2,
    learning_rate=3e-3,
    feature_norm="batch",
    feature_dropout=0.3,
    encoder="frozen",
)


def fresh(settings=FROZEN, seed=0):
    torch.manual_seed(seed)
    return RestNetwork(settings)


def trained(folder, settings=FROZEN, *, training=None, stopping=None, progress=None, network=None):
    network = network or fresh(settings)
    if stopping is None:
        stopping = toy_subjects(4, seed=1) if settings.protocol == "nested" else []
    result = fit(
        network,
        training or toy_subjects(8, scans=2),
        stopping=stopping,
        settings=settings,
        folder=folder,
        seed=3,
        device=CPU,
        progress=progress,
    )
    return network, result


def same(network, other):
    ours, theirs = network.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def dense(frames):
    cube = np.zeros((len(frames), 1, 34, 34, 34), dtype=np.float32)
    cube[:, 0, brain_cube(34).mask] = frames
    return torch.from_numpy(cube)


def test_statistics_settle_to_those_of_the_subjects_and_the_weights_stay():
    network = fresh()
    kernel = network.encoder.stem.weight.detach().clone()
    subjects = toy_subjects(100)  # more than two chunks
    settle_normalisation(network, subjects, seed=0, device=CPU)
    seen = []
    network.encoder.stem_norm.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    others = toy_subjects(12, seed=5)
    network.encode(dense(np.concatenate([subject.series[0][:2] for subject in others])))
    assert seen[0].mean().item() == pytest.approx(0, abs=0.05)
    assert seen[0].std().item() == pytest.approx(1, abs=0.1)
    assert torch.equal(kernel, network.encoder.stem.weight)
    assert network.encoder.stem_norm.momentum == 0.1
    assert int(network.encoder.stem_norm.num_batches_tracked) == 3


def test_statistics_are_those_of_one_frame_in_five_of_one_window_a_subject():
    """Scans as long as a window, so that which frames are read is known; the stem's figures by numpy."""
    n_frames, spec = 11, PreprocessingSpec(window_frames=11, n_windows=1)
    subjects = [replace(subject, spec=spec) for subject in toy_subjects(40, frames=n_frames)]
    network = fresh()
    settle_normalisation(network, subjects, seed=0, device=CPU)
    planned = np.concatenate([subject.series[0][[0, 5, 10]] for subject in subjects])
    chunks = [planned[:48], planned[48:96], planned[96:]]
    means, variances = [], []
    for chunk in chunks:
        with torch.no_grad():
            maps = network.encoder.stem(dense(chunk)).double().numpy()
        means.append(maps.mean(axis=(0, 2, 3, 4)))
        variances.append(maps.var(axis=(0, 2, 3, 4), ddof=1))
    norm = network.encoder.stem_norm
    np.testing.assert_allclose(norm.running_mean, np.mean(means, axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var, np.mean(variances, axis=0), rtol=1e-4)


def test_a_window_of_every_scan_may_be_the_one_that_is_settled_by(monkeypatch):
    """Every frame holds its own number: 0 to 7 of the first scan, 10 to 18 of the second."""
    n_voxels = toy_subjects(1)[0].series[0].shape[1]
    scans = tuple(
        np.repeat(np.arange(first, first + n, dtype=np.float16)[:, None], n_voxels, axis=1)
        for first, n in ((0, 8), (10, 9))
    )
    subjects = [replace(subject, series=scans) for subject in toy_subjects(200)]
    chunks = [chunk[:, 0].numpy() for chunk in frozen._chunks_of_windows(subjects, seed=0)]
    assert [len(chunk) for chunk in chunks] == [48, 48, 48, 48, 8]
    assert {int(number) for chunk in chunks for number in chunk} == {*range(6), *range(10, 17)}


def test_who_is_watched_has_no_say_in_the_statistics(tmp_path):
    """Those of the training subjects alone: other, louder people to watch leave them, to the bit."""
    settings = FROZEN.model_copy(update={"epochs": 1})
    statistics = []
    for folder, loudness in (("as they are", 1), ("louder", 3)):
        watched = [
            replace(subject, series=tuple(np.float16(loudness) * series for series in subject.series))
            for subject in toy_subjects(4, seed=1)
        ]
        network, _ = trained(tmp_path / folder, settings, stopping=watched)
        statistics.append(dict(network.encoder.named_buffers()))
    quiet, loud = statistics
    assert "stem_norm.running_var" in quiet
    for name, values in quiet.items():
        assert torch.equal(values, loud[name]), name


def test_features_are_what_the_residual_network_makes_of_each_frame(tmp_path):
    network = fresh()
    subjects = toy_subjects(3, scans=2)
    settle_normalisation(network, subjects, seed=0, device=CPU)
    encoded = encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    for subject, found in zip(subjects, encoded, strict=True):
        assert (found.subject_id, found.label) == (subject.subject_id, subject.label)
        for series, features in zip(subject.series, found.series, strict=True):
            with torch.inference_mode():
                expected = network.encode(dense(series)).numpy()
            assert features.shape == (len(series), network.n_features)
            assert expected.std() > 0.1
            np.testing.assert_allclose(features, expected, atol=2e-3, rtol=2e-3)
    remove_features(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_of_the_same_training_is_taken_and_any_other_made_anew(tmp_path):
    network, subjects = fresh(), toy_subjects(2)
    encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    path = next(tmp_path.iterdir())
    right = path.read_bytes()
    path.write_bytes(bytes(len(right)))
    taken = encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    assert not taken[0].series[0].any()
    path.write_bytes(right[:-2])
    encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    assert path.read_bytes() == right
    encode_subjects(network, subjects, folder=tmp_path, identity="b" * 64, device=CPU)
    other = next(tmp_path.iterdir())  # the only one
    assert other != path
    assert other.read_bytes() == right


def test_features_that_another_torch_or_kind_of_device_made_are_made_anew(tmp_path, monkeypatch):
    network, subjects = fresh(), toy_subjects(2)
    encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    path = next(tmp_path.iterdir())
    n_bytes = path.stat().st_size
    path.write_bytes(bytes(n_bytes))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0.0.1")
        other = encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    assert other[0].series[0].any()
    remove_features(tmp_path)
    path.write_bytes(bytes(n_bytes))
    path.rename(tmp_path / frozen._file_name("a" * 64, device=torch.device("cuda")))
    again = encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    assert again[0].series[0].any()
    assert [one.name for one in tmp_path.iterdir()] == [frozen._file_name("a" * 64, device=CPU)]


def test_features_are_on_the_disk_before_their_name_says_that_they_are_whole(tmp_path, monkeypatch):
    network, subjects, synced = fresh(), toy_subjects(2), []

    def note(handle):
        synced.append((os.fstat(handle).st_size, [path.suffix for path in tmp_path.iterdir()]))

    monkeypatch.setattr(frozen.os, "fsync", note)
    encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    assert synced == [(2 * 2 * 8 * network.n_features, [".partial"])]
    assert [path.suffix for path in tmp_path.iterdir()] == [""]


def test_what_is_fitted_is_learnt_holds_for_others_and_leaves_the_residual_network(tmp_path):
    settings = FROZEN.model_copy(update={"epochs": 6})
    start = fresh(settings)
    network, result = trained(tmp_path, settings, training=toy_subjects(16))
    others = toy_subjects(8, seed=2)
    logits = subject_logits(network, others, device=CPU)
    assert [logit > 0 for logit in logits] == [bool(subject.label) for subject in others]
    losses = [record.stopping_loss for record in result.records]
    assert losses[-1] < 0.5 * losses[0]
    assert result.precision == "float32"
    for name, parameter in network.named_parameters():
        stayed = torch.equal(parameter, start.get_parameter(name))
        assert stayed == name.startswith("encoder."), name
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == ["epochs", "events", "state"]


def test_the_watched_loss_is_that_of_the_whole_network_within_half_precision(tmp_path):
    network, result = trained(tmp_path, FROZEN.model_copy(update={"epochs": 1}))
    watched = toy_subjects(4, seed=1)
    logits = []
    for subject in watched:
        series = subject.series[0]
        windows = [dense(series[start : start + 3])[:, 0] for start in window_starts(len(series), spec=SPEC)]
        with torch.inference_mode():
            logits.append(float(network(torch.stack(windows)).mean()))
    labels = np.array([subject.label for subject in watched])
    expected = np.mean(np.logaddexp(0, logits) - labels * logits)
    assert result.records[0].stopping_loss == pytest.approx(expected, abs=2e-3)


def test_encoding_is_reported_scan_by_scan_and_can_be_stopped(tmp_path):
    seen = []
    trained(tmp_path / "whole", FROZEN.model_copy(update={"epochs": 1}), progress=seen.append)
    encoding = [one for one in seen if one.epoch == 0]
    assert [(one.batch, one.n_batches) for one in encoding] == [(scan, 20) for scan in range(1, 21)]
    assert {(one.training_loss, one.remaining_s, one.share_done) for one in encoding} == {(None, None, 0.0)}
    assert seen[: len(encoding)] == encoding

    def stop(progress):
        # An error of the listener's own is not one of the disk.
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        trained(tmp_path / "cut", FROZEN, progress=stop)


@pytest.mark.parametrize("encoded_again", [False, True])
@pytest.mark.parametrize("protocol", ["nested", "paper"])
def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, protocol, encoded_again):
    settings = FROZEN.model_copy(update={"protocol": protocol})

    def interrupt(progress):
        if progress.epoch == 2 and progress.batch == 2:
            raise KeyboardInterrupt

    expected, whole = trained(tmp_path / "whole", settings)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", settings, progress=interrupt)
    assert len(read_rows(tmp_path / "cut", EPOCHS_FILE, EpochRecord)) == 1
    if encoded_again:
        remove_features(tmp_path / "cut")
    went_on, result = trained(tmp_path / "cut", settings)
    assert same(went_on, expected)
    assert [r.training_loss for r in result.records] == [r.training_loss for r in whole.records]
    assert not list((tmp_path / "cut").glob("features-*"))


def test_a_kill_amid_encoding_or_at_the_very_end_leaves_nothing_behind(tmp_path, monkeypatch):
    expected, _ = trained(tmp_path / "whole")

    def interrupted(*_arguments, **_settings):
        yield np.zeros((1, 4), dtype=np.float16)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(frozen, "_encoded", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "cut")
    assert [path.suffix for path in (tmp_path / "cut").iterdir()] == [".partial"]
    went_on, _ = trained(tmp_path / "cut")
    assert same(went_on, expected)
    left = tmp_path / "cut" / "features-0"
    left.write_bytes(b"killed before this was removed")
    given_again, _ = trained(tmp_path / "cut", network=fresh(seed=9))
    assert same(given_again, expected)
    assert not left.exists()


def test_a_full_disk_is_said_and_nothing_is_left_behind(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file that may not grow further fails as one on a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(FeaturesNotStoredError, match=r"expected room for 0 MB of .* found: ") as refused:
            trained(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    n_frames = 8 * (8 + 9) + 4 * 8
    assert refused.value.details()["expected_bytes"] == 2 * n_frames * fresh().n_features
    assert list(tmp_path.iterdir()) == []
    assert trained(tmp_path)[1].epochs_run == 3
    assert (tmp_path / STATE_FILE).exists()


def test_augmenting_what_is_encoded_once_is_refused():
    with pytest.raises(
        TrainingSettingsError, match=r"encoder to be 'trained' with noise_sd.* found 'frozen'"
    ):
        read_settings(overrides={"encoder": "frozen", "noise_sd": 0.1})
