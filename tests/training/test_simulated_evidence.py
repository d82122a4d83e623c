"""The simulator with the real system, on few and short scans; benchmarks/simulated_cohorts.py has more.

Every cohort is simulated, ingested, cross-validated with inner parts and reported. Seeds were fixed before
anything was measured; how strong an effect must be for so few people was then tried.
"""

import numpy as np
import pytest

from imaging import PreprocessingSpec
from training.cohort.ingest import ingest
from training.cohort.selecting.selection import select
from training.cohort.sources.simulated import SimulatedSource
from training.evidence.report.writing import PAGE_FILE, write_report
from training.evidence.sites import within_site_auc
from training.fitting.settings import TrainingSettings
from training.validation.cross_validation import train_run

pytestmark = pytest.mark.slow

SPEC = PreprocessingSpec(tr_s=4.0, n_windows=4)
SETTINGS = TrainingSettings(
    network="C",
    width=2,
    folds=2,
    encoder="frozen",
    feature_norm="batch",
    feature_dropout=0.3,
    epochs=15,
    patience=15,
    windows_per_subject=4,
    learning_rate=1e-3,
    schedule="cosine",
    weight_decay=0.01,
    precision="float32",
)
WITH_SHORT_SCANS = ("OHSU",)


def reported(folder, *, seed, n_drawn, sites, effect_size=0.0, site_effect=0.0):
    """Take a cohort of some sites all the way; gives the report and its page."""
    source = SimulatedSource(n_subjects=n_drawn, seed=seed, effect_size=effect_size, site_effect=site_effect)
    source.profiles = [profile for profile in source.profiles if profile.site.name in sites]
    store = ingest(source, source.phenotypes(), folder / "cohort", spec=SPEC, processes=0).store
    run = train_run(
        store,
        select(store.subjects),
        settings=SETTINGS.model_copy(update={"seed": seed}),
        out=folder / f"run-{seed}",
        device="cpu",
        threads=1,
    )
    written = write_report([run], folder / "report")
    return written.reports[0], (folder / "report" / PAGE_FILE).read_text()


def test_with_nothing_planted_the_interval_of_the_auc_holds_a_half(tmp_path):
    """Over the pairs of two cohorts, each ranked by itself: one small cohort alone says little."""
    reports = [
        reported(tmp_path / str(seed), seed=seed, n_drawn=280, sites=WITH_SHORT_SCANS)[0] for seed in (11, 12)
    ]
    found = within_site_auc(
        np.concatenate([report.data.labels for report in reports]),
        np.concatenate([report.data.probabilities for report in reports]),
        [report.data.name for report in reports for _ in range(report.n)],
        seed=0,
    )
    assert found.low <= 0.5 <= found.high


def test_a_strong_effect_is_found(tmp_path):
    report, _ = reported(tmp_path, seed=21, n_drawn=280, sites=WITH_SHORT_SCANS, effect_size=5.0)
    assert report.overall.auc.value >= 0.95


def test_the_report_says_in_words_that_site_explains_a_result(tmp_path):
    """Half of OHSU are cases, nobody of WashU; the scans know nothing but their site."""
    report, page = reported(tmp_path, seed=31, n_drawn=240, sites=("OHSU", "WashU"), site_effect=2.0)
    site = report.site
    assert report.overall.auc.low > 0.5
    assert site.within_site.low <= 0.5 <= site.within_site.high
    assert site.finding == "site_explains"
    assert "Site explains the result: the site alone predicts the diagnosis" in page
    assert "The site explains it" in page
