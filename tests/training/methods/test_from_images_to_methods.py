"""From raw runs with T1-weighted images to a method that reads their tissues, which is then not served."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from imaging import brain_cube
from imaging.derived.tissue_maps import TISSUE_MAPS
from imaging.native.tissues import template_tissues
from model.errors import MethodNeedsT1wError
from model.predictor import Predictor
from tests.imaging.native.people import draw_person, write_subject
from tests.training.cohort.store.made_up_store import write_store
from tests.training.methods.tiny_methods import N_PEOPLE, SPEC, settings_of, write_atlas
from tests.training.validation.tiny_cohorts import tiny_subjects
from training.cohort.ingest import ingest
from training.cohort.phenotypes.labels import LabelRule
from training.cohort.phenotypes.table import read_phenotypes
from training.cohort.sources.raw_bids import RawBidsSource
from training.cohort.store.cohort_store import CohortStore, TissuesNotStoredError
from training.runs import CHECKPOINT_FILE
from training.validation.cross_validation import plan_run, train_run

RULE = LabelRule(column="group", cases=("patient",), controls=("control",), condition="ADHD")
GREY, WHITE = TISSUE_MAPS.index("grey_matter"), TISSUE_MAPS.index("white_matter")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    """Two runs of one head: with its own image, and with another's."""
    folder = tmp_path_factory.mktemp("raw")
    root = folder / "study"
    for number in (1, 2):
        _, t1w = write_subject(root / f"sub-{number}")
        if number == 2:
            other = draw_person(seed=9).structural()
            nib.Nifti1Image(other.values.astype(np.int16), other.affine).to_filename(t1w)
    table = root / "participants.tsv"
    table.write_text("participant_id\tgroup\nsub-1\tpatient\nsub-2\tcontrol\n")
    source, people = RawBidsSource(root), read_phenotypes(table, label_rule=RULE)
    return ingest(source, people, folder / "cohort", spec=SPEC, label_rule=RULE, processes=0).store


def of_template(places_of: np.ndarray) -> np.ndarray:
    """Give whether each fine voxel of the brain lies in a mask on the template's grid."""
    cube, tissues = brain_cube(2 * SPEC.grid_size), template_tissues()
    to_grid = np.linalg.inv(tissues.affine) @ cube.affine
    places = np.rint(np.argwhere(cube.mask) @ to_grid[:3, :3].T + to_grid[:3, 3]).astype(int)
    return places_of[tuple(places.T)]


def test_grey_matter_is_where_the_cortex_is_and_white_where_it_is_not(ingested):
    with_image, with_others = ingested.scans
    tissues = ingested.tissues(with_image)
    shares = template_tissues().shares
    cortex, deep = of_template(shares[0] > 0.9), of_template(shares[1] > 0.9)
    assert tissues[GREY, cortex].mean() > 2 * tissues[GREY, deep].mean()
    assert tissues[WHITE, deep].mean() > 2 * tissues[WHITE, cortex].mean()
    assert np.percentile(tissues.sum(axis=0), 20) > 0.9
    with pytest.raises(TissuesNotStoredError, match="did not serve"):
        ingested.tissues(with_others)


def test_who_reads_tissues_is_refused_where_one_scan_has_none(ingested, tmp_path):
    with pytest.raises(TissuesNotStoredError, match="series/2_1_1_bids"):
        plan_run(
            ingested, ingested.subjects, settings=settings_of("mkl-t1w"), out=tmp_path / "run", device="cpu"
        )
    assert list(tmp_path.iterdir()) == []


def test_where_all_have_tissues_a_run_comes_to_its_end_and_its_checkpoint_is_not_served(
    ingested: CohortStore, tmp_path: Path
):
    """Of the one person others are made: a dozen would take minutes to normalise."""
    scan = ingested.scans[0]
    series, maps, tissues = ingested.series(scan), ingested.maps(scan), ingested.tissues(scan)
    people, generator = tiny_subjects(N_PEOPLE), np.random.default_rng(0)

    def like(values: np.ndarray) -> list[np.ndarray]:
        return [(values + 0.1 * generator.standard_normal(values.shape)).astype(np.float32)]

    store = write_store(
        tmp_path / "cohort",
        subjects=people,
        series={one.subject_id: like(series) for one in people},
        maps={one.subject_id: like(maps) for one in people},
        tissues={one.subject_id: like(tissues) for one in people},
        spec=SPEC,
    )
    run = train_run(
        store,
        people,
        settings=settings_of("mkl-t1w"),
        out=tmp_path / "run",
        device="cpu",
        regions=str(write_atlas(tmp_path / "eighths.nii")),
    )

    with pytest.raises(MethodNeedsT1wError):
        Predictor.load(run / CHECKPOINT_FILE)
