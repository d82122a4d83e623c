"""The tissues of the template."""

import numpy as np

from imaging.native.tissues import NAMES, template_tissues
from imaging.template import template_brain


def test_tissues_fill_the_brain_and_nothing_else():
    tissues = template_tissues()
    whole = tissues.shares.sum(axis=0)
    template = template_brain()

    # Voxel centres of the coarse grid, on the fine one.
    voxels = np.argwhere(template.mask) @ template.affine[:3, :3].T + template.affine[:3, 3]
    at = np.rint((voxels - tissues.affine[:3, 3]) / 2).astype(int)
    assert np.median(whole[tuple(at.T)]) > 0.98
    assert whole.max() < 1.01
    litres = dict(zip(NAMES, tissues.shares.sum(axis=(1, 2, 3)) * 8 / 1e6, strict=True))
    assert litres["grey_matter"] > litres["white_matter"] > litres["fluid"] > 0.1


def test_tissues_are_symmetric_and_nobody_can_change_them():
    shares = template_tissues().shares

    # An odd number of millimetres was padded by one, so the halves meet a voxel off.
    right, left = shares[:, 50:], shares[:, :49]
    assert np.corrcoef(right[:, :48].ravel(), left[:, ::-1][:, :48].ravel())[0, 1] > 0.97
    assert not shares.flags.writeable
