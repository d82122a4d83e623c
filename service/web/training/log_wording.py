"""What the lines of a run's log say, in words."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from service.web.language import _, marked
from service.web.refusal_wording import told

LINES: Mapping[str, str] = MappingProxyType(
    {
        "queued": marked("Asked for: %(network)s with %(rnn)s, seed %(seed)s, on %(cohort)s."),
        "meets_evaluation_set": marked(
            "%(cohort)s is the cohort of the evaluation set in use, %(set)s: the gate stops a model that was "
            "trained on people of the set."
        ),
        "nobody_agreed": marked(
            "Reviewed scans were asked for: %(n_people)s people agree to it now, so none is added unless "
            "somebody does before it is planned."
        ),
        "planned": marked(
            "Planned: %(n_subjects)s subjects, %(n_cases)s of them cases, %(n_folds)s folds, "
            "%(n_parameters)s parameters."
        ),
        "reviewed_added": marked(
            "Reviewed scans: %(n_people)s people are added to every fold's training, %(n_cases)s of them "
            "cases; scans left out: %(n_left_out)s."
        ),
        "fold_begun": marked("Training begins."),
        "fold_resumed": marked("Training goes on after epoch %(epoch)s."),
        "fold_taken_over": marked("Training goes on after epoch %(epoch)s: its worker was lost."),
        "fold_begun_again": marked("Training begins again: its worker was lost before a whole epoch."),
        "epoch": marked("Epoch %(epoch)s: training loss %(training_loss)s, %(seconds)s s."),
        "epoch_watched": marked(
            "Epoch %(epoch)s: training loss %(training_loss)s, watched loss %(stopping_loss)s, "
            "AUC %(stopping_auc)s, %(seconds)s s."
        ),
        "fold_finished": marked("Finished after %(epochs_run)s epochs; the best was epoch %(best_epoch)s."),
        "fold_failed": marked("Failed: %(message)s [%(code)s]"),
        "failed": marked("The run failed: %(message)s [%(code)s]"),
        "cancelled": marked("Cancelled."),
        "resumed": marked("Resumed; folds left: %(n_folds)s."),
        "finished": marked("All folds are finished: AUC %(auc)s, balanced accuracy %(balanced_accuracy)s."),
        "registered": marked("The ensemble is registered as a challenger."),
    }
)


def log_line(event: str, *, fold: int | None, details: Mapping[str, Any]) -> str:
    """Say a line in the language of the request.

    Parameters
    ----------
    event : str
        As it was noted; one that this version does not know is said as it is.
    fold : int or None
        From 0; people count from 1.
    details : mapping
    """
    key = "epoch_watched" if event == "epoch" and details.get("stopping_loss") is not None else event
    words = LINES.get(key)
    figures = {name: _written(name, value) for name, value in details.items()}
    if "code" in figures:
        figures["message"] = told(figures["code"], figures["message"]).said
    said = event if words is None else _(words, **figures)
    return said if fold is None else _("Fold %(fold)s. %(said)s", fold=fold + 1, said=said)


def _written(name: str, value: Any) -> str:
    if value is None:
        return _("none")
    if isinstance(value, float):
        return f"{value:.1f}" if name == "seconds" else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
