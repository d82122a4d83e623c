import json
import os

import nibabel as nib
import numpy as np
import pytest

from imaging import BoldScan, PreprocessingSpec, brain_cube, preprocess
from imaging.reading import NonfiniteValuesError
from imaging.template import template_brain
from imaging.temporal import ScanTooShortError
from training.cohort.ingest import ingest
from training.cohort.phenotypes.table import PhenotypeTable
from training.cohort.sources.painting import AtlasError, ParcelSeriesError, make_painter
from training.cohort.sources.parcel_archive import ParcelArchive
from training.cohort.sources.parcel_tables import ParcelTables, SeriesUnreadableError, read_series
from training.cohort.sources.source import DuplicateScanError
from training.cohort.store.cohort_store import MapsNotStoredError
from training.cohort.subjects import Subject

SPEC = PreprocessingSpec()
STRAY, ABSENT, UNUSED = 77, 99, 9


@pytest.fixture(scope="module")
def labels():
    """The template's brain cut into octants, the third a small one; a parcel without series; a stray one."""
    template = template_brain()
    x, y, z = np.indices(template.mask.shape)
    middle = np.argwhere(template.mask).mean(axis=0)
    octant = 1 + (x > middle[0]) + 2 * (y > middle[1]) + 4 * (z > middle[2])
    octant[(octant == 3) & (y > middle[1] + 6)] = 4
    values = np.where(template.mask, octant, 0).astype(np.int16)
    brain = np.argwhere(template.mask)
    values[tuple(brain[:40].T)] = UNUSED
    values[tuple(brain[len(brain) // 2 : len(brain) // 2 + 2].T)] = STRAY
    return values


@pytest.fixture(scope="module")
def atlas(labels, tmp_path_factory):
    """From right to left, as Athena's files are."""
    affine = template_brain().affine @ np.diag([-1.0, 1, 1, 1])
    affine[:3, 3] = template_brain().affine[:3] @ [len(labels) - 1, 0, 0, 1]
    path = tmp_path_factory.mktemp("atlas") / "octants.nii.gz"
    nib.save(nib.Nifti1Image(labels[::-1], affine), path)
    return path


PARCELS = (8, 3, 1, STRAY, 2, 4, ABSENT, 5, 6, 7)


def courses(*, n_frames=110, seed=0):
    """Slow signals of different size on top of a large mean, and a drift."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((n_frames, len(PARCELS))).cumsum(axis=0)
    return (1000 + noise * np.arange(1, len(PARCELS) + 1) + np.arange(n_frames)[:, None]).astype(np.float32)


def painted_scan(series, atlas, *, tr_s, leave_out=()):
    """Make the volume that painting stands for: the reference, by way of indexing."""
    image = nib.load(atlas)
    values = np.asarray(image.dataobj)
    bold = np.zeros((*values.shape, len(series)), dtype=np.float32)
    for column, parcel in enumerate(PARCELS):
        if parcel not in leave_out:
            bold[values == parcel] = series[:, column]
    return BoldScan.from_array(bold, affine=image.affine, tr_s=tr_s)


def reference(scan, spec=SPEC):
    network_input = preprocess(scan, spec)
    return network_input.frames[:, brain_cube(spec.grid_size).mask], network_input.quality


@pytest.mark.parametrize(
    ("spec", "tr_s"), [(SPEC, 2.5), (PreprocessingSpec(grid_size=20, band_hz=None, tr_s=None), 2.0)]
)
def test_painting_equals_preprocessing_a_painted_volume(atlas, spec, tr_s):
    series = courses()
    painter = make_painter(atlas, parcel_ids=PARCELS, grid_size=spec.grid_size)
    prepared = painter.paint(series, tr_s=tr_s, spec=spec, source_sha256="x")
    expected, quality = reference(painted_scan(series, atlas, tr_s=tr_s, leave_out=(STRAY,)), spec)
    assert expected.std() == pytest.approx(1, abs=0.2)
    np.testing.assert_allclose(prepared.series, expected, atol=2e-4)
    assert prepared.dvars_mean == pytest.approx(quality.dvars_mean, rel=1e-4)
    assert prepared.spikes == quality.spikes
    if spec.band_hz is None:
        assert prepared.quality["in_band_power"] is None
    else:
        assert prepared.quality["in_band_power"] == pytest.approx(quality.in_band_power, rel=1e-4)
    assert prepared.quality["template_coverage"] == pytest.approx(quality.template_coverage)
    assert (prepared.tr_s, prepared.n_frames, prepared.source_sha256) == (tr_s, 110, "x")
    assert (prepared.shape, prepared.zooms_mm) == (None, None)


@pytest.mark.parametrize("value", [5.0, np.nan, np.inf])
def test_a_parcel_without_signal_stays_empty_like_a_region_out_of_view(atlas, value):
    series = courses()
    series[:, PARCELS.index(3)] = value
    painter = make_painter(atlas, parcel_ids=PARCELS, grid_size=34)
    prepared = painter.paint(series, tr_s=2.0, spec=SPEC, source_sha256="")
    expected, _ = reference(painted_scan(series, atlas, tr_s=2.0, leave_out=(STRAY, 3)))
    np.testing.assert_allclose(prepared.series, expected, atol=2e-4)
    assert (prepared.series == 0).all(axis=0).mean() > 0.03
    assert prepared.quality["n_parcels"] == 8
    assert prepared.quality["n_parcels_without_signal"] == 1


def test_a_parcel_that_is_finite_in_some_frames_only_refuses_the_scan(atlas):
    series = courses()
    series[7, 0] = np.nan
    painter = make_painter(atlas, parcel_ids=PARCELS, grid_size=34)
    with pytest.raises(NonfiniteValuesError):
        painter.paint(series, tr_s=2.0, spec=SPEC, source_sha256="")
    with pytest.raises(ScanTooShortError):
        painter.paint(courses(n_frames=19), tr_s=2.0, spec=SPEC, source_sha256="")


def test_what_atlas_and_series_do_not_share_is_told(atlas):
    painter = make_painter(atlas, parcel_ids=PARCELS, grid_size=34)
    told = {finding.code: finding.message for finding in painter.findings}
    assert set(told) == {"parcel_too_small", "parcel_not_in_atlas", "parcel_without_series"}
    assert f"parcel {STRAY} has fewer than 5 voxels (2)" in told["parcel_too_small"]
    assert f"{ABSENT}" in told["parcel_not_in_atlas"]
    assert f"{UNUSED}" in told["parcel_without_series"]


def changed(path, atlas, *, values=None, shift_mm=0.0):
    image = nib.load(atlas)
    affine = image.affine.copy()
    affine[0, 3] += shift_mm
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) if values is None else values, affine), path)
    return path


def test_atlases_that_cannot_be_painted_with_are_refused(atlas, labels, tmp_path):
    path = tmp_path / "atlas.nii.gz"

    def refused(match):
        with pytest.raises(AtlasError, match=match) as caught:
            make_painter(path, parcel_ids=PARCELS, grid_size=34)
        assert caught.value.name == "atlas.nii.gz"

    refused("no readable image")
    with pytest.raises(AtlasError, match="no readable image"):
        ParcelArchive(pack(tmp_path / "series.npz")[0], atlas=path).entries()
    path.write_bytes(b"not an image")
    refused("no readable image")
    path.write_bytes(atlas.read_bytes()[:-200])
    refused("no readable image")
    changed(path, atlas, values=np.stack([labels] * 3, axis=-1))
    refused("found 4 axes")
    changed(path, atlas, values=labels * np.float32(0.5))
    refused("found other values")
    changed(path, atlas, values=-labels)
    refused("found other values")
    changed(path, atlas, values=labels * 0)
    refused("zeros alone")
    changed(path, atlas, shift_mm=40.0)
    refused("an atlas in MNI152 space")
    changed(path, atlas, values=np.where(labels[::-1] > 0, 500, 0).astype(np.int16))
    refused("expected the 10 parcels of the series, found 0")


def pack(path, *, n_subjects=3, **replaced):
    """An archive as ABIDE's is packed: quantised z-scores and what undoes them."""
    all_courses = [courses(n_frames=60 + 5 * number, seed=number) for number in range(n_subjects)]
    mean = np.array([values.mean(axis=0) for values in all_courses])
    sd = np.array([values.std(axis=0) for values in all_courses])
    scores = [(values - m) / s for values, m, s in zip(all_courses, mean, sd, strict=True)]
    arrays = {
        "ts_q": np.rint(np.concatenate(scores) * 31).clip(-127, 127).astype(np.int8),
        "scale": np.float32(31),
        "roi_mean": mean.astype(np.float32),
        "roi_sd": sd.astype(np.float32),
        "length": np.array([len(values) for values in all_courses], dtype=np.int32),
        "sub_id": np.array([50010, 50011, 50012][:n_subjects], dtype=np.int32),
        "site": np.array(["NYU", "NYU", "UM_1"][:n_subjects]),
        "label": np.array([1, 0, 1][:n_subjects], dtype=np.int8),
        "age": np.array([11.37, 9.5, np.nan][:n_subjects], dtype=np.float32),
        "sex": np.array([1, 2, 9][:n_subjects], dtype=np.int8),
        "tr_nominal": np.array([2.0, 2.0, 1.5][:n_subjects], dtype=np.float32),
        "roi_id": np.array(PARCELS, dtype=np.int16),
    } | replaced
    np.savez_compressed(path, **{key: value for key, value in arrays.items() if value is not None})
    return path, all_courses


def test_an_archive_becomes_a_cohort(atlas, tmp_path):
    path, all_courses = pack(tmp_path / "three.npz")
    source = ParcelArchive(path, atlas=atlas)
    report = ingest(source, source.phenotypes(), tmp_path / "cohort", processes=0)
    store = report.store
    assert report.counts == {"parcel_too_small": 1, "parcel_not_in_atlas": 1, "parcel_without_series": 1}
    assert [(s.subject_id, s.site, s.label, s.age_years, s.sex) for s in store.subjects] == [
        ("50010", "NYU", 1, 11.37, "male"),
        ("50011", "NYU", 0, 9.5, "female"),
        ("50012", "UM_1", 1, None, None),
    ]
    assert [(scan.variant, scan.tr_s, scan.n_frames) for scan in store.scans] == [
        ("parcels", 2.0, 60),
        ("parcels", 2.0, 65),
        ("parcels", 1.5, 70),
    ]
    with pytest.raises(MapsNotStoredError, match="found parcel series, which have no voxels"):
        store.maps(store.scans[0])
    assert not (store.folder / "maps").exists()
    # 31 steps a standard deviation: the quantised series is the given one within a few per cent.
    expected, _ = reference(painted_scan(all_courses[2], atlas, tr_s=1.5, leave_out=(STRAY,)))
    stored = store.series(store.scans[2]).astype(np.float32)
    assert np.corrcoef(stored.ravel(), expected.ravel())[0, 1] > 0.999
    assert len({scan.source_sha256 for scan in store.scans}) == 3
    assert store.record.source["atlas"] == "octants.nii.gz"
    assert not store.simulated


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({"roi_sd": None}, "found no roi_sd"),
        ({"roi_mean": np.zeros((3, 4), dtype=np.float32)}, r"roi_mean of shape \(3, 10\), found \(3, 4\)"),
        ({"length": np.array([60, 65, 71])}, r"ts_q of shape \(196, 10\), found \(195, 10\)"),
        ({"label": np.array([1, 0])}, r"label of shape \(3,\)"),
        ({"sub_id": np.array([object(), 1, 2])}, "no readable one"),
        ({"sub_id": np.array(["1", "2", "../3"])}, r"letters, digits, points and hyphens, found '\.\./3'"),
    ],
)
def test_archives_that_are_none_are_refused(atlas, tmp_path, replaced, said):
    path, _ = pack(tmp_path / "odd.npz", **replaced)
    with pytest.raises(ParcelSeriesError, match=said) as caught:
        ParcelArchive(path, atlas=atlas).entries()
    assert caught.value.name == "odd.npz"


@pytest.mark.parametrize("damage", [b"", b"PK not a zip", None])
def test_damaged_archives_are_refused(atlas, tmp_path, damage):
    path, _ = pack(tmp_path / "damaged.npz")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(ParcelSeriesError, match="no readable one"):
        ParcelArchive(path, atlas=atlas).entries()


def test_an_archive_without_phenotypes_asks_for_a_table(atlas, tmp_path):
    path, _ = pack(tmp_path / "nobody.npz", label=None, age=None)
    source = ParcelArchive(path, atlas=atlas)
    assert len(source.entries()) == 3
    with pytest.raises(ParcelSeriesError, match="found no label, age"):
        source.phenotypes()


def write_table(path, series, *, header=None, separator="\t"):
    path.parent.mkdir(parents=True, exist_ok=True)
    names = header or [f"Mean_{parcel}" for parcel in PARCELS]
    extra = ["x"] * (len(names) - series.shape[1])
    rows = [names, *([*extra, *map(repr, row)] for row in series.astype(float).tolist())]
    path.write_text("\n".join(separator.join(row) for row in rows) + "\n")
    return path


def test_tables_become_the_same_cohort_as_their_painted_volumes(atlas, tmp_path):
    root = tmp_path / "tables"
    afni = ["File", "Sub-brick", *(f"Mean_{parcel}  " for parcel in PARCELS)]
    write_table(root / "NYU" / "sfnwmrda0010042_session_1_rest_2_cc200_TCs.1D", courses(), header=afni)
    write_table(root / "sub-7_ses-02_task-rest_timeseries.tsv", courses(seed=1))
    (root / "sub-7_ses-02_task-rest_timeseries.json").write_text(json.dumps({"RepetitionTime": 1.5}))
    write_table(root / "00099.csv", courses(seed=2), separator=",")
    (root / "00099.csv").write_text((root / "00099.csv").read_text() + "1,2,3\n")
    (root / "notes.txt").write_text("x")
    people = [Subject(subject_id=name, site="NYU", label=0, diagnosis="0") for name in ("10042", "7", "99")]
    source = ParcelTables(root, atlas=atlas, tr_s=2.0)
    report = ingest(source, PhenotypeTable("t", tuple(people), ()), tmp_path / "cohort", processes=0)
    assert [(s.subject_id, s.session, s.run, s.tr_s) for s in report.store.scans] == [
        ("10042", "1", "2", 2.0),
        ("7", "2", "1", 1.5),
    ]
    assert {(f.code, f.name) for f in report.findings if not f.code.startswith("parcel")} == {
        ("series_unreadable", "00099.csv"),
        ("file_not_understood", "notes.txt"),
    }
    expected, _ = reference(painted_scan(courses(), atlas, tr_s=2.0, leave_out=(STRAY,)))
    np.testing.assert_allclose(report.store.series(report.store.scans[0]), expected, atol=5e-3)
    with pytest.raises(MapsNotStoredError, match="found parcel series, which have no voxels"):
        report.store.maps(report.store.scans[0])


def test_a_table_of_any_name_makes_a_cohort_that_opens(atlas, tmp_path):
    name = os.fsdecode(b"sub-7_odd\xff\xe2\x80\xa8name.tsv")  # no text, and a separator of lines
    write_table(tmp_path / "tables" / name, courses())
    person = Subject(subject_id="7", site="NYU", label=0, diagnosis="0")
    source = ParcelTables(tmp_path / "tables", atlas=atlas, tr_s=2.0)
    report = ingest(source, PhenotypeTable("t", (person,), ()), tmp_path / "cohort", processes=0)
    assert [scan.source_name for scan in report.store.scans] == ["sub-7_odd\\udcff\u2028name.tsv"]


def test_of_two_variants_of_a_series_one_is_taken(atlas, tmp_path):
    for steps in ("sfnwmrda", "snwmrda"):
        write_table(tmp_path / f"{steps}0010042_session_1_rest_1_cc200_TCs.1D", courses())

    def taken(**choice):
        (entry,) = ParcelTables(tmp_path, atlas=atlas, tr_s=2.0, **choice).entries()
        return entry.source_name.split("0")[0]

    assert taken() == "sfnwmrda"
    assert taken(variant="unfiltered") == "snwmrda"
    (tmp_path / "snwmrda0010042_session_1_rest_1_cc200_TCs.1D").unlink()
    source = ParcelTables(tmp_path, atlas=atlas, tr_s=2.0, variant="unfiltered")
    assert [entry.source_name[:8] for entry in source.entries()] == ["sfnwmrda"]
    assert [finding.code for finding in source.findings if "parcel" not in finding.code] == ["only_filtered"]
    write_table(tmp_path / "sfnwmrda10042_session_1_rest_1_cc200_TCs.1D", courses())
    with pytest.raises(DuplicateScanError):
        ParcelTables(tmp_path, atlas=atlas, tr_s=2.0).entries()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "a header with a number"),
        (b"a\tb\n1\t2\n", "a header with a number"),
        (b"Mean_1\tMean_1\n1\t2\n", "the same parcel twice"),
        (b"Mean_1\tMean_2\n", "a row a frame"),
        (b"Mean_1\tMean_2\n1\tx\n", "others in row 1"),
        (b"Mean_1\tMean_2\n1\t2\n3\n", "others in row 2"),
        (b"\xff\xfe\x00", "text in UTF-8"),
    ],
)
def test_tables_that_hold_no_series_are_refused(text, said):
    with pytest.raises(ParcelSeriesError, match=said):
        read_series("7.tsv", text)


