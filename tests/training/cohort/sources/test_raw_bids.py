"""Raw BIDS data sets: every resting run normalised, every failure written down, the rest going on."""

import json
from pathlib import Path

import numpy as np
import pytest

from imaging import PreprocessingSpec, open_scan
from imaging.native.normalise import normalise
from imaging.simulation_mark import SIMULATION_MARK
from tests.imaging.native.heads import RUN_FRAMES, RUN_TR_S, still_run, write_run
from tests.imaging.native.people import write_subject
from training.cohort.ingest import IngestReport, ingest
from training.cohort.phenotypes.labels import LabelRule
from training.cohort.phenotypes.table import read_phenotypes
from training.cohort.sources.bids import BidsSource
from training.cohort.sources.raw_bids import RawBidsSource
from training.cohort.sources.recognition import open_source, recognise

RULE = LabelRule(column="group", cases=("patient",), controls=("control",), condition="ADHD")


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not read when listed")
    return root


def says(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(fields))


def listed(source: RawBidsSource) -> list[tuple[str, ...]]:
    return [(entry.subject_id, entry.session, entry.run, entry.place) for entry in source.entries()]


def made(root: Path, out: Path) -> IngestReport:
    table = read_phenotypes(root / "participants.tsv", label_rule=RULE)
    spec = PreprocessingSpec(grid_size=12)
    return ingest(RawBidsSource(root), table, out, spec=spec, label_rule=RULE, processes=0)


@pytest.fixture
def dataset(tmp_path) -> Path:
    root = tmp_path / "study"
    write_run(root / "sub-01" / "func" / "sub-01_task-rest_bold.nii", still_run(seed=1))
    write_run(root / "sub-02" / "func" / "sub-02_task-rest_bold.nii", still_run(seed=2))
    says(root / "task-rest_bold.json", RepetitionTime=RUN_TR_S)
    # Of the second subject somebody wrote down another time.
    says(root / "sub-02" / "func" / "sub-02_task-rest_bold.json", RepetitionTime=2.0)
    (root / "participants.tsv").write_text(
        "participant_id\tsex\tage\tgroup\nsub-01\tF\t9.5\tpatient\nsub-02\tM\t11\tcontrol\n"
    )
    return root


def test_runs_are_listed_by_subject_session_and_run(tmp_path):
    rest = "task-rest_bold.nii.gz"
    root = lay_out(
        tmp_path,
        f"sub-0007/func/sub-0007_{rest}",
        "sub-ab1/ses-02/func/sub-ab1_ses-02_task-restingstate_run-02_bold.nii",
        "sub-ab1/ses-02/func/sub-ab1_ses-02_task-nback_bold.nii.gz",
        f"sub-0008/func/sub-0009_{rest}",
        "sub-0007/anat/sub-0007_T1w.nii.gz",
        "sub-0007/func/sub-0007_task-rest_sbref.nii.gz",
        f"derivatives/x/sub-0007/func/sub-0007_{rest}",
        f"sourcedata/sub-0007/func/sub-0007_{rest}",
    )
    source = RawBidsSource(root)

    assert listed(source) == [
        ("7", "1", "1", f"sub-0007/func/sub-0007_{rest}"),
        ("ab1", "2", "2", "sub-ab1/ses-02/func/sub-ab1_ses-02_task-restingstate_run-02_bold.nii"),
    ]
    assert sorted((finding.code, finding.name) for finding in source.findings) == [
        ("file_in_wrong_folder", f"sub-0008/func/sub-0009_{rest}"),
        ("task_not_rest", "sub-ab1/ses-02/func/sub-ab1_ses-02_task-nback_bold.nii.gz"),
    ]


def test_a_runs_stamp_changes_with_its_sidecars(tmp_path):
    root = lay_out(tmp_path, "sub-1/func/sub-1_task-rest_bold.nii")
    says(root / "task-rest_bold.json", RepetitionTime=2.0)
    says(root / "task-nback_bold.json", RepetitionTime=2.0)
    (entry,) = RawBidsSource(root).entries()
    before = entry.stamp()

    says(root / "task-nback_bold.json", RepetitionTime=2.25)
    assert entry.stamp() == before
    says(root / "task-rest_bold.json", RepetitionTime=2.25)
    assert entry.stamp() != before


