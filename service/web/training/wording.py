"""What the pages say of runs and folds: where they stand, what may be chosen, how long it will take."""

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType

from service.api.training_payloads import FoldResponse, TrainingRunBase, WaitingResponse
from service.db.rows import RunState
from service.methods import NETWORK
from service.training_request import TrainingRequest
from service.web.language import _, marked
from service.web.methods import title_of

STATES: Mapping[str, str] = MappingProxyType(
    {
        "queued": marked("Waiting"),
        "planning": marked("Being planned"),
        "training": marked("In training"),
        "finishing": marked("Being put together"),
        "succeeded": marked("Finished"),
        "failed": marked("Failed"),
        "cancelled": marked("Cancelled"),
    }
)
LIVE = frozenset({"queued", "planning", "training", "finishing"})
COHORT_STATES: Mapping[str, str] = MappingProxyType(
    {
        "present": marked("as registered"),
        "changed": marked("changed since it was registered"),
        "missing": marked("not found"),
    }
)
NETWORKS = ("A", "B", "C", "D")
RNNS: Mapping[str, str] = MappingProxyType({"lstm": "LSTM", "gru": "GRU"})
SELECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "": marked("training release, else everybody"),
        "all": marked("everybody with a diagnosis"),
        "train": marked("the official training release"),
        "seed430": marked("a draw like the published 430"),
    }
)
PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        "nested": marked("nested: early stop on an inner part"),
        "paper": marked("paper: early stop on the training loss"),
    }
)
SPLITS: Mapping[str, str] = MappingProxyType(
    {
        "stratified": marked("folds of equal make-up"),
        "leave_site_out": marked("one fold for each institution"),
    }
)
DEVICES: Mapping[str, str] = MappingProxyType(
    {"auto": marked("a GPU where there is one"), "cpu": marked("processor"), "cuda": marked("GPU")}
)
ENCODERS: Mapping[str, str] = MappingProxyType(
    {"trained": marked("trained"), "frozen": marked("frozen: quick, only the recurrent layer is fitted")}
)

SCHEDULES: Mapping[str, str] = MappingProxyType(
    {"constant": marked("stays"), "cosine": marked("falls to zero over all epochs")}
)
FEATURE_NORMS: Mapping[str, str] = MappingProxyType(
    {"none": marked("as they are"), "batch": marked("standardised over the frames of a batch")}
)
# As the form calls them, and those that REST alone takes.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "protocol": marked("Protocol"),
        "folds": marked("Folds"),
        "epochs": marked("Epochs at most"),
        "patience": marked("Stop after this many epochs without a gain"),
        "width": marked("Width"),
        "encoder": marked("Weights of the residual network"),
        "batch_size": marked("Batch size"),
        "micro_batch": marked("Windows at once on the device"),
        "windows_per_subject": marked("Windows a subject gives in an epoch"),
        "learning_rate": marked("Learning rate"),
        "schedule": marked("Course of the learning rate"),
        "weight_decay": marked("Weight decay"),
        "dropout": marked("Dropout"),
        "feature_norm": marked("Features"),
        "precision": marked("Precision"),
        "inner_stopping": marked("Share watched for the early stop"),
        "inner_calibration": marked("Share kept for calibration"),
    }
)
# What a run is told of even where nobody asked for it.
_ALWAYS = frozenset({"protocol", "folds", "epochs"})
_CHOICES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"protocol": PROTOCOLS, "encoder": ENCODERS, "schedule": SCHEDULES, "feature_norm": FEATURE_NORMS}
)

