"""Maps of what drove a logit, held against answers that are known."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from imaging import PreprocessingSpec, brain_cube, preprocess
from model import demonstration_checkpoint
from model.checkpoint import load_checkpoint
from model.errors import PreprocessingMismatchError
from model.explanation import explain, peaks, to_template
from model.explanation.ensemble_logit import ensemble_logit
from model.explanation.grad_cam import grad_cam
from model.explanation.integrated_gradients import integrated_gradients
from model.explanation.peaks import published_points
from model.methods.scan_view import ScanView
from model.networks import RestNetwork
from model.predictor import Predictor
from training.simulation.brain_networks import NETWORKS, NODE_MM, NODE_NETWORK
from training.simulation.simulator import simulate_subject

METHODS = ("integrated_gradients", "grad_cam")


@pytest.fixture
def predictor(checkpoint_file) -> Predictor:
    return Predictor.load(checkpoint_file, device="cpu", backend="torch")


@pytest.fixture(scope="module")
def demonstration() -> Predictor:
    return Predictor.load(demonstration_checkpoint(), device="cpu", backend="torch")


@pytest.fixture(scope="module")
def simulated(demonstration):
    """One of each group, with the effect that the demonstration model was trained on."""
    return [
        preprocess(simulate_subject(index, seed=1, effect_size=0.5), demonstration.spec) for index in (0, 2)
    ]


@pytest.fixture(scope="module")
def maps(demonstration, simulated):
    return [explain(demonstration, scan, steps=8, windows=2) for scan in simulated]


@pytest.fixture(scope="module")
def of_random_weights(demonstration, simulated):
    checkpoint = load_checkpoint(demonstration_checkpoint())
    torch.manual_seed(5)
    fresh = tuple(RestNetwork(checkpoint.card).state_dict() for _ in checkpoint.members)
    predictor = Predictor(replace(checkpoint, members=fresh), device="cpu", backend="torch")
    return [explain(predictor, scan, steps=8, windows=2) for scan in simulated]


def test_a_linear_readout_is_attributed_exactly():
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(3, 5, 6, 6, 6, generator=generator)
    weight = torch.randn(5, 6, 6, 6, generator=generator)
    shares = integrated_gradients(lambda w: (w * weight).sum(dim=(1, 2, 3, 4)), windows, steps=4)
    torch.testing.assert_close(shares, windows * weight)


def test_a_square_is_integrated_along_the_whole_line():
    """Gradient times input at the scan alone would give twice this."""
    windows = torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    shares = integrated_gradients(lambda w: w.square().sum(dim=(1, 2, 3, 4)), windows, steps=4)
    torch.testing.assert_close(shares, windows.square())


class Probe(nn.Module):
    """Two maps, the input's eight corners times 1 and times -3, read with one weight a map."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Conv3d(1, 2, 1, stride=5, bias=False)
        with torch.no_grad():
            self.stage.weight.copy_(torch.tensor([1.0, -3.0]).reshape(2, 1, 1, 1, 1))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        maps = self.stage(windows.flatten(0, 1).unsqueeze(1))
        total = (maps * torch.tensor([2.0, 0.5]).reshape(1, 2, 1, 1, 1)).sum(dim=(1, 2, 3, 4))
        return total.reshape(windows.shape[:2]).sum(dim=1)


def test_grad_cam_of_known_maps_and_weights_is_exact_and_lies_where_the_maps_do():
    windows = torch.randn(2, 3, 6, 6, 6, generator=torch.Generator().manual_seed(2))
    network = Probe()
    cam = grad_cam(network, network.stage, windows)
    assert cam.shape == (6, 1, 6, 6, 6)
    corners = windows.flatten(0, 1)[:, ::5, ::5, ::5]
    torch.testing.assert_close(cam[:, 0, ::5, ::5, ::5], (2.0 * 1.0 + 0.5 * -3.0) * corners)


def test_the_differentiable_logit_is_the_networks_and_so_is_its_gradient(predictor, network_input):
    windows = torch.from_numpy(network_input.windows()[1]).requires_grad_()
    plain = torch.stack([member(windows) for member in predictor.members]).mean(dim=0)
    (expected,) = torch.autograd.grad(plain.sum(), windows)
    joint = ensemble_logit(predictor.members)(windows)
    (found,) = torch.autograd.grad(joint.sum(), windows)
    torch.testing.assert_close(joint, plain, atol=1e-5, rtol=1e-5)
    inside = torch.from_numpy(brain_cube(34).mask.copy())
    difference = (found - expected)[:, :, inside].abs()
    assert difference.mean() <= 1e-4 * expected[:, :, inside].abs().mean()


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_zero_outside_the_brain_and_not_inside(predictor, network_input, method):
    found = explain(predictor, network_input, method=method, steps=3)
    mask = brain_cube(34).mask
    assert found.map.shape == (34, 34, 34)
    assert found.map.dtype == np.float32
    assert not found.map[~mask].any()
    assert (found.map[mask] != 0).mean() > 0.9
    assert np.isfinite(found.map).all()


