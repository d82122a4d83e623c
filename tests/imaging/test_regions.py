import csv
from importlib import resources
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn import datasets

from imaging import regions as regions_module
from imaging.cube import brain_cube
from imaging.file_format import NotNiftiError
from imaging.label_file import (
    AtlasNotLabelsError,
    AtlasNotThreeDimensionalError,
    AtlasSingleRegionError,
    AtlasTooManyRegionsError,
)
from imaging.regions import (
    AtlasOutsideBrainError,
    Regions,
    power_264,
    power_centres_mm,
    read_atlas,
    tile_brain,
)

GRID = 34
LAS = np.array([[-4, 0, 0, 96], [0, 4, 0, -132], [0, 0, 4, -70], [0, 0, 0, 1.0]])
SHAPE = (49, 58, 47)


def positions_mm():
    cube = brain_cube(GRID)
    return cube.brain_voxels @ cube.affine[:3, :3].T + cube.affine[:3, 3]


def write(path: Path, values, affine=LAS) -> Path:
    image = nib.Nifti1Image(values, affine)
    image.header.set_sform(affine, code=4)
    nib.save(image, path)
    return path


def grid_mm(shape=SHAPE, affine=LAS):
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def halves(shape=SHAPE, affine=LAS):
    """Left 7, right 300, front of both 20: cut at places that no voxel's centre lies on."""
    mm = grid_mm(shape, affine)
    return np.where(mm[..., 1] > 15.3, 20, np.where(mm[..., 0] < 0.7, 7, 300)).astype(np.int16)


def test_regions_go_into_a_label_a_voxel_and_back():
    tiles = tile_brain(GRID)
    labels = tiles.labels(int(brain_cube(GRID).mask.sum()))
    assert labels.dtype == np.int16
    assert labels.shape == (12658,)
    again = Regions.from_labels(labels, names=tiles.names)
    assert np.array_equal(again.voxels, tiles.voxels)
    assert np.array_equal(again.starts, tiles.starts)
    assert again.names == tiles.names == tuple(str(number) for number in range(1, len(tiles) + 1))


def test_means_are_of_the_voxels_that_bear_a_label():
    labels = np.array([2, 0, 1, 2, 1, 3], dtype=np.int16)
    regions = Regions.from_labels(labels, names=("a", "b", "c"))
    series = np.array([[1, 9, 2, 3, 4, 8], [0, 9, 1, 0, 1, 5]], dtype=np.float32)
    np.testing.assert_allclose(regions.means(series), [[3, 2, 8], [1, 0, 5]])
    assert regions.labels(6).tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("labels", "names", "found"),
    [
        ([0, 0], None, "no|found"),
        ([1, 3], None, "without gaps"),
        ([-1, 1], None, "without gaps"),
        ([1, 2], ("a",), "names"),
    ],
)
def test_labels_with_gaps_or_without_names_are_refused(labels, names, found):
    with pytest.raises(ValueError, match=found):
        Regions.from_labels(np.array(labels, dtype=np.int16), names=names)


def test_the_coordinates_are_those_that_nilearn_ships():
    table = datasets.fetch_coords_power_2011().rois
    expected = np.array([table["x"], table["y"], table["z"]], dtype=float).T
    assert np.array_equal(power_centres_mm(), expected)
    text = (resources.files("imaging") / "assets" / "power_2011.csv").read_text().splitlines()
    numbers = [row["number"] for row in csv.DictReader(line for line in text if not line.startswith("#"))]
    assert numbers == [str(number) for number in range(1, 265)]


def test_all_264_spheres_keep_voxels_whose_centres_they_hold():
    spheres = power_264(GRID)
    assert len(spheres) == 264
    assert spheres.dropped == ()
    assert len(set(spheres.voxels.tolist())) == len(spheres.voxels)
    for name, voxels in zip(spheres.names, np.split(spheres.voxels, spheres.starts[1:]), strict=True):
        distances = np.linalg.norm(positions_mm() - power_centres_mm()[int(name) - 1], axis=1)
        assert voxels.tolist() == np.flatnonzero(distances <= 5.0).tolist()
        assert 2 <= len(voxels) <= 7


