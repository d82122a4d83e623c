"""What the pages say of runs and folds: where they stand, what may be chosen, how long it will take."""

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType

from service.api.training_payloads import FoldResponse, TrainingRunBase
from service.web.language import _, marked

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
        "": marked("training release where it is known, else everybody"),
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
        "other_kind": marked("it is simulated and the cohort is not, or the other way round"),
        "refused": marked("it cannot be prepared as the cohort was"),
        "changed": marked("the diagnosis or the pseudonym changed while it was prepared"),
        "site_unknown": marked("its site is not known, and sites are left out"),
    }
)

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def network_of(run: TrainingRunBase) -> str:
    """Name a run's network; one of the command line does not say here."""
    if run.network is None:
        return _("begun by the command line")
    return _(
        "%(network)s with %(rnn)s, seed %(seed)s", network=run.network, rnn=RNNS[run.rnn or ""], seed=run.seed
    )


def state_of(run: TrainingRunBase | FoldResponse) -> str:
    """Say where a run or a fold stands."""
    if run.cancel_requested and run.status.value in LIVE:
        return _("Stopping")
    return _(STATES[run.status.value])


def left(seconds: float) -> str:
    """Say how long something still takes, as roughly as it is known."""
    if seconds < 90:
        return _("less than %(minutes)s min", minutes=2)
    if seconds < 2 * _HOUR_S:
        return _("about %(minutes)s min", minutes=ceil(seconds / _MINUTE_S))
    if seconds < 2 * _DAY_S:
        return _("about %(hours)s h", hours=round(seconds / _HOUR_S))
    return _("about %(days)s days", days=round(seconds / _DAY_S))
