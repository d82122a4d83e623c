import pytest
import torch

from model.encoder import FrameEncoder
from model.joint_encoder import JointEncoder
from model.openvino_encoder import OpenVinoEncoder

BACKENDS = pytest.mark.parametrize("together_by", [JointEncoder, OpenVinoEncoder])


def trained_like(n_stages, width, seed, **ablations):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    encoder = FrameEncoder(n_stages=n_stages, width=width, **ablations)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.3, 3.0, generator=generator)
            with torch.no_grad():
                # Negative scales too: a maximum may not be taken before them.
                module.weight.uniform_(-1.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.5, generator=generator)
    return encoder.eval()


@BACKENDS
@pytest.mark.parametrize(
    ("members", "n_stages", "width"),
    [(1, 1, 4), (4, 3, 4), (3, 2, 5), (5, 4, 2), (2, 3, 16)],
)
def test_members_encoded_together_give_what_each_gives_alone(together_by, members, n_stages, width):
    encoders = [trained_like(n_stages, width, seed) for seed in range(members)]
    frames = torch.randn(3, 1, 34, 34, 34, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        alone = torch.stack([encoder(frames) for encoder in encoders])
        together = together_by(encoders)(frames)
    assert together.shape == alone.shape
    scale = float(alone.abs().max())
    torch.testing.assert_close(together / scale, alone / scale, atol=1e-5, rtol=0)


@BACKENDS
def test_members_do_not_leak_into_each_other(together_by):
    encoders = [trained_like(3, 4, seed) for seed in range(4)]
    frames = torch.randn(2, 1, 34, 34, 34, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        before = together_by(encoders)(frames)
        other = together_by([*encoders[:3], trained_like(3, 4, 99)])(frames)
    assert torch.equal(before[:3], other[:3])
    assert not torch.allclose(before[3], other[3])


@BACKENDS
@pytest.mark.parametrize("blocks", ["post_activation", "pre_activation"])
@pytest.mark.parametrize("space", ["flatten", "average", "bottleneck", "readout"])
def test_every_ablation_is_encoded_together_as_alone(together_by, space, blocks):
    ablations = {"space": space, "blocks": blocks, "bottleneck_channels": 3}
    encoders = [trained_like(3, 3, seed, **ablations) for seed in range(3)]
    frames = torch.randn(2, 1, 34, 34, 34, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        alone = torch.stack([encoder(frames) for encoder in encoders])
        together = together_by(encoders)(frames)
    assert together.shape == (3, 2, encoders[0].n_features)
    scale = float(alone.abs().max())
    torch.testing.assert_close(together / scale, alone / scale, atol=1e-5, rtol=0)
    assert not torch.allclose(alone[0], alone[1], atol=0.1 * scale)


def test_what_openvino_gave_stays_when_it_is_asked_again():
    encode = OpenVinoEncoder([trained_like(2, 4, 0)])
    generator = torch.Generator().manual_seed(9)
    first = encode(torch.randn(2, 1, 34, 34, 34, generator=generator))
    kept = first.clone()
    encode(torch.randn(2, 1, 34, 34, 34, generator=generator))
    assert torch.equal(first, kept)
