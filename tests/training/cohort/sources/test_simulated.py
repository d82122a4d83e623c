import json
from dataclasses import replace

import numpy as np
import pytest

from imaging import PreprocessingSpec, brain_cube, preprocess
from training.cohort.ingest import ingest
from training.cohort.sources.simulated import SimulatedSource
from training.simulation.simulator import (
    SimulationSettingError,
    simulate_cohort,
    simulate_subject,
    subject_profile,
)
from training.simulation_marker import MARKER_NAME

SPEC = PreprocessingSpec(grid_size=16)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    source = SimulatedSource(n_subjects=3, seed=5, effect_size=0.5)
    out = tmp_path_factory.mktemp("simulated") / "cohort"
    return ingest(source, source.phenotypes(), out, spec=SPEC, processes=0)


def test_people_are_drawn_without_files_as_the_simulator_draws_them(report):
    store = report.store
    assert store.simulated
    profiles = [subject_profile(index, seed=5) for index in range(3)]
    assert [(s.subject_id, s.site, s.label) for s in store.subjects] == [
        (p.scan_dir_id, p.site.name, p.label) for p in profiles
    ]
    network_input = preprocess(simulate_subject(1, seed=5, effect_size=0.5), SPEC)
    expected = network_input.frames[:, brain_cube(16).mask]
    stored = store.series(store.scans[1])
    np.testing.assert_allclose(stored, expected, rtol=2e-3, atol=1e-5)
    scan = store.scans[1]
    assert (scan.variant, scan.tr_s, scan.n_frames) == (
        "simulated",
        profiles[1].site.tr_s,
        profiles[1].n_frames,
    )
    assert scan.dvars_mean == pytest.approx(network_input.quality.dvars_mean)
    assert scan.quality["temporal_sd"] == pytest.approx(network_input.quality.temporal_sd)
    # The grid that ADHD-200's preprocessed release lies on.
    assert (scan.shape, scan.zooms_mm) == ((49, 58, 47), (4.0, 4.0, 4.0))
    assert store.record.source["effect_size"] == 0.5


def test_maps_are_those_of_the_scan_before_it_is_filtered(report):
    scan = report.store.scans[1]
    expected = preprocess(simulate_subject(1, seed=5, effect_size=0.5), SPEC, maps=True).maps
    np.testing.assert_array_equal(report.store.maps(scan), expected)
    assert (expected[0] > 0).mean() > 0.99
    report.store.verify()


def test_other_settings_are_other_scans(report):
    entry = SimulatedSource(n_subjects=1, seed=5, effect_size=0.5).entries()[0]
    assert entry.stamp() == report.store.scans_of(entry.subject_id)[0].source_stamp
    for change in ({"seed": 6}, {"effect_size": 0.0}, {"site_effect": 1.0}, {"index": 1}):
        assert replace(entry, **change).stamp() != entry.stamp()


@pytest.mark.parametrize("setting", [{"n_subjects": 0}, {"effect_size": -1.0}, {"site_effect": float("nan")}])
def test_numbers_without_a_meaning_are_refused(setting):
    with pytest.raises(SimulationSettingError):
        SimulatedSource(**({"n_subjects": 1, "seed": 0} | setting))


def test_a_simulated_folder_says_what_it_is(tmp_path):
    simulate_cohort(tmp_path / "folder", n_subjects=1, seed=4, effect_size=0.0, site_effect=2.0)
    assert json.loads((tmp_path / "folder" / MARKER_NAME).read_text()) == {
        "n_subjects": 1,
        "seed": 4,
        "effect_size": 0.0,
        "site_effect": 2.0,
    }