def test_ids_and_values_are_read_from_their_columns():
    for text in ("#3 #11\n1.5 2\n-1e-3 4\n", "frame,3,ROI_11\n0,1.5,2\n1,-1e-3,4\n"):
        parcel_ids, series = read_series("7.csv", text.encode())
        assert parcel_ids == (3, 11)
        np.testing.assert_array_equal(series, np.float32([[1.5, 2], [-1e-3, 4]]))
    marked = read_series("7.csv", b"\xef\xbb\xbf3,11\n1.5,2\n")
    assert marked[0] == (3, 11), "a byte order mark hides no parcel"
    assert np.isnan(read_series("7.csv", b"1,2\n,5\nnan,6\n")[1][:, 0]).all()


@pytest.mark.parametrize("sidecar", [None, "{}", "not json", '{"RepetitionTime": 2000}'])
def test_series_without_a_repetition_time_are_refused(atlas, tmp_path, sidecar):
    write_table(tmp_path / "7.tsv", courses())
    if sidecar is not None:
        (tmp_path / "7.json").write_text(sidecar)
    with pytest.raises(ParcelSeriesError, match=r"time of at most 10 s|RepetitionTime in seconds"):
        ParcelTables(tmp_path, atlas=atlas).entries()


def test_columns_counted_from_zero_are_refused(atlas, tmp_path):
    path = write_table(tmp_path / "7.tsv", courses(), header=[str(number) for number in range(len(PARCELS))])
    with pytest.raises(ParcelSeriesError, match="from 1, found series of parcel 0"):
        ParcelTables(tmp_path, atlas=atlas, tr_s=2.0).entries()
    strange = [str(1000 + number) for number in range(len(PARCELS))]
    (tmp_path / "8.tsv").write_text(path.read_text())
    write_table(path, courses())
    entries = ParcelTables(tmp_path, atlas=atlas, tr_s=2.0).entries()
    write_table(tmp_path / "8.tsv", courses(), header=strange)
    with pytest.raises(SeriesUnreadableError, match="found 0 of them"):
        entries[1].prepare(SPEC, workspace=tmp_path)


