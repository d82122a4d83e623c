from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from tests.training.evidence.report.conftest import N_DRAWS
from training.evidence.report.inner_choice import choose_on_inner_parts
from training.evidence.report.page import render
from training.evidence.report.rows import figure_rows


def choose(runs):
    return choose_on_inner_parts(runs, n_draws=N_DRAWS)


def changed(report, **data):
    return replace(report, data=replace(report.data, **data))


def inner(report, scale):
    """The report with inner logits of another size, fold by fold."""
    rows = [replace(row, logit=scale[row.fold] * row.logit) for row in report.data.inner_predictions]
    return changed(report, inner_predictions=tuple(rows))


@pytest.fixture
def pair(reported):
    """Two runs of the same people; the second is sure and wrong on the inner parts of folds 1 and 3."""
    first = reported(n=200, auc=0.8)
    logits = {row.subject_id: -row.logit for row in first.data.predictions}
    predictions = tuple(
        replace(row, logit=logits[row.subject_id], probability=1 - row.probability)
        for row in first.data.predictions
    )
    other = changed(first, predictions=predictions)
    return {"first": inner(first, [0, 1, 0, 1, 0]), "other": inner(other, [1, -3, 1, -3, 1])}


def test_each_fold_takes_the_run_with_the_lowest_loss_on_its_inner_part(pair):
    choice = choose(pair)
    assert choice.part == "stopping"
    assert choice.of_fold == {"0": "other", "1": "first", "2": "other", "3": "first", "4": "other"}
    data = pair["first"].data
    taken = [
        pair[choice.of_fold[str(row.fold)]].data.predictions[number].probability
        for number, row in enumerate(data.predictions)
    ]
    assert choice.evaluation.auc.value == pytest.approx(roc_auc_score(data.labels, taken))
    thresholds = np.array([data.outcomes[row.fold].threshold for row in data.predictions])
    assert choice.evaluation.tp == int(((taken > thresholds) & (data.labels == 1)).sum())
    assert choice.sentence == (
        "Chosen in each fold by the lowest loss on its inner stopping part: other in 3 folds and first in "
        "2 folds."
    )


def test_the_loss_is_the_cross_entropy(reported):
    """One run is better in fold 0 by the loss that scikit-learn computes, and by nothing else."""
    report = reported(n=200, auc=0.8)
    label_of = {subject.subject_id: subject.label for subject in report.data.subjects}
    rows = [row for row in report.data.inner_predictions if (row.fold, row.part) == (0, "stopping")]
    labels = [label_of[row.subject_id] for row in rows]

    def loss(scale):
        return log_loss(labels, [1 / (1 + np.exp(-scale * row.logit)) for row in rows])

    scales = [0.2, 0.6, 1.5, 4.0]
    runs = {str(scale): inner(report, [scale, 1, 1, 1, 1]) for scale in scales}
    assert choose(runs).of_fold["0"] == str(min(scales, key=loss))


def test_what_is_reported_has_no_say(pair):
    """Other answers for the reported subjects, and other labels of theirs, leave the choice as it was."""
    before = choose(pair).of_fold
    turned = {
        name: changed(
            report,
            predictions=tuple(
                replace(row, probability=1 - row.probability) for row in report.data.predictions
            ),
        )
        for name, report in pair.items()
    }
    assert choose(turned).of_fold == before


def test_the_calibration_part_decides_where_a_run_watches_nobody(pair):
    report = pair["other"]
    rows = tuple(row for row in report.data.inner_predictions if row.part != "stopping")
    assert choose({**pair, "other": changed(report, inner_predictions=rows)}).part == "calibration"


def test_there_is_no_choice_where_the_runs_do_not_stand_on_the_same_ground(reported):
    first = reported(n=200)
    assert choose({"only": first}) is None
    assert choose({"first": first, "others": reported(n=200, seed=1)}) is None
    assert choose({"first": first, "unfinished": changed(first, missing=("4",))}) is None
    fewer = [row for row in first.data.inner_predictions if row.part == "calibration"][1:]
    assert (
        choose({"first": first, "another inner part": changed(first, inner_predictions=tuple(fewer))}) is None
    )
    paper = reported(n=200, protocol="paper")
    assert choose({"first": paper, "other": paper}) is None


def test_page_and_table_say_what_was_chosen(pair):
    named = {name: changed(report, name=name) for name, report in pair.items()}
    html = render(list(named.values()))
    assert "chosen in each fold" in html
    assert "fold by fold on inner subjects, the runs reach" in html
    rows = [row for row in figure_rows(list(named.values())) if row.run.startswith("chosen")]
    (area,) = [row.value for row in rows if row.metric == "auc"]
    assert area == round(choose(named).evaluation.auc.value, 4)
    assert "chosen in each fold" not in render([named["first"]])
