import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from imaging.template import template_brain
from tests.imaging.native.heads import still_run, write_run
from training.cohort import ingest as ingestion
from training.cohort.sources.source import PreparedSeries
from training.cohort.store.cohort_store import CohortStore
from training.simulation.phenotypes import TABLE_NAME
from training.simulation.simulator import simulate_cohort


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A simulated folder of two, as if downloaded, with something in it that nobody knows."""
    root = tmp_path_factory.mktemp("download") / "adhd200"
    profiles = simulate_cohort(root, n_subjects=2, seed=8)
    (root / "notes.txt").write_text("x")
    (root / "test_ids.txt").write_text(f"{profiles[1].scan_dir_id}\n4242\n")
    return root


@pytest.fixture
def marked():
    """Ids of those whose scans carry the simulator's mark, where preprocessing is not really done."""
    return []


@pytest.fixture
def unread(monkeypatch, marked):
    """Preprocessing is shown elsewhere: here every scan becomes the same noise, in this process."""
    series = np.random.default_rng(0).standard_normal((40, 12_658))
    maps = np.zeros((5, 12_658), dtype=np.float32)

    def prepare(entry, spec, *, workspace):
        return PreparedSeries(
            series=series,
            tr_s=2.0,
            n_frames=40,
            dvars_mean=1.0,
            spikes=0,
            quality={},
            warnings=("simulated_scan",) if entry.subject_id in marked else (),
            source_sha256="0" * 64,
            maps=maps,
        )

    monkeypatch.setattr("training.cohort.sources.source.BoldEntry.prepare", prepare)
    run_jobs = ingestion.run_jobs
    monkeypatch.setattr(ingestion, "run_jobs", lambda jobs, **_: run_jobs(jobs, processes=0))


def ingest_arguments(release, out, *more):
    return ("cohort", "ingest", release, "--phenotypes", release / TABLE_NAME, "--out", out, *more)


def test_a_download_becomes_a_cohort(restnet_json, release, tmp_path):
    """Through real worker processes and the real preprocessing."""
    out = tmp_path / "cohort"
    test_ids = release / "test_ids.txt"
    status, answer = restnet_json(*ingest_arguments(release, out, "--processes", 1, "--test-ids", test_ids))
    assert status == 0
    assert answer["cohort"]["name"] == "cohort"
    assert answer["cohort"]["simulated"] is True
    assert (answer["cohort"]["n_subjects"], answer["cohort"]["n_scans"]) == (2, 2)
    assert (answer["n_new"], answer["n_kept"]) == (2, 0)
    assert answer["left_out"] == {"file_not_understood": 1, "test_id_without_row": 1}
    store = CohortStore.open(out)
    assert {subject.release for subject in store.subjects} == {"train", "test"}
    assert answer["cohort"]["fingerprint"] == store.fingerprint(store.subjects)
    assert restnet_json("cohort", "verify", out) == (0, {"cohort": "cohort", "n_scans": 2, "intact": True})


def test_people_are_told_counts_by_site_and_what_was_left_out(restnet, release, unread, tmp_path):
    status, said, _ = restnet(*ingest_arguments(release, tmp_path / "cohort"))
    assert status == 0
    assert "cohort: 2 simulated people, 2 scans" in said
    assert "all sites" in said
    assert "file_not_understood" in said
    assert "notes.txt: its name is not that of a scan" in said
    assert f"All of them, by name: {tmp_path / 'cohort' / 'cohort.json'}" in said
    status, said, _ = restnet(*ingest_arguments(release, tmp_path / "cohort"))
    assert "2 scans, 2 of them from before" in said


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (
            ("--cases", "8", "--controls", "9"),
            "Nobody here has a diagnosis: training on them will be refused",
        ),
        (
            ("--cases", "0,1,2,3", "--controls", "9"),
            "Nobody here has the diagnosis control: training on them",
        ),
        (("--cases", "8", "--controls", "0,1,2,3"), "Nobody here has the diagnosis ADHD: training on them"),
    ],
)
def test_a_cohort_that_cannot_be_trained_on_says_so_at_once(restnet, release, unread, tmp_path, codes, said):
    out = tmp_path / "cohort"
    status, told, _ = restnet(*ingest_arguments(release, out, *codes))
    assert status == 0, "unlabelled scans may be made ready, to be predicted"
    assert said in told
    assert said in restnet("cohort", "summary", out)[1]
    assert restnet("train", out, "--out", tmp_path / "run")[0] == 2
    both = tmp_path / "both"
    assert "Nobody here" not in restnet(*ingest_arguments(release, both))[1]
    assert "Nobody here" not in restnet("cohort", "summary", both)[1]


