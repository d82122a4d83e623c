import json

import pytest

from imaging import PreprocessingSpec
from training.cohort.ingest import ingest
from training.cohort.phenotypes.labels import LabelRule
from training.cohort.phenotypes.table import read_phenotypes
from training.cohort.sources.bids import BidsSource
from training.cohort.sources.source import DuplicateScanError

REST = "task-rest_space-MNI152NLin2009cAsym"
SCAN = f"{REST}_desc-preproc_bold.nii.gz"


def lay_out(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not read when listed")
    return root


def listed(source):
    return [(e.subject_id, e.session, e.run, e.source_name) for e in source.entries()]


def told(source):
    return sorted((finding.code, finding.name) for finding in source.findings)


def test_derivatives_are_listed_by_subject_session_and_run(tmp_path):
    names = [
        f"sub-0007/func/sub-0007_{SCAN}",
        "sub-ab1/ses-02/func/sub-ab1_ses-02_task-rest_run-2_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz",
        "sub-ab1/ses-pre/func/sub-ab1_ses-pre_task-restingstate_acq-fast_run-01_space-MNI152_desc-preproc_bold.nii",
    ]
    others = [
        "sub-0007/func/sub-0007_task-rest_space-T1w_desc-preproc_bold.nii.gz",
        f"sub-0007/func/sub-0007_{REST}_desc-smoothAROMAnonaggr_bold.nii.gz",
        "sub-0007/func/sub-0007_task-nback_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz",
        f"sub-0008/func/sub-0009_{SCAN}",
        "sub-0007/func/bold.nii.gz",
    ]
    unsaid = [
        f"sub-0007/func/sub-0007_{REST}_desc-brain_mask.nii.gz",
        f"sub-0007/func/sub-0007_{REST}_desc-preproc_bold.json",
        "sub-0007/func/sub-0007_task-rest_desc-confounds_timeseries.tsv",
        "sub-0007/anat/sub-0007_desc-preproc_T1w.nii.gz",
        "dataset_description.json",
    ]
    source = BidsSource(lay_out(tmp_path / "fmriprep", names + others + unsaid))
    assert [entry[:3] for entry in listed(source)] == [
        ("7", "1", "1"),
        ("ab1", "2", "2"),
        ("ab1", "pre", "acq-fast-run-1"),
    ]
    assert {entry.variant for entry in source.entries()} == {"bids"}
    assert told(source) == sorted(
        zip(
            [
                "not_preprocessed_in_mni",
                "not_preprocessed_in_mni",
                "task_not_rest",
                "file_in_wrong_folder",
                "file_not_understood",
            ],
            others,
            strict=True,
        )
    )


def test_of_several_resolutions_one_is_taken(tmp_path):
    names = [f"sub-1/func/sub-1_{REST}_res-{r}_desc-preproc_bold.nii.gz" for r in ("2", "native")]
    source = BidsSource(lay_out(tmp_path, names))
    assert [entry[3] for entry in listed(source)] == [names[0].rsplit("/", 1)[-1]]
    assert told(source) == [("other_resolution", names[1])]
    lay_out(tmp_path, [f"sub-1/func/sub-1_{SCAN}"])
    assert [entry[3] for entry in listed(source)] == [f"sub-1_{SCAN}"]


def test_two_files_for_one_run_are_refused(tmp_path):
    name = f"sub-1/func/sub-1_{SCAN}"
    source = BidsSource(lay_out(tmp_path, [name, name.removesuffix(".gz")]))
    with pytest.raises(DuplicateScanError, match="subject 1, session 1, run 1"):
        source.entries()


def test_participants_and_scans_become_a_cohort(simulated_scan, tmp_path):
    root = tmp_path / "fmriprep"
    lay_out(root, [f"sub-a1/ses-1/func/sub-a1_ses-1_{SCAN}"])
    (root / f"sub-a1/ses-1/func/sub-a1_ses-1_{SCAN}").write_bytes(simulated_scan.read_bytes())
    (root / "participants.tsv").write_text(
        "participant_id\tsex\tage\tgroup\nsub-a1\tF\t9.5\tpatient\nsub-a2\tM\tn/a\tcontrol\n"
    )
    rule = LabelRule(column="group", cases=("patient",), controls=("control",), condition="autism")
    table = read_phenotypes(root / "participants.tsv", label_rule=rule)
    report = ingest(
        BidsSource(root),
        table,
        tmp_path / "cohort",
        spec=PreprocessingSpec(grid_size=12),
        label_rule=rule,
        processes=0,
    )
    store = report.store
    assert [(s.subject_id, s.label, s.sex, s.age_years) for s in store.subjects] == [("a1", 1, "female", 9.5)]
    assert (store.scans[0].variant, store.scans[0].n_frames, store.scans[0].tr_s) == ("bids", 74, 2.5)
    assert store.maps(store.scans[0]).shape == (5, store.series(store.scans[0]).shape[1])
    assert store.condition == "autism"
    assert store.simulated, "its scan carries the mark, and no simulation.json lies beside it"
    assert report.counts["row_without_scan"] == 1
    written = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    assert written["label_rule"] == {"column": "group", "cases": ["patient"], "controls": ["control"]}
    assert {f["subject_id"] for f in written["report"]["findings"] if f["code"] == "row_without_scan"} == {
        "a2"
    }