# Why a scan whose person has agreed is not trained on.
LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "withdrawn": marked("the consent was withdrawn"),
        "without_pseudonym": marked("there is no pseudonym"),
        "conflicting_diagnoses": marked("the person's reviews name different diagnoses"),
        "no_diagnosis": marked("the diagnosis is not ADHD or control, or not given"),
        "same_file": marked("the same file was uploaded before"),
        "same_scan": marked("the person is in the cohort, by a scan"),
        "same_id": marked("the person may be in the cohort, by the pseudonym"),
        "compared_scan": marked("the person is in a cohort that models are compared on, by a scan"),
        "compared_id": marked("the person may be in a cohort that models are compared on, by the pseudonym"),
        "other_kind": marked("it is simulated and the cohort is not, or the other way round"),
        "refused": marked("it cannot be prepared as the cohort was"),
        "changed": marked("the diagnosis or the pseudonym changed while it was prepared"),
        "site_unknown": marked("its site is not known, and sites are left out"),
    }
)

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def network_of(run: TrainingRunBase) -> str:
    """Name a run's network, or its other method; one of the command line does not say here."""
    if run.method is None:
        return _("begun by the command line")
    if run.method != NETWORK:
        return _("%(title)s, seed %(seed)s", title=title_of({"method": run.method}), seed=run.seed)
    return _(
        "%(network)s with %(rnn)s, seed %(seed)s", network=run.network, rnn=RNNS[run.rnn or ""], seed=run.seed
    )


def asked_for(run: TrainingRunBase) -> list[tuple[str, str]]:
    """Say what a run was asked for, each with its name; nothing of one that the command line began."""
    if run.method is None or run.split is None:
        return []
    told = [(_("Who takes part"), _(SELECTIONS[run.selection or ""]))]
    if run.where:
        told.append((_("Filters"), " · ".join(run.where)))
    told += [(_("Split"), _(SPLITS[run.split])), (_("Device"), _(DEVICES[run.device]))]
    told.append((_("Seed"), str(run.seed)))
    for name, label in SETTINGS.items():
        not_used = name == "folds" and run.split == "leave_site_out"
        if name in run.settings or (name in _ALWAYS and not not_used):
            value = run.settings.get(name, TrainingRequest.model_fields[name].default)
            words = _CHOICES.get(name, {}).get(str(value))
            told.append((_(label), str(value) if words is None else _(words)))
    return told


def state_of(run: TrainingRunBase | FoldResponse) -> str:
    """Say where a run or a fold stands."""
    if run.cancel_requested and run.status.value in LIVE:
        return _("Stopping")
    if isinstance(run, TrainingRunBase) and run.status == RunState.TRAINING and run.waiting is not None:
        return _("Folds wait")
    return _(STATES[run.status.value])


def watched_people(run: TrainingRunBase, fold: FoldResponse) -> str:
    """Say of how many people the watched values of a fold are; empty where that is not known."""
    if fold.outcome and "n_stopping" in fold.outcome:
        return _("of %(people)s people", people=fold.outcome["n_stopping"])
    if run.plan is None or run.method is None or run.split != "stratified":
        return ""
    share = run.settings.get("inner_stopping", TrainingRequest.model_fields["inner_stopping"].default)
    # Of those who are not in the reported fold; exactly how many, the fold says when it is finished.
    n_others = run.plan["n_subjects"] * (1 - 1 / run.plan["n_folds"])
    return _("of about %(people)s people", people=round(n_others * share))


def waits(waiting: WaitingResponse) -> str:
    """Say what a run waits for."""
    if waiting.queue == "planning":
        if not waiting.workers:
            return _("It waits for a worker that plans runs: none has been seen lately.")
        return _("It waits for the worker that plans runs; runs before it: %(ahead)s.", ahead=waiting.ahead)
    if not waiting.workers:
        return _("Its folds wait for a training worker: none has been seen lately.")
    return _("Its folds wait for a training worker; folds before them: %(ahead)s.", ahead=waiting.ahead)


def left(seconds: float) -> str:
    """Say how long something still takes, as roughly as it is known."""
    if seconds < 90:
        return _("less than %(minutes)s min", minutes=2)
    if seconds < 2 * _HOUR_S:
        return _("about %(minutes)s min", minutes=ceil(seconds / _MINUTE_S))
    if seconds < 2 * _DAY_S:
        return _("about %(hours)s h", hours=round(seconds / _HOUR_S))
    return _("about %(days)s days", days=round(seconds / _DAY_S))
