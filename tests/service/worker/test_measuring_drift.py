"""Drift by the real way: files are ingested, measured and answered as workers do, and then compared."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from imaging import BoldScan
from service import jobs
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import DriftAlarmRow, PredictionRow, ScanMeasurementRow, ScanRow
from service.drift.asking import reference_in_use, request_reference
from service.drift.evaluating import evaluate_version
from service.drift.verdict import standing_of
from service.identity.actor import program
from service.registry.registering import register
from service.settings import Settings
from service.worker.cohorts import register_cohort
from service.worker.prediction import run_prediction
from service.worker.reference import run_reference
from service.worker.runtime import Runtime, open_runtime
from tests.service.answering import let_answer
from tests.service.worker.tiny_model import save_tiny_model
from tests.training.validation.tiny_cohorts import SPEC
from training.cohort.ingest import ingest
from training.cohort.phenotypes.table import read_phenotypes
from training.cohort.sources.athena import AthenaSource
from training.simulation.phenotypes import phenotype_table
from training.simulation.scan_files import write_scan
from training.simulation.simulator import simulate_subject, subject_profile

ACTOR = program("test")
SEED = 77
PEOPLE = 20
OTHERS = range(PEOPLE, PEOPLE + 10)
FRAMES = 32


def faster_and_noisier(scan: BoldScan) -> BoldScan:
    """Add noise as strong as each voxel's own signal; no site of the simulator has 0.7 of another's TR."""
    bold = next(scan.blocks(frames_per_block=FRAMES))
    noise = np.random.default_rng(0).standard_normal(bold.shape, dtype=np.float32)
    noisy = bold + bold.std(axis=-1, keepdims=True) * noise
    return BoldScan.from_array(noisy, affine=scan.affine, tr_s=0.7 * scan.tr_s)


@pytest.fixture(scope="module")
def people() -> list[BoldScan]:
    """Draw everybody once, and keep the first frames of each scan."""
    drawn = []
    for index in range(OTHERS.stop):
        scan = simulate_subject(index, seed=SEED)
        bold = next(scan.blocks(frames_per_block=FRAMES))
        drawn.append(BoldScan.from_array(bold, affine=scan.affine, tr_s=scan.tr_s))
    return drawn


def write(scan: BoldScan, path: Path) -> None:
    write_scan(path, next(scan.blocks(frames_per_block=FRAMES)), affine=scan.affine, tr_s=scan.tr_s)


@pytest.fixture
def runtime(tmp_path: Path, database_url: str) -> Iterator[Runtime]:
    opened = open_runtime(Settings(data_dir=tmp_path / "data", database_url=database_url, backend="torch"))
    yield opened
    opened.enclosure.close()


def make_reference(runtime: Runtime, people: list[BoldScan], folder: Path) -> str:
    """Ingest the first people's files, and let a tiny model that answers measure them."""
    profiles = [subject_profile(index, seed=SEED) for index in range(PEOPLE)]
    for profile in profiles:
        path = folder / "release" / profile.file_path
        path.parent.mkdir(parents=True)
        write(people[profile.index], path)
    table = folder / "table.tsv"
    table.write_text(phenotype_table(profile.phenotype for profile in profiles))
    store = ingest(
        AthenaSource(folder / "release"), read_phenotypes(table), folder / "cohort", spec=SPEC, processes=0
    ).store
    with runtime.sessions.begin() as session:
        version = register(session, runtime.storage, save_tiny_model(folder / "m.safetensors"), actor=ACTOR)
        let_answer(session, version)
        cohort = register_cohort(session, store.folder, actor=ACTOR)
        reference = request_reference(session, version, cohort, selection="all", actor=ACTOR)
    run_reference(runtime, reference.id)
    return version.id


def answer(runtime: Runtime, scans: list[BoldScan], folder: Path, *, site: str) -> None:
    """Upload files from a site and let a worker answer them."""
    for number, one in enumerate(scans):
        path = folder / f"{site}-{number}.nii.gz"
        write(one, path)
        with runtime.storage.receive(max_bytes=1 << 28) as upload:
            upload.write(path.read_bytes())
            runtime.storage.promote(upload, f"scans/{path.name}")
        with runtime.sessions.begin() as session:
            scan = ScanRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                size_bytes=path.stat().st_size,
                display_name=path.name,
                storage_key=f"scans/{path.name}",
                site=site,
            )
            session.add(scan)
            session.flush()
            prediction_id = jobs.enqueue(session, scan_id=scan.id).id
        run_prediction(runtime, prediction_id)
        with runtime.sessions() as session:
            row = session.get_one(PredictionRow, prediction_id)
            assert (row.state, row.error_code) == ("succeeded", None)


def test_scans_of_the_same_population_raise_no_alarm_and_those_measured_otherwise_do(
    runtime: Runtime, people: list[BoldScan], tmp_path: Path
) -> None:
    others = people[OTHERS.start :]
    version_id = make_reference(runtime, people, tmp_path)
    answer(runtime, others, tmp_path, site="ours")
    found = evaluate_version(runtime.sessions, version_id, actor=ACTOR)
    compared = {finding["variable"]: finding for finding in found["findings"]}
    # What a cohort's store and a live scan both know of files as Athena has them: their mean is zero.
    assert set(compared) == {
        "n_frames",
        "duration_s",
        "temporal_sd",
        "dvars_mean",
        "dvars_max",
        "spike_share",
        "template_coverage",
        "in_band_power",
        "embedding_distance",
        "adhd_probability",
        "tr_s",
        "grid",
        "decision",
    }
    assert (compared["grid"]["kind"], compared["grid"]["share"]) == ("49x58x47, 4.00x4.00x4.00 mm", 1.0)
    with runtime.sessions() as session:
        assert standing_of(session, version_id).verdict == "no_alarm"

    answer(runtime, [faster_and_noisier(one) for one in others], tmp_path, site="theirs")
    evaluate_version(runtime.sessions, version_id, actor=ACTOR)
    with runtime.sessions() as session:
        alarms = {alarm.site: alarm for alarm in session.scalars(select(DriftAlarmRow))}
    assert "ours" not in alarms
    differs = {finding["variable"] for finding in alarms["theirs"].findings}
    assert {"tr_s", "duration_s", "in_band_power"} <= differs
    assert not {"n_frames", "grid", "template_coverage"} & differs

    # A file of the reference is measured alike where it is answered.
    answer(runtime, people[:1], tmp_path, site="again")
    with runtime.sessions() as session:
        figures = session.scalars(
            select(ScanMeasurementRow.figures)
            .join(PredictionRow)
            .join(ScanRow)
            .where(ScanRow.site == "again")
        ).one()
        reference = reference_in_use(session, version_id)
    assert reference is not None
    assert reference.sample is not None
    numbers = reference.sample["numbers"]
    assert set(numbers) - set(figures) == {"embedding_distance", "adhd_probability"}
    for name in set(figures) - {"tr_s", "grid"}:
        assert float(f"{figures[name]:.6g}") in numbers[name], name