def test_a_simulated_scan_among_others_is_told(restnet, restnet_json, release, unread, marked, tmp_path):
    first, second = sorted(release.rglob("*.nii.gz"))
    marked.append(second.name[8:15].lstrip("0"))
    out = tmp_path / "cohort"
    status, said, _ = restnet(*ingest_arguments(release, out))
    assert status == 0
    assert "cohort: 2 subjects, simulated and others, 2 scans" in said
    assert f"1  simulated_scan           {second.name}" in said
    assert first.name not in said
    status, said, _ = restnet("cohort", "summary", out)
    assert "cohort (subjects, simulated and others)" in said
    assert restnet_json("cohort", "summary", out)[1]["simulated"] is True


def test_a_summary_counts_a_selection(restnet, restnet_json, release, unread, tmp_path):
    out = tmp_path / "cohort"
    restnet(*ingest_arguments(release, out))
    subjects = CohortStore.open(out).subjects
    status, whole = restnet_json("cohort", "summary", out)
    assert status == 0
    assert whole["simulated"] is True
    assert whole["table"][-1]["n_cases"] == sum(subject.label for subject in subjects)
    assert whole["groups"][-1]["n_frames"]["mean"] == 40
    status, one = restnet_json("cohort", "summary", out, "--where", f"site={subjects[0].site}")
    assert one["table"][-1]["n_total"] == sum(s.site == subjects[0].site for s in subjects)
    status, said, _ = restnet("cohort", "summary", out)
    assert "(simulated people)" in said
    assert "frames" in said
    status, refused = restnet_json("cohort", "summary", out, "--select", "train")
    assert (status, refused["error"]["code"]) == (2, "selection_needs_release")
    status, refused = restnet_json("cohort", "summary", out, "--select", "nobody")
    assert status == 2


def test_another_conditions_labels_are_read_from_their_column(restnet_json, release, unread, tmp_path):
    table = tmp_path / "abide.csv"
    ids = [line.split("\t")[0] for line in (release / TABLE_NAME).read_text().splitlines()[1:]]
    table.write_text(f"SUB_ID,SITE_ID,DX_GROUP\n{ids[0]},NYU,1\n{ids[1]},UM_1,2\n")
    options = ("--label-column", "DX_GROUP", "--cases", "1", "--controls", "2")
    arguments = ("cohort", "ingest", release, "--phenotypes", table, "--out", tmp_path / "cohort", *options)
    status, refused = restnet_json(*arguments)
    assert (status, refused["error"]["code"]) == (2, "cohort_option_missing")
    assert refused["error"]["option"] == "--condition"
    status, answer = restnet_json(*arguments, "--condition", "autism")
    assert status == 0
    assert answer["cohort"]["condition"] == "autism"
    assert [subject.label for subject in CohortStore.open(tmp_path / "cohort").subjects] == [1, 0]


@pytest.mark.parametrize(
    ("option", "value"), [("--condition", " "), ("--label-column", ""), ("--label-column", " ")]
)
def test_a_name_of_blanks_is_none(restnet_json, release, tmp_path, option, value):
    out = tmp_path / "cohort"
    status, refused = restnet_json(*ingest_arguments(release, out, option, value))
    assert (status, refused["error"]["code"]) == (2, "cohort_option_missing")
    assert refused["error"]["option"] == option
    assert not out.exists()