def test_the_t1_weighted_image_of_its_session_goes_with_a_run(tmp_path):
    root = lay_out(
        tmp_path,
        "sub-1/ses-1/func/sub-1_ses-1_task-rest_bold.nii",
        "sub-1/ses-2/func/sub-1_ses-2_task-rest_bold.nii",
        "sub-1/ses-3/func/sub-1_ses-3_task-rest_bold.nii",
        "sub-1/ses-1/anat/sub-1_ses-1_T1w.nii.gz",
        "sub-1/ses-2/anat/sub-1_ses-2_T1w.nii.gz",
        "sub-2/func/sub-2_task-rest_bold.nii",
    )
    (root / "sub-2/anat").mkdir()
    # Not fetched.
    (root / "sub-2/anat/sub-2_T1w.nii.gz").symlink_to("../../.git/annex/objects/elsewhere")
    entries = RawBidsSource(root).entries()

    assert [entry.t1w and entry.t1w.name for entry in entries] == [
        "sub-1_ses-1_T1w.nii.gz",
        "sub-1_ses-2_T1w.nii.gz",
        "sub-1_ses-1_T1w.nii.gz",
        None,
    ]
    assert [entry.has_t1w for entry in entries] == [True, True, True, False]
    before = [entry.stamp() for entry in entries]
    (root / "sub-1/ses-2/anat/sub-1_ses-2_T1w.nii.gz").write_bytes(b"another image")
    assert [entry.stamp() == stamp for entry, stamp in zip(entries, before, strict=True)] == [
        True,
        False,
        True,
        True,
    ]


@pytest.mark.slow
def test_a_t1_weighted_image_shows_the_way(tmp_path):
    run, t1w = write_subject(tmp_path / "study" / "sub-1")
    wanted = normalise(open_scan(run), t1w=t1w)
    assert wanted.registration.through == "t1w"

    (entry,) = RawBidsSource(tmp_path / "study").entries()
    with entry.open_source(tmp_path) as opened:
        found = list(opened.scan.blocks())
    np.testing.assert_array_equal(opened.tissues.shares, wanted.tissues.shares)

    assert np.array_equal(np.concatenate(found, axis=3), np.concatenate(list(wanted.scan.blocks()), axis=3))


def test_raw_data_are_told_from_derivatives(tmp_path):
    raw = lay_out(tmp_path / "raw", "sub-1/func/sub-1_task-rest_bold.nii.gz", "sub-1/anat/sub-1_T1w.nii.gz")
    assert recognise(raw) == "raw-bids"
    assert isinstance(open_source(raw), RawBidsSource)
    derived = "sub-1/func/sub-1_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
    assert recognise(lay_out(tmp_path / "derived", derived)) == "bids"
    # As it was: a data set with its derivatives inside means those.
    both = lay_out(raw, f"derivatives/fmriprep/{derived}")
    assert recognise(both) == "bids"
    assert isinstance(open_source(both, kind="raw-bids"), RawBidsSource)
    assert isinstance(open_source(both), BidsSource)


@pytest.mark.slow
def test_whoever_can_be_normalised_is_and_the_others_are_told(dataset, tmp_path):
    report = made(dataset, tmp_path / "cohort")

    (scan,) = report.store.scans
    assert (scan.subject_id, scan.tr_s, scan.variant) == ("1", RUN_TR_S, "bids")
    # Four frames before the magnetisation is steady are left out.
    assert (scan.n_frames, scan.shape) == (RUN_FRAMES - 4, (49, 58, 47))
    assert (report.store.maps(scan)[0] > 0).mean() > 0.9
    assert set(report.counts) == {"repetition_times_differ", "column_absent"}
    (told,) = [finding for finding in report.findings if finding.code == "repetition_times_differ"]
    assert (told.subject_id, told.name) == ("2", "sub-02_task-rest_bold.nii")
    assert [(who.subject_id, who.label, who.age_years) for who in report.store.subjects] == [("1", 1, 9.5)]
    written = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert written["source"]["kind"] == "raw-bids"
    assert written["source"]["normalised"]["band_hz"] == [0.009, 0.08]

    # Given again, with the sidecar mended: the first is taken over, the second is made.
    says(dataset / "sub-02" / "func" / "sub-02_task-rest_bold.json", RepetitionTime=RUN_TR_S)
    again = made(dataset, tmp_path / "cohort")

    assert (again.n_kept, again.n_new) == (1, 1)
    assert set(again.counts) == {"column_absent"}
    assert not (tmp_path / "cohort" / "incoming").exists()


@pytest.mark.slow
def test_a_simulated_head_stays_one(dataset, tmp_path):
    write_run(
        dataset / "sub-01" / "func" / "sub-01_task-rest_bold.nii", still_run(seed=1), mark=SIMULATION_MARK
    )

    report = made(dataset, tmp_path / "cohort")

    assert report.store.simulated