def test_the_shares_add_up_to_the_logits_difference(predictor, network_input):
    loud = replace(network_input, series=4 * network_input.series)
    found = explain(predictor, loud, steps=16, windows=3, members=1)
    read = np.isin(loud.windows()[0], found.start_frames)
    logits = predictor.member_logits(ScanView.of(loud))[:, read]
    assert found.logit == pytest.approx(logits[0].mean(), abs=1e-4)
    silent = replace(network_input, series=np.zeros_like(network_input.series))
    silence = predictor.member_logits(ScanView.of(silent))
    assert found.baseline_logit == pytest.approx(silence[0, 0], abs=1e-4)
    difference = found.logit - found.baseline_logit
    assert abs(difference) > 0.05, "nothing to share out would prove nothing"
    assert found.map.sum() == pytest.approx(difference, abs=1e-3)
    assert found.completeness_error == pytest.approx(found.map.sum() - difference, abs=1e-4)


def test_the_demonstrations_shares_add_up_within_half_a_logit(maps, demonstration, simulated):
    """At the default cost; both scans' logits lie 2.6 and 3.2 from that of silence."""
    found = explain(demonstration, simulated[1])
    assert abs(found.logit - found.baseline_logit) > 2
    assert abs(found.completeness_error) < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_the_same_scan_and_model_give_the_same_bits(predictor, network_input, method):
    one, other = (explain(predictor, network_input, method=method, steps=3) for _ in range(2))
    assert one.map.tobytes() == other.map.tobytes()
    assert (one.logit, one.completeness_error) == (other.logit, other.completeness_error)


@pytest.mark.parametrize("method", METHODS)
def test_explaining_leaves_the_predictor_as_it_was(checkpoint_file, network_input, method):
    predictor = Predictor.load(checkpoint_file, device="cpu")
    before = predictor.classify(network_input, seed=1)
    with torch.inference_mode():
        explain(predictor, network_input, method=method, steps=2)
    after = predictor.classify(network_input, seed=1)
    assert after.member_logits.tobytes() == before.member_logits.tobytes()
    assert after == replace(before, member_logits=after.member_logits)
    for member in predictor.members:
        assert not member.training
        assert all(parameter.grad is None for parameter in member.parameters())


@pytest.mark.parametrize(
    ("method", "steps", "n_windows", "n_members"),
    [("integrated_gradients", 3, 2, 1), ("integrated_gradients", 4, 3, 2), ("grad_cam", 3, 2, 2)],
)
def test_the_cost_is_what_the_result_says(predictor, network_input, method, steps, n_windows, n_members):
    read: list[int] = []

    def count(_layer: nn.Module, inputs: tuple[torch.Tensor, ...], _output: object) -> None:
        if torch.is_grad_enabled():
            read.append(len(inputs[0]))

    hooks = [member.rnn.register_forward_hook(count) for member in predictor.members]
    found = explain(
        predictor, network_input, method=method, steps=steps, windows=n_windows, members=n_members
    )
    for hook in hooks:
        hook.remove()
    expected_steps = steps if method == "integrated_gradients" else 1
    assert (found.steps, len(found.start_frames), found.members) == (expected_steps, n_windows, n_members)
    assert sum(read) == found.gradients == expected_steps * n_windows * n_members


def test_windows_are_those_of_a_prediction_evenly_chosen(predictor, network_input):
    planned = network_input.windows()[0].tolist()
    assert explain(predictor, network_input, steps=1, windows=1).start_frames == (planned[1],)
    assert explain(predictor, network_input, steps=1, windows=2).start_frames == (planned[0], planned[-1])
    assert explain(predictor, network_input, steps=1, windows=99).start_frames == tuple(planned)


@pytest.mark.thorough
def test_random_weights_give_another_map(maps, of_random_weights):
    """Adebayo et al. 2018, "Sanity checks for saliency maps"; 0.16 to 0.19 measured, 1 is the same map."""
    mask = brain_cube(34).mask
    for trained, random in zip(maps, of_random_weights, strict=True):
        assert spearmanr(np.abs(trained.map[mask]), np.abs(random.map[mask])).statistic < 0.4