@pytest.mark.real_data
def test_athenas_own_table_is_read(shared_data):
    path = shared_data / "adhd200" / "sfnwmrda0010001_session_1_rest_1_cc200_TCs.sample.1D"
    parcel_ids, series = read_series(path.name, path.read_bytes())
    assert len(parcel_ids) == 190
    assert parcel_ids[:4] == (1, 3, 4, 6)
    np.testing.assert_allclose(series[0, :3], [0.062468, 0.025903, -0.044303])


@pytest.mark.real_data
def test_real_series_painted_equal_a_painted_volume(shared_data):
    archive = shared_data / "abide" / "abide_ho_train.npz"
    atlas = shared_data / "abide" / "ho111_athena_grid.nii.gz"
    source = ParcelArchive(archive, atlas=atlas)
    entries = source.entries()
    assert len(entries) == 626
    assert [finding.message for finding in source.findings] == [
        "parcel 3455 has fewer than 5 voxels (1): it was left out"
    ]
    people = source.phenotypes().subjects
    assert [sum(person.label == label for person in people) for label in (0, 1)] == [337, 289]
    assert len({person.site for person in people}) == 15
    image = nib.load(atlas)
    values = np.asarray(image.dataobj)
    with np.load(archive) as z:
        fields = {key: z[key] for key in z.files}
    offsets = np.r_[0, np.cumsum(fields["length"])]
    other = fields["roi_id"] != 3455
    without_signal = (fields["roi_sd"][:, other] < 1e-6).any(axis=1)
    for number in [int(without_signal.argmax())]:
        scores = fields["ts_q"][offsets[number] : offsets[number + 1]].astype("f4") / fields["scale"]
        series = scores * fields["roi_sd"][number] + fields["roi_mean"][number]
        bold = np.zeros((*values.shape, len(series)), "f4")
        for column, parcel in enumerate(fields["roi_id"]):
            if parcel != 3455:
                bold[values == parcel] = series[:, column]
        tr_s = float(fields["tr_nominal"][number])
        expected, _ = reference(BoldScan.from_array(bold, affine=image.affine, tr_s=tr_s))
        prepared = entries[number].prepare(SPEC, workspace=shared_data)
        np.testing.assert_allclose(prepared.series, expected, atol=1e-4)
