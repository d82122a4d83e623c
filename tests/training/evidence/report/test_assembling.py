import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

from model.decision import conformal_set
from training.evidence.baselines import baseline_probabilities
from training.evidence.metrics import ClassMissingError


def test_the_figures_are_scikit_learns_with_each_subject_decided_by_its_own_fold(reported):
    report = reported(n=200)
    data, overall = report.data, report.overall
    called = np.array([prediction.called == "case" for prediction in data.predictions])
    (tn, fp), (fn, tp) = confusion_matrix(data.labels, called)
    assert (overall.tp, overall.fn, overall.fp, overall.tn) == (tp, fn, fp, tn)
    assert overall.auc.value == pytest.approx(roc_auc_score(data.labels, data.probabilities))
    assert overall.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(data.labels, called))
    # The thresholds of the folds differ enough for one threshold to give another table.
    assert not np.array_equal(called, data.probabilities > 0.5)


def test_the_auc_that_was_planted_lies_in_the_interval(reported):
    assert reported(n=200).overall.auc.low < 0.7 < reported(n=200).overall.auc.high


def test_groups_are_parts_of_the_whole(reported):
    report = reported(n=200)
    for groups in (report.folds, report.sites, report.sexes, report.age_bands):
        assert sum(group.n for group in groups) == report.n
        assert sum(group.tp for group in groups) == report.overall.tp
    assert [fold.name for fold in report.folds] == ["0", "1", "2", "3", "4"]
    assert {site.name for site in report.sites} == {"NYU", "Peking", "NeuroIMAGE"}


def test_a_planted_phenotype_beats_a_weak_network(reported):
    report = reported(n=200, auc=0.55, phenotype_effect=1.2)
    phenotype = next(baseline for baseline in report.baselines if baseline.name == "phenotype")
    # Ages so many deviations apart are told apart so well; site, sex and IQ say nothing.
    assert phenotype.evaluation.auc.value == pytest.approx(norm.cdf(1.2 / np.sqrt(2)), abs=0.07)
    assert phenotype.difference.high < 0
    expected = report.overall.auc.value - phenotype.evaluation.auc.value
    assert phenotype.difference.value == pytest.approx(expected)


def test_coverage_counts_the_sets_of_each_fold(reported):
    report = reported(n=200)
    held = size = 0
    for prediction, label in zip(report.data.predictions, report.data.labels, strict=True):
        quantiles = report.data.outcomes[prediction.fold].conformal_quantiles
        classes = conformal_set(prediction.probability, quantiles)
        held += ("control", "adhd")[label] in classes
        size += len(classes)
    assert report.coverage.overall.hits == held
    assert report.coverage.n_single + 2 * report.coverage.n_both == size
    assert report.coverage_level == 0.9
    named = sum(prediction.decision != "uncertain" for prediction in report.data.predictions)
    assert report.coverage.n_single == named


def test_the_protocol_of_the_paper_has_neither_sets_nor_a_stack(reported):
    report = reported(n=80, protocol="paper")
    assert report.coverage is None
    assert report.coverage_level is None
    assert report.gain.gain is None
    assert "paper" in report.gain.reason


def test_an_unfinished_run_is_reported_with_baselines_fitted_on_every_other_fold(reported):
    whole, part = reported(n=200), reported(n=200, unfinished=(4,))
    ids = {subject.subject_id for subject in part.data.reported_subjects}
    assert ids == {s.subject_id for s in whole.data.subjects if s.fold != 4}
    site = {baseline.name: baseline for baseline in part.baselines}["site"]
    of_all = baseline_probabilities("site", whole.data.subjects)
    of_these = of_all[[subject.subject_id in ids for subject in whole.data.subjects]]
    assert site.evaluation.auc.value == pytest.approx(roc_auc_score(part.data.labels, of_these))


def test_people_of_one_class_cannot_be_reported(reported):
    with pytest.raises(ClassMissingError):
        reported(n=40, site_cases={"NYU": 0.0, "Peking": 0.0, "NeuroIMAGE": 0.0})
