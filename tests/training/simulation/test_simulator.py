import csv
import gzip
import resource
from collections import Counter

import nibabel as nib
import numpy as np
import pytest
from scipy import signal
from threadpoolctl import threadpool_info, threadpool_limits

from imaging import check_scan
from imaging.template import template_brain
from training.new_folder import OutputFolderNotEmptyError
from training.simulation import simulator
from training.simulation.brain_networks import NETWORKS, NODE_MM, NODE_NETWORK
from training.simulation.phenotypes import COLUMNS, TABLE_NAME
from training.simulation.simulator import (
    SimulationNotWrittenError,
    SimulationSettingError,
    simulate_cohort,
    simulate_subject,
    subject_profile,
)
from training.simulation.sites import SITES


def samples(scan):
    return np.concatenate(list(scan.blocks()), axis=3)


def of_brain(scan):
    """Time courses of the template's brain, LAS like the scan: (N, T)."""
    return samples(scan)[template_brain().mask[::-1]]


def node_courses(scan):
    """Mean course of the voxels within 8 mm of each published node: (36, T)."""
    voxels = np.argwhere(template_brain().mask[::-1])
    mm = voxels @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    courses = of_brain(scan)
    return np.array([courses[np.linalg.norm(mm - node, axis=1) < 8].mean(axis=0) for node in NODE_MM])


@pytest.fixture(scope="module")
def nyu():
    """Subject 0 is from NYU: TR 2, 172 frames."""
    return simulate_subject(0, seed=5, effect_size=0.0)


def test_a_scan_has_the_athena_geometry(nyu):
    assert nyu.shape == (49, 58, 47, 172)
    assert nyu.tr_s == 2.0
    assert np.array_equal(nyu.affine, [[-4, 0, 0, 96], [0, 4, 0, -132], [0, 0, 4, -70], [0, 0, 0, 1]])
    assert samples(nyu).dtype == np.float32


def test_time_courses_have_the_statistics_of_athenas_filtered_files(nyu):
    """Athena, filtered: means about 0, 92 % of the power in 0.009-0.08 Hz, lag-1 correlation .81 at TR 2."""
    courses = of_brain(nyu)
    assert np.abs(courses.mean(axis=1)).max() < 1e-3 * courses.std()
    frequency_hz, power = signal.periodogram(courses, fs=0.5, axis=1)
    in_band = (frequency_hz >= 0.009) & (frequency_hz <= 0.08)
    assert power[:, in_band].sum() / power.sum() == pytest.approx(0.92, abs=0.02)
    lag_1 = (courses[:, 1:] * courses[:, :-1]).sum() / (courses**2).sum()
    assert lag_1 == pytest.approx(0.81, abs=0.03)


def test_grey_matter_varies_more_than_white_and_smoothing_leaks_out_of_the_brain(nyu):
    deviation = samples(nyu).std(axis=3)
    template = template_brain()
    inside, grey = template.mask[::-1], template.grey_matter[::-1]
    assert deviation[inside & (grey > 0.6)].mean() > 1.4 * deviation[inside & (grey < 0.2)].mean()
    outside = deviation[~inside]
    assert 0.02 < (outside > 0).mean() < 0.5
    assert outside.max() < deviation[inside].max()


def test_networks_hold_together_and_the_default_mode_opposes_attention():
    correlations = np.mean(
        [np.corrcoef(node_courses(simulate_subject(i, seed=8, effect_size=0.0))) for i in range(4)], axis=0
    )
    same = NODE_NETWORK[:, None] == NODE_NETWORK
    within = correlations[same & ~np.eye(len(NODE_MM), dtype=bool)].mean()
    assert within > correlations[~same].mean() + 0.25
    default, attention = (NETWORKS.index(n) == NODE_NETWORK for n in ("default_mode", "dorsal_attention"))
    assert correlations[np.ix_(default, attention)].mean() < -0.1


def test_effect_size_zero_makes_a_scan_that_does_not_know_the_diagnosis(monkeypatch):
    monkeypatch.setattr(simulator, "site_and_label", lambda _index: (SITES[0], 0))
    control = samples(simulate_subject(3, seed=1, effect_size=0.0))
    planted_control = samples(simulate_subject(3, seed=1, effect_size=2.0))
    monkeypatch.setattr(simulator, "site_and_label", lambda _index: (SITES[0], 1))
    adhd = samples(simulate_subject(3, seed=1, effect_size=0.0))
    planted_adhd = samples(simulate_subject(3, seed=1, effect_size=2.0))
    assert np.array_equal(control, adhd)
    assert np.array_equal(control, planted_control), "controls are the same at every effect size"
    assert not np.array_equal(control, planted_adhd)