def test_spheres_without_a_voxel_on_a_coarse_cube_are_dropped_and_named():
    spheres = power_264(12)
    assert len(spheres) < 264
    assert sorted(map(int, spheres.names + spheres.dropped)) == list(range(1, 265))
    series = np.ones((3, int(brain_cube(12).mask.sum())), dtype=np.float32)
    assert spheres.means(series).tolist() == np.ones((3, len(spheres))).tolist()


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        (SHAPE, LAS),
        ((91, 109, 91), np.array([[2, 0, 0, -90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1.0]])),
        # Axes in the order z, x, y.
        ((61, 61, 73), np.array([[0, 3, 0, -90], [0, 0, 3, -126], [3, 0, 0, -72], [0, 0, 0, 1.0]])),
    ],
)
def test_an_atlas_on_any_grid_puts_each_voxel_where_it_lies(shape, affine, tmp_path):
    atlas = read_atlas(write(tmp_path / "atlas.nii.gz", halves(shape, affine), affine), grid_size=GRID)
    assert atlas.names == ("7", "20", "300")
    assert atlas.dropped == ()
    labels = atlas.labels(12658)
    mm = positions_mm()
    expected = np.where(mm[:, 1] > 15.3, 2, np.where(mm[:, 0] < 0.7, 1, 3))
    # Within a voxel of a cut, which side it belongs to is a matter of the atlas's own grid.
    clear = (np.abs(mm[:, 1] - 15.3) > 4) & (np.abs(mm[:, 0] - 0.7) > 4)
    assert np.array_equal(labels[clear], expected[clear])
    assert (labels > 0).all()


def test_a_sheet_thinner_than_the_cubes_voxels_keeps_its_place(tmp_path):
    affine = np.array([[1, 0, 0, -90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1.0]])
    values = np.zeros((181, 217, 181), dtype=np.uint8)
    values[:, :100] = 1
    values[90, 100:] = 2  # 1 mm of 5.3: less than a quarter of any voxel
    atlas = read_atlas(write(tmp_path / "atlas.nii.gz", values, affine), grid_size=GRID)
    assert atlas.names == ("1", "2")
    sheet = positions_mm()[atlas.voxels[atlas.starts[1] :]]
    # Within the half voxels of the cube and of the atlas, which interpolation spreads by another millimetre.
    assert np.abs(sheet[:, 0]).max() < 5.3 / 2 + 1.5
    assert len(sheet) > 100


def test_a_region_outside_the_brain_is_dropped_and_named(tmp_path):
    values = halves()
    values[0, 0, 0] = 5
    atlas = read_atlas(write(tmp_path / "atlas.nii", values), grid_size=GRID)
    assert atlas.names == ("7", "20", "300")
    assert atlas.dropped == ("5",)


def test_whole_numbers_in_any_type_are_read(tmp_path):
    plain = read_atlas(write(tmp_path / "a.nii", halves()), grid_size=GRID)
    floating = read_atlas(write(tmp_path / "b.nii.gz", halves().astype(np.float32)), grid_size=GRID)
    fourth_axis = read_atlas(write(tmp_path / "c.nii.gz", halves()[..., None]), grid_size=GRID)
    for other in (floating, fourth_axis):
        assert np.array_equal(other.voxels, plain.voxels)
        assert other.names == plain.names


def test_an_atlas_without_a_voxel_outside_is_one(tmp_path):
    values = halves()
    assert (values > 0).all()
    values[values == 7] = 1
    atlas = read_atlas(write(tmp_path / "atlas.nii", values), grid_size=GRID)
    assert atlas.names == ("1", "20", "300")


