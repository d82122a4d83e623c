import hashlib

import numpy as np
import pytest
import torch

from model.checkpoint import load_checkpoint
from model.embedding import DIMENSIONS, Projection
from model.predictor import Predictor

ONE, OTHER = (hashlib.sha256(name).hexdigest() for name in (b"one", b"other"))


def test_an_answer_carries_the_projected_mean_of_the_encoders_features(checkpoint_file, network_input):
    predictor = Predictor.load(checkpoint_file, device="cpu")
    answer = predictor.classify(network_input, seed=1)
    _, windows = network_input.windows()
    frames = np.unique(windows.reshape(-1, *windows.shape[2:]), axis=0)
    with torch.inference_mode():
        mean = np.mean(
            [
                network.encoder(torch.from_numpy(frames).unsqueeze(1)).double().numpy().mean(axis=0)
                for network in load_checkpoint(checkpoint_file).networks()
            ],
            axis=0,
        )
    seed = int(predictor.sha256[:16], 16)
    matrix = np.random.default_rng(seed).standard_normal((len(mean), 16)) / 4
    np.testing.assert_allclose(answer.embedding, mean @ matrix, atol=1e-5)
    assert np.std(answer.embedding) > 0


def test_the_checkpoint_alone_says_how_it_is_projected():
    features = np.random.default_rng(0).standard_normal(64)
    assert Projection(ONE).of(features) == Projection(ONE).of(features)
    assert Projection(ONE).of(features) != Projection(OTHER).of(features)
    assert len(Projection(ONE).of(features)) == DIMENSIONS


def test_distances_are_kept_to_within_what_16_numbers_can():
    points = np.random.default_rng(1).standard_normal((200, 512))
    projection = Projection(ONE)
    made = np.array([projection.of(point) for point in points])
    before = np.linalg.norm(points[:100] - points[100:], axis=1)
    after = np.linalg.norm(made[:100] - made[100:], axis=1)
    assert (after / before).mean() == pytest.approx(1.0, abs=0.06)
    assert (after / before).std() < 0.25
