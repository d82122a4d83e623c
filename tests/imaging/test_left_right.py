from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from imaging.left_right import ASSET, left_right_evidence
from imaging.template import template_brain

ASSET_PATH = Path(__file__).resolve().parent.parent.parent / "imaging" / "assets" / ASSET
# MNI305 (fsaverage) -> MNI152, the matrix that FreeSurfer publishes.
MNI305_TO_MNI152 = np.array(
    [
        [0.9975, -0.0073, 0.0176, -0.0429],
        [0.0146, 1.0009, -0.0024, 1.5496],
        [-0.0130, -0.0093, 0.9971, 1.1840],
    ]
)


def reference_map(name):
    with np.load(ASSET_PATH, allow_pickle=False) as stored:
        return stored[name].astype(np.float32)


@pytest.mark.parametrize("gain", [1.0, -1.0], ids=["as it is", "inverted contrast"])
def test_the_average_brain_is_recognised_in_either_contrast(gain):
    template = template_brain()
    values = (reference_map("bright") * gain + (260 if gain < 0 else 0)).astype(np.float32)

    assert left_right_evidence(values, template.affine, np.eye(4)) > 0.6
    assert left_right_evidence(values[::-1], template.affine, np.eye(4)) < -0.6


def test_a_symmetric_brain_says_nothing():
    template = template_brain()

    assert left_right_evidence(template.t1, template.affine, np.eye(4)) == pytest.approx(0, abs=1e-6)


def test_mirroring_turns_the_evidence_round():
    template, rng = template_brain(), np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.standard_normal(template.mask.shape), 1.5) * 5
    values = ((1 + noise) * template.t1).astype(np.float32).clip(0)

    evidence = left_right_evidence(values, template.affine, np.eye(4))

    assert abs(evidence) > 0.001
    mirrored = left_right_evidence(values[::-1], template.affine, np.eye(4))
    assert mirrored == pytest.approx(-evidence, abs=1e-4)


def test_too_small_a_view_says_nothing():
    template = template_brain()
    corner = reference_map("t1")[:12, :12, :12]

    assert left_right_evidence(corner, template.affine, np.eye(4)) == 0


def test_its_left_is_the_left_of_other_people_measured_by_other_software():
    """White matter of fsaverage5 (40 other people, FreeSurfer surfaces) is asymmetric the same way."""
    pytest.importorskip("nilearn")
    from nilearn import datasets, surface

    template = template_brain()
    surfaces = datasets.fetch_surf_fsaverage("fsaverage5")
    white = np.zeros(template.mask.shape, bool)
    for side in ("left", "right"):
        mesh = surface.load_surf_mesh(surfaces[f"white_{side}"])
        vertices = mesh.coordinates @ MNI305_TO_MNI152[:, :3].T + MNI305_TO_MNI152[:, 3]
        white |= _inside(vertices, mesh.faces, template)

    def odd(values):
        smooth = ndimage.gaussian_filter(values.astype(np.float32), 1)
        odd = smooth - smooth[::-1]
        return odd - ndimage.gaussian_filter(odd, 3)

    compared = ndimage.binary_erosion(template.mask)
    compared[:25] = False  # one side
    compared[:, :, :16] = False  # above -6 mm: fsaverage5 has no cerebellum
    agreement = np.corrcoef(odd(white)[compared], odd(reference_map("t1"))[compared])[0, 1]
    assert agreement > 0.2


def _inside(vertices, faces, template):
    """Fill a closed mesh: a voxel is inside when an odd number of faces lies below it."""
    origin, step = template.affine[:3, 3], template.affine[0, 0]
    crossings = np.zeros((*template.mask.shape[:2], template.mask.shape[2] + 1), int)
    nudge = np.array([1.37e-4, 2.11e-4])  # no voxel centre lies exactly on an edge
    for a, b, c in vertices[faces]:
        flat = np.stack([a, b, c])[:, :2] + nudge
        low = np.ceil((flat.min(0) - origin[:2]) / step).astype(int)
        high = np.floor((flat.max(0) - origin[:2]) / step).astype(int)
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                weights = np.linalg.solve(
                    np.vstack([flat.T, np.ones(3)]), [*(origin[:2] + step * np.array([i, j])), 1]
                )
                if weights.min() >= 0:
                    height = weights @ [a[2], b[2], c[2]]
                    crossings[
                        i, j, int(np.clip(np.ceil((height - origin[2]) / step), 0, crossings.shape[2] - 1))
                    ] += 1
    return np.cumsum(crossings, axis=2)[..., :-1] % 2 == 1