@pytest.mark.parametrize(
    ("made", "options"),
    [
        ("a/sfnwmrda0000001_session_1_rest_1.nii.gz", ("--tr", 2)),
        ("a/sfnwmrda0000001_session_1_rest_1.nii.gz", ("--atlas", "atlas.nii")),
        ("NYU.tar", ("--tr", 2)),
        ("sub-1/func/sub-1_task-rest_space-MNI152_desc-preproc_bold.nii.gz", ("--tr", 2)),
        ("sub-1/func/sub-1_task-rest_space-MNI152_desc-preproc_bold.nii.gz", ("--atlas", "atlas.nii")),
        ("sub-1/func/sub-1_task-rest_space-MNI152_desc-preproc_bold.nii.gz", ("--variant", "filtered")),
        ("1.npz", ("--tr", 2, "--atlas", "atlas.nii")),
        ("1.npz", ("--variant", "both", "--atlas", "atlas.nii")),
        ("1.npz", ("--cases", 2, "--atlas", "atlas.nii", "--condition", "autism")),
        ("1.npz", ("--controls", 2, "--atlas", "atlas.nii", "--condition", "autism")),
        ("1.npz", ("--label-column", "DX", "--atlas", "atlas.nii", "--condition", "autism")),
        ("1.csv", ("--variant", "both", "--atlas", "atlas.nii", "--tr", 2)),
        ("1.csv", ("--variant", "unfiltered", "--atlas", "atlas.nii", "--tr", 2)),
    ],
)
def test_an_option_that_a_source_has_no_use_for_is_refused(restnet_json, release, tmp_path, made, options):
    source, out = tmp_path / "source", tmp_path / "cohort"
    (source / made).parent.mkdir(parents=True)
    (source / made).write_bytes(b"nothing of this kind")
    if made == "NYU.tar":
        source /= made
    # An archive's own table is asked for by naming none.
    table = () if "--condition" in options else ("--phenotypes", release / TABLE_NAME)
    status, refused = restnet_json("cohort", "ingest", source, *table, "--out", out, *options)
    assert (status, refused["error"]["code"]) == (2, "cohort_option_without_effect")
    assert refused["error"]["option"] == options[0]
    assert not out.exists()


def test_an_archive_beside_tables_of_series_is_refused(restnet_json, release, tmp_path):
    (tmp_path / "1.npz").touch()
    (tmp_path / "1.csv").touch()
    options = ("--atlas", "atlas.nii", "--out", tmp_path / "cohort")
    status, refused = restnet_json(
        "cohort", "ingest", tmp_path, *options, "--phenotypes", release / TABLE_NAME
    )
    assert (status, refused["error"]["code"]) == (2, "source_not_recognised")
    assert "name the .npz itself" in refused["error"]["found"]


def test_a_class_without_a_value_is_refused(restnet_json, release, tmp_path):
    out, table = tmp_path / "cohort", release / TABLE_NAME
    status, refused = restnet_json(
        "cohort", "ingest", release, "--phenotypes", table, "--out", out, "--cases", " , "
    )
    assert (status, refused["error"]["code"]) == (2, "label_rule_invalid")
    assert not out.exists()


@pytest.mark.parametrize(
    ("made", "options", "code"),
    [
        ([], (), "source_not_recognised"),
        (["readme.txt"], (), "source_not_recognised"),
        (
            ["a/sfnwmrda0000001_session_1_rest_1.nii.gz", "sub-1/sub-1_bold.nii.gz"],
            (),
            "source_not_recognised",
        ),
        (["NYU.tar"], (), "archive_damaged"),
        (["NYU.tar.gz"], (), "archive_damaged"),
        (["1.tsv"], (), "atlas_missing"),
        (["1.tsv"], ("--atlas", "nowhere.nii"), "parcel_series_invalid"),
        (["readme.txt"], ("--source", "athena"), "no_usable_scan"),
        (["a/sfnwmrda0000001_session_1_rest_1.nii.gz"], ("--label-column", "D"), "cohort_option_missing"),
        (["a/sfnwmrda0000001_session_1_rest_1.nii.gz"], (), "no_usable_scan"),
    ],
)
def test_what_cannot_be_ingested_is_refused_and_leaves_nothing(
    restnet_json, release, tmp_path, made, options, code
):
    source = tmp_path / "source"
    source.mkdir()
    for name in made:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"nothing of this kind")
    out = tmp_path / "cohort"
    arguments = ("--phenotypes", release / TABLE_NAME, "--out", out, *options)
    status, refused = restnet_json("cohort", "ingest", source, *arguments)
    assert status == 2
    assert refused["error"]["code"] == code
    assert not out.exists()


def test_a_table_is_asked_for(restnet_json, release, tmp_path):
    status, refused = restnet_json("cohort", "ingest", release, "--out", tmp_path / "cohort")
    assert (status, refused["error"]["option"]) == (2, "--phenotypes")
    status, refused = restnet_json(
        "cohort",
        "ingest",
        tmp_path / "nowhere",
        "--phenotypes",
        release / TABLE_NAME,
        "--out",
        tmp_path / "c",
    )
    assert (status, refused["error"]["code"]) == (2, "source_not_recognised")
    assert not any(tmp_path.iterdir())


