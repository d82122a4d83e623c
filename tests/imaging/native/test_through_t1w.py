"""A run that is laid over a T1-weighted image of the same head, and images that cannot serve."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from imaging import open_scan
from imaging.native.known import Known
from imaging.native.normalise import normalise
from imaging.native.output import summary_of
from imaging.native.registration import register
from imaging.native.structural import read_structural
from imaging.native.through_t1w import T1wNotUsedError, register_through
from tests.imaging.native.heads import GRID, distance_mm, moved, write_run
from tests.imaging.native.people import Person, draw_person
from tests.thorough import first

# Of the head in the run beside the head in the image.
BESIDE = moved((6, -3, 4), (4, -7, 9))


@pytest.fixture(scope="module")
def person() -> Person:
    return draw_person(seed=3)


@pytest.fixture(scope="module")
def mean(person: Person) -> np.ndarray:
    return person.run_mean(beside=BESIDE, seed=5)


def test_wherever_a_head_lies_in_its_run_the_template_lies_over_the_same_places(person, mean):
    elsewhere = moved((-9, 5, -2), (-6, 8, -5))
    found = []
    for beside, image in ((BESIDE, mean), (elsewhere, person.run_mean(beside=elsewhere, seed=6))):
        direct = register(image, GRID)
        through, _ = register_through(image, GRID, direct=direct, structural=person.structural())
        assert through.through == "t1w"
        assert through.overlap > direct.overlap - 0.02
        away_mm = [person.distance_mm(one.affine, beside=beside) for one in (through, direct)]
        assert away_mm[0] < away_mm[1] + 0.3
        found.append(np.linalg.inv(beside) @ through.affine)

    assert distance_mm(*found) < 0.5


def test_another_persons_image_is_not_used(mean):
    direct = register(mean, GRID)

    with pytest.raises(T1wNotUsedError, match="as of another head"):
        register_through(mean, GRID, direct=direct, structural=draw_person(seed=9).structural())


def written(path: Path, values: np.ndarray, affine: np.ndarray) -> Path:
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    image.to_filename(path)
    return path


def test_an_image_is_read_with_smaller_voxels_averaged(tmp_path):
    values = np.arange(8 * 6 * 5, dtype=np.int16).reshape(8, 6, 5)
    affine = np.array([[-1.0, 0, 0, 9], [0, 0, 3, 4], [0, 1, 0, -3], [0, 0, 0, 1]])

    found = read_structural(written(tmp_path / "t1.nii.gz", values, affine))

    assert found.values.shape == (4, 3, 5)
    assert found.values[1, 2, 4] == values[2:4, 4:6, 4].mean()
    assert np.allclose(found.affine @ [1, 2, 4, 1], affine @ [2.5, 4.5, 4, 1])


def test_a_run_is_normalised_by_way_of_it_and_resumed(tmp_path, person):
    run = still_run_of(person, tmp_path / "run.nii.gz")
    structural = person.structural()
    t1w = written(tmp_path / "t1.nii.gz", structural.values, structural.affine)
    kept: list[Known] = []

    found = normalise(open_scan(run), t1w=t1w, found=kept.append)

    assert found.provenance["registration"]["registered_through"] == "t1w"
    assert summary_of(found)["registered_through"] == "t1w"
    assert "t1w_not_used" not in [warning.code for warning in found.warnings]
    assert found.tissues is not None
    inside = person.shares.sum(axis=0) > 0.5
    alike = [
        np.corrcoef(of_image[inside], drawn[inside])[0, 1]
        for of_image, drawn in zip(found.tissues.shares, person.shares, strict=True)
    ]
    assert min(alike) > 0.75
    again = Known.from_json(json.loads(json.dumps(kept[-1].to_json())))
    t1w.unlink()
    resumed = normalise(open_scan(run), t1w=t1w, known=again)
    assert resumed.provenance == found.provenance
    # Tissues are not kept with what is known.
    assert resumed.tissues is None


def still_run_of(person: Person, path: Path) -> Path:
    generator = np.random.default_rng(2)
    mean = person.run_mean(beside=BESIDE, seed=5)
    return write_run(path, np.stack([mean + generator.normal(0, 6, mean.shape) for _ in range(26)], axis=-1))


@pytest.mark.parametrize(
    ("kind", "said"),
    first(
        2,
        [
            ("NaN", "the same value everywhere"),
            ("crop", ""),
            ("4-D", "dim field"),
            ("noise", ""),
            ("damaged", ""),
            ("no image", ""),
            ("no orientation", ""),
        ],
    ),
)
def test_what_cannot_serve_is_not_used_and_it_is_said_why(tmp_path, person, kind, said):
    run = still_run_of(person, tmp_path / "run.nii.gz")
    structural = person.structural()
    path, values, affine = tmp_path / "t1.nii.gz", structural.values, structural.affine
    if kind == "4-D":
        values = np.stack([values, values], axis=-1)
    elif kind == "NaN":
        values = np.full_like(values, np.nan)
    elif kind == "crop":
        values = values[50:83, 60:101, 50:75]
    elif kind == "noise":
        values = np.random.default_rng(1).normal(100, 5, values.shape).astype(np.float32)
    written(path, values, affine)
    if kind == "damaged":
        path.write_bytes(path.read_bytes()[:-5000])
    elif kind == "no image":
        path.write_bytes(b"GIF89a" * 100)
    elif kind == "no orientation":
        image = nib.load(path)
        image.set_sform(None, code=0)
        image.set_qform(None, code=0)
        image.to_filename(tmp_path / "other.nii.gz")
        path = tmp_path / "other.nii.gz"
    alone = normalise(open_scan(run))

    found = normalise(open_scan(run), t1w=path)

    (warning,) = [warning for warning in found.warnings if warning.code == "t1w_not_used"]
    assert said in warning.message
    assert summary_of(found)["registered_through"] == "template"
    assert found.tissues is None
    assert np.array_equal(found.registration.affine, alone.registration.affine)


@pytest.mark.parametrize("step_mm", [1.0, 0.8])
def test_an_image_as_fine_as_scanners_write_is_read(tmp_path, step_mm):
    shape = tuple(round(length / step_mm) for length in (180, 250, 250))
    path = tmp_path / "t1w.nii"
    nib.Nifti1Image(np.ones(shape, dtype=np.float32), np.diag([step_mm] * 3 + [1.0])).to_filename(path)

    assert read_structural(path).values.size < np.prod(shape) / 3
