import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from imaging.template import template_brain
from imaging.template_file import template_file

ROOT = Path(__file__).resolve().parent.parent.parent
ASSET = ROOT / "imaging" / "assets" / "mni152_4mm.npz"


def test_covers_the_whole_head_on_a_right_anterior_superior_grid_of_4_mm():
    template = template_brain()

    assert template.affine[:3, :3] == pytest.approx(np.diag([4, 4, 4]))
    corner = template.affine @ [*(np.array(template.mask.shape) - 1), 1]
    assert np.all(template.affine[:3, 3] <= [-90, -126, -70])
    assert np.all(corner[:3] >= [90, 90, 108])  # the box of the common 2 mm MNI grid, 91x109x91


def test_holds_a_brain_of_adult_size_with_its_anatomy():
    template = template_brain()

    litres = template.mask.sum() * 64 / 1e6
    assert 1.6 < litres < 2.2
    assert template.mask[24, 33, 17]  # (0, 0, -2) mm, the middle of the brain
    assert not template.mask[24, 57, 17]  # before the forehead
    assert template.t1[~template.mask].mean() < 0.1 * template.t1[template.mask].mean()
    grey_share = template.grey_matter[template.mask].mean()
    assert 0.3 < grey_share < 0.6


def test_is_symmetric_so_it_cannot_tell_left_from_right():
    template = template_brain()

    for name in ("mask", "t1", "grey_matter"):
        array = getattr(template, name)
        np.testing.assert_array_equal(array, array[::-1], err_msg=name)


def test_is_loaded_once_and_nobody_can_change_it():
    template = template_brain()

    assert template_brain() is template
    with pytest.raises(ValueError, match="read-only"):
        template.t1[0, 0, 0] = 1


def test_agrees_with_the_template_of_nilearn():
    pytest.importorskip("nilearn")
    from nilearn import datasets, image

    template = template_brain()
    mask = image.resample_img(
        datasets.load_mni152_brain_mask(resolution=2),
        target_affine=template.affine,
        target_shape=template.mask.shape,
        interpolation="nearest",
        copy_header=True,
        force_resample=True,
    )
    reference = np.asarray(mask.dataobj) > 0

    dice = 2 * (reference & template.mask).sum() / (reference.sum() + template.mask.sum())
    assert dice > 0.93
    loaders = {"t1": datasets.load_mni152_template, "grey_matter": datasets.load_mni152_gm_template}
    for name, loader in loaders.items():
        smooth = image.smooth_img(loader(resolution=1), 6)
        on_grid = image.resample_img(
            smooth,
            target_affine=template.affine,
            target_shape=template.mask.shape,
            copy_header=True,
            force_resample=True,
        )
        np.testing.assert_allclose(getattr(template, name), on_grid.dataobj, atol=0.01, err_msg=name)


@pytest.mark.slow
def test_the_committed_assets_are_what_the_script_makes(tmp_path):
    pytest.importorskip("nilearn")
    script = ROOT / "benchmarks" / "make_template_assets.py"

    subprocess.run([sys.executable, script, "--out", tmp_path], check=True, capture_output=True, timeout=120)

    one_step = 1  # a byte may round the other way on another machine
    for asset in (ASSET, ASSET.with_name("mni152_tissues_2mm.npz")):
        out = tmp_path / asset.name
        with np.load(asset, allow_pickle=False) as committed, np.load(out, allow_pickle=False) as again:
            assert set(committed) == set(again)
            for name in committed:
                difference = np.abs(again[name].astype(float) - committed[name].astype(float))
                assert difference.max() <= one_step, name

    picture = nib.load(template_file())
    assert nib.aff2axcodes(picture.affine) == ("R", "A", "S")
    assert picture.header["descrip"].item() == b""
    again = nib.load(tmp_path / template_file().name)
    np.testing.assert_array_equal(again.affine, picture.affine)
    np.testing.assert_allclose(again.get_fdata(), picture.get_fdata(), atol=one_step)