def test_participants_of_derivatives_are_found_by_themselves(restnet_json, unread, tmp_path):
    root = tmp_path / "fmriprep"
    scan = root / "sub-1" / "func" / "sub-1_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
    scan.parent.mkdir(parents=True)
    scan.write_bytes(b"not read here")
    (root / "participants.tsv").write_text("participant_id\tage\tDX\nsub-1\t9\t1\n")
    status, answer = restnet_json("cohort", "ingest", root, "--out", tmp_path / "cohort")
    assert status == 0
    assert [row["n_cases"] for row in answer["sites"]] == [1, 1]
    assert answer["cohort"]["simulated"] is False


@pytest.mark.slow
def test_a_raw_data_set_becomes_a_cohort(restnet_json, tmp_path):
    root = tmp_path / "study"
    for number in (1, 2, 3):
        write_run(
            root / f"sub-{number}" / "func" / f"sub-{number}_task-rest_bold.nii", still_run(seed=number)
        )
    # Cut while it was copied.
    (root / "sub-3/func/sub-3_task-rest_bold.nii").write_bytes(b"\x5c\x01\0\0 and no more")
    (root / "participants.tsv").write_text(
        "participant_id\tgroup\nsub-1\tpatient\nsub-2\tcontrol\nsub-3\tcontrol\n"
    )
    labels = ("--label-column", "group", "--cases", "patient", "--controls", "control", "--condition", "ADHD")

    status, answer = restnet_json(
        "cohort", "ingest", root, "--out", tmp_path / "c", *labels, "--processes", 2
    )

    assert status == 0
    assert (answer["cohort"]["n_scans"], answer["cohort"]["n_labelled"], answer["n_new"]) == (2, 2, 2)
    assert answer["left_out"]["data_incomplete"] == 1


def test_names_and_cells_can_neither_break_nor_forge_a_line(restnet, restnet_json, release, unread, tmp_path):
    source, out = tmp_path / "source", tmp_path / "cohort\x1b[2J"
    source.mkdir()
    # Bytes: a file's name need not be text.
    names = list(map(os.fsdecode, (b"a\nall sites  99", b"b\x1b[31mred", b"c\xffd")))
    for name in names:
        (source / name).touch()
    (scan, *_) = sorted(release.rglob("*.nii.gz"))
    shutil.copy(scan, source / scan.name)
    table = tmp_path / "table.csv"
    table.write_text(f'ID,Site,DX\n{scan.name[8:15]},"x\nall sites\x9b[/red]",0\n')
    arguments = ("cohort", "ingest", source, "--phenotypes", table, "--out", out)
    status, said, told = restnet(*arguments)
    assert status == 0, told
    assert r"x\nall sites\x9b[/red]" in said
    assert all(mark.isprintable() or mark == "\n" for mark in said)
    assert sum(line.startswith("all sites") for line in said.splitlines()) == 1
    status, answer = restnet_json(*arguments)
    odd = [finding["name"] for finding in answer["findings"] if finding["code"] == "file_not_understood"]
    assert sorted(odd) == sorted(names)
    kept = json.loads((out / "cohort.json").read_text())["report"]["findings"]
    assert r"c\udcffd" in [finding["name"] for finding in kept]
    status, said, told = restnet("cohort", "summary", tmp_path / "no\nsuch\x1b[2J")
    assert told.count("\n") == 1
    assert "\x1b[2J" not in told


@pytest.mark.parametrize("name", [b"1\xff", b"1\n2"])
def test_a_source_of_any_name_makes_a_cohort_that_opens(restnet_json, unread, tmp_path, name):
    source = tmp_path / os.fsdecode(name) / "sub-1"
    source.mkdir(parents=True)
    (source / "sub-1_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz").touch()
    (source.parent / "participants.tsv").write_text("participant_id\tDX\n1\t1\n")
    out = tmp_path / os.fsdecode(b"out\xfe")
    status, answer = restnet_json("cohort", "ingest", source.parent, "--out", out)
    assert status == 0, answer
    assert restnet_json("cohort", "verify", out)[0] == 0


