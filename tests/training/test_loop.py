import numpy as np
import pytest
import torch

from imaging import PreprocessingSpec, brain_cube
from model.networks import build_network
from training.loop import TrainingSettings, mean_loss, scan_logits, train_network
from training.prepared import PreparedScan, cut_windows
from training.warm_start import ReaderSettings, encode_scans, settle_normalisation, train_reader

SPEC = PreprocessingSpec(window_frames=3, n_windows=2)


def toy_scans(n, *, seed=0, frames=8):
    """ADHD: the front half of the brain fluctuates twice as strongly, control: the back half."""
    generator = np.random.default_rng(seed)
    voxels = brain_cube(34).brain_voxels
    front = voxels[:, 1] > np.median(voxels[:, 1])
    scans = []
    for i in range(n):
        label = i % 2
        gain = np.where(front == bool(label), 2.0, 0.5)
        series = generator.standard_normal((frames, len(voxels))) * gain
        scans.append(PreparedScan(str(i), label, series.astype(np.float16), SPEC))
    return scans


def fresh(seed=0):
    torch.manual_seed(seed)
    return build_network("D", "gru", width=2)


def test_windows_are_cut_where_they_are_asked_for():
    scan = toy_scans(1)[0]
    mask = brain_cube(34).mask
    windows = cut_windows([scan, scan], [0, 4])
    assert windows.shape == (2, 3, 34, 34, 34)
    assert np.array_equal(windows[1].numpy()[:, mask], scan.series[4:7].astype(np.float32))
    assert not windows.numpy()[:, :, ~mask].any()


def test_a_few_passes_over_easy_subjects_are_learnt_and_hold_for_others():
    """The whole loop: it must learn in seconds what anybody could see."""
    network = fresh()
    others = toy_scans(8, seed=1)
    before = mean_loss(network, others)
    seen = []
    records = train_network(
        network,
        toy_scans(16),
        settings=TrainingSettings(epochs=6, batch_windows=4, learning_rate=3e-3),
        validation=others,
        progress=lambda stage, done: seen.append((stage, done)),
    )
    assert records[-1].validation_loss < 0.6 * before
    correct = [(scan_logits(network, scan).mean() > 0) == bool(scan.label) for scan in others]
    assert all(correct)
    assert seen[-1] == ("training", pytest.approx(1.0))
    assert not network.training


def test_the_same_seed_trains_the_same_network_and_another_does_not():
    def weights(seed):
        network = fresh()
        train_network(network, toy_scans(4), settings=TrainingSettings(epochs=1, batch_windows=2, seed=seed))
        return network.head.weight.detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_early_stopping_keeps_the_weights_of_the_best_epoch():
    network = fresh()
    watched = toy_scans(4, seed=1)
    # Labels turned round: every step that learns the training scans makes the watched ones worse.
    turned = [PreparedScan(s.subject_id, 1 - s.label, s.series, SPEC) for s in watched]
    settings = TrainingSettings(epochs=12, batch_windows=4, learning_rate=3e-3, patience=2)
    records = train_network(network, toy_scans(8), settings=settings, validation=turned)
    losses = [record.validation_loss for record in records]
    assert len(records) < 12
    assert len(records) == int(np.argmin(losses)) + 1 + 2
    assert mean_loss(network, turned) == pytest.approx(min(losses), abs=1e-6)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="at least 2 scans"):
        train_network(fresh(), toy_scans(1), settings=TrainingSettings(epochs=1))
    with pytest.raises(ValueError, match="validation"):
        train_network(fresh(), toy_scans(2), settings=TrainingSettings(epochs=1, patience=1))


def test_statistics_settle_to_those_of_the_scans_and_weights_stay():
    network = fresh()
    kernel = network.encoder.stem.weight.detach().clone()
    settle_normalisation([network], toy_scans(6), seed=0)
    seen = []
    network.encoder.stem_norm.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    network.encode(cut_windows(toy_scans(6, seed=5), [0] * 6).flatten(0, 1).unsqueeze(1))
    assert seen[0].mean().item() == pytest.approx(0, abs=0.05)
    assert seen[0].std().item() == pytest.approx(1, abs=0.1)
    assert torch.equal(kernel, network.encoder.stem.weight)
    assert network.encoder.stem_norm.momentum == 0.1


def test_encoded_scans_are_what_each_network_encodes():
    networks = [fresh(0), fresh(1)]
    scans = toy_scans(2)
    settle_normalisation(networks, scans, seed=0)
    features = encode_scans(networks, scans, n_windows=3)
    assert features.shape == (2, 2, 3, 3, networks[0].n_features)
    with torch.inference_mode():
        middle = networks[1].encode(cut_windows([scans[1]], [2]).flatten(0, 1).unsqueeze(1))
    torch.testing.assert_close(features[1, 1, 1].float(), middle, atol=2e-3, rtol=2e-3)


def test_the_reader_learns_alone_from_frozen_features():
    network = fresh()
    scans, others = toy_scans(24), toy_scans(10, seed=1)
    settle_normalisation([network], scans, seed=0)
    frozen = network.encoder.stem.weight.detach().clone()
    features = encode_scans([network], scans, n_windows=2)[0]
    labels = torch.tensor([float(scan.label) for scan in scans])
    losses = train_reader(network, features, labels, settings=ReaderSettings(epochs=8, batch_subjects=8))
    assert losses[-1] < 0.5 * losses[0]
    assert all((scan_logits(network, scan).mean() > 0) == bool(scan.label) for scan in others)
    assert torch.equal(frozen, network.encoder.stem.weight)