def test_the_effect_lies_in_the_named_networks_and_not_in_the_overall_variance(monkeypatch):
    def variances(label):
        monkeypatch.setattr(simulator, "site_and_label", lambda _index: (SITES[3], label))
        scans = [simulate_subject(i, seed=2, effect_size=1.0) for i in range(3)]
        by_node = np.mean([node_courses(scan).std(axis=1) for scan in scans], axis=0)
        return {n: by_node[i == NODE_NETWORK].mean() for i, n in enumerate(NETWORKS)}, np.mean(
            [of_brain(scan).std() for scan in scans]
        )

    (control, control_overall), (adhd, adhd_overall) = variances(0), variances(1)
    ratio = {network: adhd[network] / control[network] for network in NETWORKS}
    assert ratio["default_mode"] < 0.8
    assert ratio["executive_control"] > 1.05
    assert ratio["salience"] > 1.05
    assert ratio["visual"] == pytest.approx(1, abs=0.1)
    assert adhd_overall / control_overall == pytest.approx(1, abs=0.05)


def test_a_site_effect_changes_every_subject_of_the_site_alike(monkeypatch):
    plain = of_brain(simulate_subject(0, seed=4, effect_size=0.0)).std(axis=1)
    shifted = of_brain(simulate_subject(0, seed=4, effect_size=0.0, site_effect=1.0)).std(axis=1)
    gain = shifted / plain
    assert gain.std() > 0.1
    other_plain = of_brain(simulate_subject(2, seed=4, effect_size=0.0)).std(axis=1)
    other_gain = (
        of_brain(simulate_subject(2, seed=4, effect_size=0.0, site_effect=1.0)).std(axis=1) / other_plain
    )
    assert subject_profile(0, seed=4).site == subject_profile(2, seed=4).site
    assert np.corrcoef(gain, other_gain)[0, 1] > 0.95


def test_a_subject_depends_on_the_seed_and_the_index_only():
    again = samples(simulate_subject(1, seed=6))
    assert np.array_equal(again, samples(simulate_subject(1, seed=6)))
    assert not np.array_equal(again, samples(simulate_subject(1, seed=7)))
    assert subject_profile(1, seed=6) == subject_profile(1, seed=6)


@pytest.mark.parametrize("n_subjects", [40, 200, 776])
def test_any_beginning_of_a_cohort_keeps_the_releases_proportions(n_subjects):
    """The counts are those of ADHD-200's training release (776 subjects)."""
    counted = Counter((p.site.name, p.label) for p in (subject_profile(i, seed=0) for i in range(n_subjects)))
    for site in SITES:
        for label, in_release in enumerate((site.n_control, site.n_adhd)):
            assert abs(counted[site.name, label] - n_subjects * in_release / 776) < 1.5
    assert sum(site.n_control + site.n_adhd for site in SITES) == 776


def test_a_cohort_on_disk_is_shaped_like_adhd_200(tmp_path):
    seen = []
    profiles = simulate_cohort(
        tmp_path / "cohort", n_subjects=4, seed=3, progress=lambda stage, done: seen.append((stage, done))
    )
    assert seen == [("simulating", 0.25), ("simulating", 0.5), ("simulating", 0.75), ("simulating", 1.0)]
    with (tmp_path / "cohort" / TABLE_NAME).open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [int(row["DX"]) > 0 for row in rows] == [bool(p.label) for p in profiles]
    assert all(None not in row.values() for row in rows)
    files = sorted(p.relative_to(tmp_path / "cohort").as_posix() for p in tmp_path.rglob("*.nii.gz"))
    ids = {row["ScanDir ID"]: p.site.name for row, p in zip(rows, profiles, strict=True)}
    assert files == sorted(
        f"{site}/{i.zfill(7)}/sfnwmrda{i.zfill(7)}_session_1_rest_1.nii.gz" for i, site in ids.items()
    )
    assert any(len(i) == 5 for i in ids), "some IDs are zero-padded in file names only"