def test_links_that_lead_round_in_a_circle_are_told(restnet_json, release, unread, tmp_path):
    source, loop = tmp_path / "source", tmp_path / "source" / "loop"
    source.mkdir()
    loop.symlink_to(loop)
    (source / "up").symlink_to(source)
    (scan, *_) = sorted(release.rglob("*.nii.gz"))
    shutil.copy(scan, source / scan.name)
    status, answer = restnet_json(
        "cohort", "ingest", source, "--phenotypes", release / TABLE_NAME, "--out", tmp_path / "cohort"
    )
    assert status == 0
    odd = {finding["name"] for finding in answer["findings"] if finding["code"] == "file_not_understood"}
    assert odd == {"loop", "up"}
    refusals = {
        "source_not_recognised": ("ingest", loop, "--out", tmp_path / "other"),
        "phenotype_table_unreadable": ("ingest", release, "--phenotypes", loop, "--out", tmp_path / "other"),
        "output_not_writable": ingest_arguments(release, loop)[1:],
        "cohort_not_found": ("summary", loop),
    }
    for code, arguments in refusals.items():
        status, refused = restnet_json("cohort", *arguments)
        assert (status, refused["error"]["code"]) == (2, code)


def test_a_stop_says_that_the_same_command_goes_on(restnet, release, unread, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(ingestion, "ingest", stop)
    status, _, told = restnet(*ingest_arguments(release, tmp_path / "cohort"))
    assert status == 130
    assert "The same command goes on where it stopped" in told


@pytest.mark.slow
def test_ctrl_c_stops_and_the_same_command_completes(restnet_json, tmp_path):
    release = tmp_path / "release"
    simulate_cohort(release, n_subjects=12, seed=1)
    out = tmp_path / "cohort"
    arguments = [str(word) for word in ingest_arguments(release, out)]
    script = tmp_path / "run.py"
    script.write_text(
        f"import signal, sys\nsys.argv = {['restnet', *arguments]!r}\n"
        "from service.cli import main\nif __name__ == '__main__':\n"
        # What a shell starts in the background ignores Ctrl-C, and its children with it.
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n    main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, script],
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    journal = out / "ingest.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.is_file() and len(journal.read_bytes().splitlines()) > 1):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # As a terminal does: the whole group hears it. And as `timeout` and people do: again at once.
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.0005)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert told.splitlines() == ["Stopped. The same command goes on where it stopped."]
    status, answer = restnet_json(*arguments)
    assert status == 0
    assert answer["n_kept"] >= 1
    assert answer["n_kept"] + answer["n_new"] == 12


def test_an_archive_of_series_is_its_own_table(restnet_json, tmp_path):
    template = template_brain()
    x = np.indices(template.mask.shape)[0]
    atlas = tmp_path / "halves.nii.gz"
    halves = np.where(template.mask, 1 + (x > x.mean()), 0).astype(np.int16)
    nib.save(nib.Nifti1Image(halves, template.affine), atlas)
    generator = np.random.default_rng(0)
    archive = tmp_path / "series.npz"
    np.savez(
        archive,
        ts_q=generator.integers(-90, 90, (80, 2)).astype(np.int8),
        scale=np.float32(31),
        roi_mean=np.zeros((2, 2), np.float32),
        roi_sd=np.ones((2, 2), np.float32),
        length=np.array([40, 40]),
        sub_id=np.array([51, 52]),
        site=np.array(["NYU", "UM_1"]),
        label=np.array([1, 0]),
        age=np.array([9.0, 10.0]),
        sex=np.array([1, 2]),
        tr_nominal=np.array([2.0, 2.0]),
        roi_id=np.array([1, 2]),
    )
    arguments = ("cohort", "ingest", archive, "--atlas", atlas, "--out", tmp_path / "cohort")
    status, refused = restnet_json(*arguments)
    assert (status, refused["error"]["option"]) == (2, "--condition")
    test_ids = tmp_path / "test_ids.txt"
    test_ids.write_text("52\n53\n")
    status, answer = restnet_json(*arguments, "--condition", "autism", "--test-ids", test_ids)
    assert status == 0
    assert answer["cohort"]["condition"] == "autism"
    assert [subject.release for subject in CohortStore.open(tmp_path / "cohort").subjects] == [
        "train",
        "test",
    ]
    assert answer["left_out"] == {"test_id_without_row": 1}
    assert [(row["site"], row["n_cases"], row["n_controls"]) for row in answer["sites"]] == [
        ("NYU", 1, 0),
        ("UM_1", 0, 1),
        (None, 1, 1),
    ]
