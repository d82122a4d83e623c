import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging import PreprocessingSpec, brain_cube
from tests.training.cohort.store.made_up_store import write_store
from training.cohort.store.cohort_store import (
    CohortStore,
    MapsNotStoredError,
    SeriesDamagedError,
    TissuesNotStoredError,
)
from training.cohort.store.index import (
    CohortDamagedError,
    CohortFormatError,
    CohortNotFoundError,
    CohortUnfinishedError,
)
from training.cohort.store.subject_table import format_subjects, parse_subjects
from training.cohort.subjects import Subject

SPEC = PreprocessingSpec(grid_size=8, window_frames=5)
N_VOXELS = int(brain_cube(8).mask.sum())


def subject(number, **known):
    return Subject(subject_id=str(number), site="NYU", label=number % 2, diagnosis=str(number % 2), **known)


def noise(n_frames, *, seed=0):
    return np.random.default_rng(seed).standard_normal((n_frames, N_VOXELS)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Three people; the second has two runs, of different lengths."""
    subjects = [
        subject(10, age_years=9.25, sex="male", handedness="left", iq=101.0, release="train"),
        subject(11, quality_passed={"QC_Athena": True, "QC_NIAK": None}),
        replace(subject(12), label=None, diagnosis="pending", quality_passed={"QC_Athena": False}),
    ]
    series = {"10": [noise(12)], "11": [noise(9, seed=1), noise(7, seed=2)], "12": [noise(8, seed=3)]}
    write_store(tmp_path / "cohort", subjects=subjects, series=series, spec=SPEC, name="three people")
    return tmp_path / "cohort"


def test_what_was_stored_comes_back_in_half_precision_at_full_length(folder):
    store = CohortStore.open(folder)
    assert (store.name, store.condition, store.simulated, store.spec) == ("three people", "ADHD", True, SPEC)
    assert [s.subject_id for s in store.subjects] == ["10", "11", "12"]
    assert [s.label for s in store.subjects] == [0, 1, None]
    first = store.subjects[0]
    assert (first.age_years, first.sex, first.handedness, first.iq, first.release) == (
        9.25,
        "male",
        "left",
        101.0,
        "train",
    )
    assert store.subjects[1].quality_passed == {"QC_Athena": True, "QC_NIAK": None}
    assert [scan.run for scan in store.scans_of("11")] == ["1", "2"]
    assert store.scans_of("somebody else") == ()
    second_run = store.series(store.scans_of("11")[1])
    assert isinstance(second_run, np.memmap)
    assert second_run.dtype == np.float16
    np.testing.assert_array_equal(second_run, noise(7, seed=2).astype(np.float16))
    with pytest.raises(ValueError, match="read-only"):
        second_run[0, 0] = 1


def test_a_cohort_of_before_grids_were_kept_opens_and_knows_none(folder):
    table = folder / "scans.jsonl"
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    for line in lines:
        del line["shape"], line["zooms_mm"]
    table.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    record = json.loads((folder / "cohort.json").read_text())
    record["scans_sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    (folder / "cohort.json").write_text(json.dumps(record))
    scans = CohortStore.open(folder).scans
    assert [(scan.shape, scan.zooms_mm) for scan in scans] == [(None, None)] * 4


@pytest.mark.parametrize(("n_marked", "mixed"), [(0, False), (1, True), (3, True), (4, False)])
def test_a_cohort_is_mixed_where_some_scans_carry_the_simulators_mark(folder, n_marked, mixed):
    store = CohortStore.open(folder)
    scans = [
        replace(scan, warnings=("simulated_scan",) * (number < n_marked))
        for number, scan in enumerate(store.scans)
    ]
    assert replace(store, scans=tuple(scans)).mixed is mixed


def test_digests_are_those_of_the_files(folder):
    store = CohortStore.open(folder)
    for scan in store.scans:
        assert scan.series_sha256 == hashlib.sha256((folder / scan.series_file).read_bytes()).hexdigest()
    assert {scan.series_file for scan in store.scans} == {
        str(path.relative_to(folder)) for path in (folder / "series").iterdir()
    }


def test_the_fingerprint_follows_ids_labels_and_series_and_not_their_order(folder, tmp_path):
    store = CohortStore.open(folder)
    one, two, three = store.subjects
    whole = store.fingerprint(store.subjects)
    assert store.fingerprint([three, one, two]) == whole
    others = [
        store.fingerprint([one, two]),
        store.fingerprint([replace(one, label=1), two, three]),
        store.fingerprint([one, replace(two, label=None), three]),
    ]
    changed = write_store(
        tmp_path / "other",
        subjects=store.subjects,
        series={"10": [noise(12)], "11": [noise(9, seed=1), noise(7, seed=99)], "12": [noise(8, seed=3)]},
        spec=SPEC,
    )
    others.append(changed.fingerprint(changed.subjects))
    assert len({whole, *others}) == 5
    assert replace(one, age_years=50.0).subject_id == "10"
    assert store.fingerprint([replace(one, age_years=50.0), two, three]) == whole


def test_the_fingerprint_of_ids_is_that_of_the_stored_subjects_who_have_them(folder):
    store = CohortStore.open(folder)
    one, two, three = store.subjects
    assert store.fingerprint_of(["12", "10"]) == store.fingerprint([one, three])
    assert store.fingerprint_of(["11", "somebody else"]) == store.fingerprint([two])


def test_a_flipped_bit_is_found_by_verifying(folder):
    store = CohortStore.open(folder)
    steps = []
    store.verify(progress=lambda stage, done: steps.append((stage, done)))
    assert steps == [("verifying", n / 4) for n in (1, 2, 3, 4)]
    path = folder / store.scans[2].series_file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SeriesDamagedError, match=r"11_1_2_simulated.*sha256") as caught:
        CohortStore.open(folder).verify()
    assert caught.value.series_file == store.scans[2].series_file


@pytest.mark.parametrize("size", [0, 100, -2])
def test_a_series_of_the_wrong_length_is_refused_when_the_store_is_opened(folder, size):
    path = folder / "series" / "10_1_1_simulated.npy"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SeriesDamagedError, match=r"10_1_1_simulated\.npy: expected .* bytes, found"):
        CohortStore.open(folder)


def test_a_series_that_is_gone_is_refused(folder):
    store = CohortStore.open(folder)
    (folder / "series" / "10_1_1_simulated.npy").unlink()
    with pytest.raises(SeriesDamagedError, match="found none"):
        CohortStore.open(folder)
    with pytest.raises(SeriesDamagedError, match="found none"):
        store.series(store.scans[0])


def test_what_is_no_cohort_is_refused(tmp_path):
    with pytest.raises(CohortNotFoundError, match="found nothing"):
        CohortStore.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CohortNotFoundError, match="found a file"):
        CohortStore.open(tmp_path / "file")
    with pytest.raises(CohortNotFoundError, match=r"no cohort\.json"):
        CohortStore.open(tmp_path)


def test_an_unfinished_cohort_says_how_to_go_on(tmp_path):
    (tmp_path / "ingest.jsonl").write_text("")
    with pytest.raises(CohortUnfinishedError, match="run the same"):
        CohortStore.open(tmp_path)


def test_another_format_is_refused_before_its_fields_are_read(folder):
    (folder / "cohort.json").write_text(json.dumps({"format_version": 2, "unheard": "of"}))
    with pytest.raises(CohortFormatError, match="expected format version 1, found 2"):
        CohortStore.open(folder)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("cohort.json", "{", r"readable cohort\.json"),
        ("cohort.json", "[]", r"readable cohort\.json"),
        ("cohort.json", '{"format_version": 1}', "missing or invalid: code_version"),
        ("subjects.tsv", "subject_id\n", r"subjects\.tsv that cohort\.json was written with"),
        ("scans.jsonl", "", r"scans\.jsonl that cohort\.json was written with"),
    ],
)
def test_a_damaged_index_is_refused(folder, file, text, said):
    (folder / file).write_text(text)
    with pytest.raises(CohortDamagedError, match=said):
        CohortStore.open(folder)


def test_a_table_that_is_gone_is_refused(folder):
    (folder / "scans.jsonl").unlink()
    with pytest.raises(CohortDamagedError, match=r"readable scans\.jsonl"):
        CohortStore.open(folder)


@pytest.mark.parametrize("field", ["subject_id", "n_frames"])
def test_an_index_whose_parts_disagree_is_refused(folder, field):
    lines = [json.loads(line) for line in (folder / "scans.jsonl").read_text().splitlines()]
    lines[0][field] = "nobody"
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "scans.jsonl").write_text(text)
    record = json.loads((folder / "cohort.json").read_text())
    record["scans_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "cohort.json").write_text(json.dumps(record))
    with pytest.raises(CohortDamagedError):
        CohortStore.open(folder)


def some_maps(*, seed=0):
    return np.random.default_rng(seed).standard_normal((5, N_VOXELS)).astype(np.float32)


@pytest.fixture
def with_maps(tmp_path):
    """Two people; the second has two runs."""
    write_store(
        tmp_path / "cohort",
        subjects=[subject(20), subject(21)],
        series={"20": [noise(6)], "21": [noise(6, seed=1), noise(7, seed=2)]},
        maps={"20": [some_maps()], "21": [some_maps(seed=1), some_maps(seed=2)]},
        spec=SPEC,
    )
    return tmp_path / "cohort"


def test_maps_come_back_as_they_were_in_single_precision(with_maps):
    store = CohortStore.open(with_maps)
    found = store.maps(store.scans_of("21")[1])
    assert isinstance(found, np.memmap)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, some_maps(seed=2))
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1
    for scan in store.scans:
        path = with_maps / "maps" / (with_maps / scan.series_file).name
        assert scan.maps_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert with_maps / scan.maps_file == path
    store.verify()


def test_a_cohort_of_before_maps_were_kept_opens_and_says_so_when_it_is_asked(with_maps):
    table = with_maps / "scans.jsonl"
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    for line in lines:
        del line["maps_sha256"]
    table.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    record = json.loads((with_maps / "cohort.json").read_text())
    record["scans_sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    (with_maps / "cohort.json").write_text(json.dumps(record))
    store = CohortStore.open(with_maps)
    store.verify()
    with pytest.raises(MapsNotStoredError, match=r"20_1_1.*ingested without maps.*ingested again") as caught:
        store.maps(store.scans[0])
    assert caught.value.code == "cohort_without_maps"
    assert caught.value.series_file == store.scans[0].series_file


@pytest.mark.parametrize(
    ("variant", "found"), [("parcels", "found parcel series"), ("uploaded", "found a reviewed scan")]
)
def test_who_has_no_maps_by_nature_needs_no_second_ingestion(folder, variant, found):
    store = CohortStore.open(folder)
    with pytest.raises(MapsNotStoredError, match=found) as caught:
        store.maps(replace(store.scans[0], variant=variant))
    assert "again" not in caught.value.found


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_maps_that_are_gone_or_cut_are_refused_when_the_cohort_is_opened(with_maps, damage):
    store = CohortStore.open(with_maps)
    path = with_maps / "maps" / "21_1_1_simulated.npy"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-4])
    for look in (lambda: CohortStore.open(with_maps), lambda: store.maps(store.scans[1]), store.verify):
        with pytest.raises(SeriesDamagedError, match=r"maps/21_1_1_simulated\.npy") as caught:
            look()
        assert caught.value.series_file == "maps/21_1_1_simulated.npy"


def test_changed_maps_are_found_by_verifying(with_maps):
    path = with_maps / "maps" / "21_1_2_simulated.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    store = CohortStore.open(with_maps)
    with pytest.raises(SeriesDamagedError, match=r"maps/21_1_2_simulated\.npy: expected sha256"):
        store.verify()


def test_maps_that_are_no_array_are_refused(with_maps):
    path = with_maps / "maps" / "20_1_1_simulated.npy"
    path.write_bytes(b"x" * path.stat().st_size)
    store = CohortStore.open(with_maps)
    with pytest.raises(SeriesDamagedError, match=r"readable \.npy"):
        store.maps(store.scans[0])


def some_tissues(*, seed=0):
    n_voxels = int(brain_cube(16).mask.sum())
    return np.random.default_rng(seed).uniform(size=(3, n_voxels)).astype(np.float32)


@pytest.fixture
def with_tissues(tmp_path):
    """Two people; the image of one of them served."""
    store = write_store(
        tmp_path / "cohort",
        subjects=[subject(20), subject(21)],
        series={"20": [noise(6)], "21": [noise(6, seed=1)]},
        tissues={"20": [some_tissues()]},
        spec=SPEC,
    )
    return store.folder


def test_tissues_come_back_on_a_cube_twice_as_fine(with_tissues):
    store = CohortStore.open(with_tissues)
    found = store.tissues(store.scans[0])
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, some_tissues())
    path = with_tissues / "tissues" / "20_1_1_simulated.npy"
    assert store.scans[0].tissues_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    store.verify()


@pytest.mark.parametrize(
    ("kind", "known", "found"),
    [
        ("raw-bids", {"without_tissues": "no_t1w"}, "a person without a T1-weighted image"),
        ("raw-bids", {"without_tissues": "t1w_not_used"}, "did not serve"),
        ("raw-bids", {}, "must be ingested again"),
        ("athena", {}, "a source without T1-weighted images"),
        ("raw-bids", {"variant": "uploaded"}, "a source without T1-weighted images"),
    ],
)
def test_a_scan_without_tissues_says_why_when_it_is_asked(with_tissues, kind, known, found):
    store = CohortStore.open(with_tissues)
    store = replace(store, record=store.record.model_copy(update={"source": {"kind": kind}}))
    with pytest.raises(TissuesNotStoredError, match=f"21_1_1_simulated.*{found}") as caught:
        store.tissues(replace(store.scans[1], **known))
    assert caught.value.code == "cohort_without_tissues"
    assert caught.value.series_file == store.scans[1].series_file


def test_tissues_that_are_cut_or_changed_are_refused(with_tissues):
    path = with_tissues / "tissues" / "20_1_1_simulated.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SeriesDamagedError, match=r"tissues/20_1_1_simulated\.npy: expected sha256"):
        CohortStore.open(with_tissues).verify()
    path.write_bytes(content[:-4])
    with pytest.raises(SeriesDamagedError, match=r"tissues/20_1_1_simulated\.npy"):
        CohortStore.open(with_tissues)


numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
people = st.builds(
    Subject,
    subject_id=st.from_regex(r"[0-9A-Za-z]{1,9}", fullmatch=True),
    site=st.text(min_size=1),
    label=st.sampled_from([0, 1, None]),
    diagnosis=st.text(),
    age_years=numbers,
    sex=st.sampled_from(["female", "male", None]),
    handedness=st.sampled_from(["right", "left", "ambidextrous", None]),
    iq=numbers,
    quality_passed=st.fixed_dictionaries({"QC_Athena": st.sampled_from([True, False, None])}),
    release=st.sampled_from(["train", "test", None]),
)


@given(st.lists(people, min_size=1))
def test_subjects_survive_their_table(subjects):
    assert parse_subjects(format_subjects(subjects)) == subjects