def contrast(values: np.ndarray) -> float:
    """Mean size within 10 mm of a default mode node, over that in the rest of the brain."""
    cube = brain_cube(34)
    voxels_mm = cube.brain_voxels @ cube.affine[:3, :3].T + cube.affine[:3, 3]
    nodes_mm = NODE_MM[NETWORKS.index("default_mode") == NODE_NETWORK]
    distances = np.linalg.norm(voxels_mm[:, None] - nodes_mm, axis=2).min(axis=1)
    size = np.abs(values[cube.mask])
    return float(size[distances <= 10].mean() / size[distances > 10].mean())


@pytest.mark.thorough
def test_the_planted_regions_stand_out_beyond_what_the_scan_itself_makes_of_them(
    maps, of_random_weights, simulated
):
    """Nodes are loud in any scan, so any map times the input shows them; only a trained model adds to that.

    Measured at full cost over the scan's own contrast: 1.9 to 2.3; with random weights 1.1 to 1.2.
    """
    loudness = [contrast(np.abs(scan.frames).mean(axis=0)) for scan in simulated]
    trained = [contrast(found.map) / own for found, own in zip(maps, loudness, strict=True)]
    random = [contrast(found.map) / own for found, own in zip(of_random_weights, loudness, strict=True)]
    assert min(trained) > 1.6
    assert max(random) < 1.4


def test_a_scan_prepared_otherwise_is_refused(predictor, network_input):
    other = replace(network_input, spec=PreprocessingSpec(window_frames=6, n_windows=3))
    with pytest.raises(PreprocessingMismatchError):
        explain(predictor, other)


@pytest.mark.parametrize("setting", ["steps", "windows", "members"])
def test_numbers_below_one_are_refused(predictor, network_input, setting):
    with pytest.raises(ValueError, match=f"expected {setting} of at least 1, found 0"):
        explain(predictor, network_input, **{setting: 0})


def test_an_image_lies_over_the_template_and_says_nothing_else():
    cube = np.zeros((34, 34, 34), dtype=np.float32)
    cube[20, 21, 22] = 1.5
    written = nib.Nifti1Image.from_bytes(to_template(cube).to_bytes())
    np.testing.assert_array_equal(written.get_fdata(), cube)
    np.testing.assert_allclose(written.affine, brain_cube(34).affine, atol=1e-4)
    header = written.header
    assert (header.get_data_dtype(), header.get_xyzt_units()[0]) == (np.dtype("<f4"), "mm")
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4)
    text = {name: header[name].item() for name in ("descrip", "aux_file", "intent_name", "db_name")}
    assert text == {"descrip": b"RestNet", "aux_file": b"", "intent_name": b"", "db_name": b""}
    assert not header.extensions


def test_peaks_are_the_largest_places_apart_and_named_by_the_nearest_point():
    cube = np.zeros((34, 34, 34), dtype=np.float32)
    cube[10, 10, 10], cube[11, 11, 10], cube[20, 20, 20] = -3.0, 2.0, 1.0
    found = peaks(cube)
    affine = brain_cube(34).affine
    assert [peak.value for peak in found] == [-3.0, 1.0]
    np.testing.assert_allclose(found[0].mni_mm, affine[:3, :3] @ [10, 10, 10] + affine[:3, 3], atol=0.06)
    away = [np.linalg.norm(np.subtract(point.mni_mm, found[0].mni_mm)) for point in published_points()]
    nearest = published_points()[int(np.argmin(away))]
    assert (found[0].nearest_region, found[0].nearest_network) == (nearest.region, nearest.network)
    assert found[0].distance_mm == pytest.approx(min(away), abs=0.1)
    assert len(peaks(cube, n=1)) == 1
    assert peaks(np.zeros_like(cube)) == ()


def test_the_points_are_nilearns():
    folder = Path(pytest.importorskip("nilearn").__file__).parent
    lines = (folder / "datasets" / "data" / "dosenbach_2010.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    assert len(published_points()) == 160
    for point, (_, x, y, z, region, network) in zip(published_points(), rows, strict=True):
        assert point.mni_mm == (float(x), float(y), float(z))
        assert (point.region, point.network) == (region.strip(), network.strip())


def test_a_prediction_loads_no_captum():
    program = "import sys, model.prediction, model.explanation; sys.exit('captum' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