def test_the_same_cohort_is_the_same_bytes_and_reads_back_as_simulated(tmp_path):
    for name in ("one", "other"):
        simulate_cohort(tmp_path / name, n_subjects=1, seed=3)
    (one,), (other,) = ((tmp_path / n).rglob("*.nii.gz") for n in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    image = nib.load(one)
    assert image.get_data_dtype() == np.float32
    assert image.header.get_zooms() == (4.0, 4.0, 4.0, 2.0)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert image.header["descrip"].item() == b"RestNet simulated scan"
    kept, simulated = image.get_fdata(dtype=np.float32), samples(simulate_subject(0, seed=3))
    np.testing.assert_allclose(kept, simulated, rtol=2**-12)
    assert len(gzip.decompress(one.read_bytes())) == 352 + simulated.nbytes


def test_a_simulated_scan_is_accepted(tmp_path):
    """No doubt but about its sides: the template that it is made of is symmetric."""
    simulate_cohort(tmp_path / "cohort", n_subjects=1, seed=9)
    (path,) = tmp_path.rglob("*.nii.gz")
    report = check_scan(path)
    assert report.space == "template"
    known, *others = [warning.code for warning in report.warnings]
    assert known == "simulated_scan"
    assert set(others) <= {"left_right_unverified", "left_right_suspect"}


@pytest.mark.parametrize("n_threads", [2, 3])
def test_the_number_of_threads_changes_no_bit(n_threads):
    with threadpool_limits(1, user_api="blas"):
        alone = samples(simulate_subject(1, seed=5))
    with threadpool_limits(n_threads, user_api="blas"):
        together = samples(simulate_subject(1, seed=5))
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        assert {pool["num_threads"] for pool in pools} == {n_threads}, "nothing was tried"
    assert np.array_equal(alone.view(np.uint32), together.view(np.uint32))


@pytest.mark.parametrize("is_new", [True, False])
def test_stopping_halfway_leaves_the_folder_as_it_was(tmp_path, is_new):
    out = tmp_path / "cohort"
    if not is_new:
        out.mkdir()
    seen = []

    def stop(stage, done):
        seen.extend(path.suffix for path in out.rglob("*") if path.is_file())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_cohort(out, n_subjects=3, seed=3, progress=stop)
    assert sorted(seen) == [".gz", ".json", ".tsv"]
    assert list(tmp_path.rglob("*")) == ([] if is_new else [out])


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputFolderNotEmptyError) as caught:
        simulate_cohort(tmp_path, n_subjects=1)
    assert caught.value.code == "output_folder_not_empty"
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_disk_that_fills_leaves_nothing_that_could_be_taken_for_a_cohort(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file that may not grow further fails as one on a full disk does: the table fits, a scan does not.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(
            SimulationNotWrittenError, match="scans of 2 subjects, found after 0: "
        ) as refused:
            simulate_cohort(tmp_path / "sim", n_subjects=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.details()["name"] == "sim"
    assert not (tmp_path / "sim").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_subjects", 0),
        ("n_subjects", -3),
        ("n_subjects", 10_000),
        ("effect_size", -0.1),
        ("effect_size", float("nan")),
        ("site_effect", float("inf")),
        ("seed", -1),
    ],
)
def test_numbers_without_a_meaning_are_refused_before_anything_is_written(tmp_path, setting, value):
    with pytest.raises(SimulationSettingError, match=r"expected .* found") as caught:
        simulate_cohort(tmp_path / "cohort", **({"n_subjects": 1} | {setting: value}))
    assert caught.value.code == "simulation_setting_invalid"
    assert not (tmp_path / "cohort").exists()


@pytest.mark.real_data
def test_the_table_has_the_real_tables_columns_and_values_of_their_kind(shared_data):
    with (shared_data / "adhd200" / TABLE_NAME).open(newline="") as file:
        real = list(csv.DictReader(file, delimiter="\t"))
    assert tuple(real[0]) == COLUMNS
    rows = [subject_profile(i, seed=0).phenotype for i in range(300)]
    for column in (
        "Site",
        "Gender",
        "DX",
        "ADHD Measure",
        "IQ Measure",
        "Med Status",
        "QC_Athena",
        "QC_NIAK",
    ):
        assert {row[column] for row in rows} <= {row[column] for row in real}, column
    for column in ("ADHD Index", "Verbal IQ", "Full4 IQ"):
        assert {"-999", "N/A"} <= {row[column] for row in rows}, column
    assert not {row["ScanDir ID"] for row in rows} & {row["ScanDir ID"] for row in real}