def with_voxel(value):
    values = halves().astype(np.float32)
    values[3, 4, 5] = value
    return values


@pytest.mark.parametrize(
    ("values", "refusal", "found"),
    [
        (np.stack([halves(), halves()], axis=-1), AtlasNotThreeDimensionalError, r"\[49, 58, 47, 2\]"),
        (with_voxel(2.5), AtlasNotLabelsError, "2.5"),
        (with_voxel(-3), AtlasNotLabelsError, "-3"),
        (with_voxel(np.nan), AtlasNotLabelsError, "NaN"),
        (np.ones(SHAPE, dtype=np.uint8), AtlasSingleRegionError, "found 1$"),
        (np.zeros(SHAPE, dtype=np.uint8), AtlasSingleRegionError, "found 0$"),
        (np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE) % 1002, AtlasTooManyRegionsError, "1,001"),
        (
            np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE) % 200,
            AtlasNotLabelsError,
            "grey values: 0%",
        ),
    ],
)
def test_what_is_no_atlas_is_refused_by_what_it_is(values, refusal, found, tmp_path):
    with pytest.raises(refusal, match=found):
        read_atlas(write(tmp_path / "atlas.nii", values), grid_size=GRID)


def test_a_thousand_regions_are_not_too_many(tmp_path):
    along = np.ogrid[:49, :58, :47]
    block = (along[0] // 3 * 20 + along[1] // 3) * 16 + along[2] // 3
    values = (block % 1001).astype(np.int32)
    atlas = read_atlas(write(tmp_path / "atlas.nii", values), grid_size=GRID)
    assert len(atlas) + len(atlas.dropped) == 1000


def test_an_atlas_elsewhere_is_refused(tmp_path):
    away = LAS.copy()
    away[:3, 3] += 900
    with pytest.raises(AtlasOutsideBrainError, match="3 regions"):
        read_atlas(write(tmp_path / "atlas.nii", halves(), away), grid_size=GRID)


def test_one_region_left_in_the_brain_is_too_few(tmp_path):
    values = np.zeros(SHAPE, dtype=np.int16)
    values[20:30, 20:40, 20:30] = 4
    values[0, 0, 0] = 9
    with pytest.raises(AtlasSingleRegionError, match=r"found 1$"):
        read_atlas(write(tmp_path / "atlas.nii", values), grid_size=GRID)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    path = tmp_path / "atlas.nii"
    path.write_text("region,name\n1,left\n" * 50)
    with pytest.raises(NotNiftiError, match="text"):
        read_atlas(path, grid_size=GRID)


@pytest.mark.real_data
def test_harvard_oxford_survives_and_its_series_come_back(shared_data):
    """Each region's series painted into its voxels, mapped onto the cube, and averaged there again."""
    from training.cohort.sources.painting import make_painter

    path = shared_data / "abide" / "ho111_athena_grid.nii.gz"
    archive = np.load(shared_data / "abide" / "abide_ho_train.npz")
    ids = archive["roi_id"].tolist()
    atlas = read_atlas(path, grid_size=GRID)
    assert len(atlas) == 110
    assert atlas.dropped == ("3455",), "one voxel where two masks overlapped: no region"
    weights = make_painter(path, parcel_ids=tuple(ids), grid_size=GRID).weights
    series = archive["ts_q"][: archive["length"][0]].astype(np.float32)
    found = atlas.means((weights @ series.T).T.astype(np.float32))
    columns = [ids.index(int(name)) for name in atlas.names]
    agreement = np.array(
        [np.corrcoef(found[:, i], series[:, column])[0, 1] for i, column in enumerate(columns)]
    )
    assert np.median(agreement) > 0.99
    assert agreement.min() > 0.9


def test_the_module_needs_neither_torch_nor_scikit_learn():
    source = Path(regions_module.__file__).read_text()
    assert "torch" not in source
    assert "sklearn" not in source
