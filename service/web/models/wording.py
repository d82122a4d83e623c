"""What the pages of the models say: rules, refusals, figures and programs in plain words."""

from service.api.model_payloads import ModelWarning, RuleResponse
from service.registry import Kind
from service.registry.comparison import COMPARED, NO_SET, NOT_COMPARED, OUTDATED, STOPPED, UNDER_WAY
from service.registry.gate import AS_EXPECTED
from service.registry.intactness import NOT_FINITE
from service.web.language import _, marked

KINDS = {
    Kind.FIRST.value: marked("first model"),
    Kind.PROMOTION.value: marked("promoted"),
    Kind.ROLLBACK.value: marked("rolled back"),
}
_PROGRAMS = {
    "command-line": marked("the command line"),
    "serve": marked("the start of the service"),
}
RULES = {
    "file_intact": (
        marked("File intact"),
        marked("the stored file is, byte for byte, the one that was registered, and its weights are numbers"),
    ),
    "preprocessing_known": (
        marked("Preprocessing known"),
        marked("this version of RestNet can prepare a scan as the model needs it"),
    ),
    "preprocessing_unchanged": (
        marked("Preprocessing unchanged"),
        marked("scans are prepared as for the model that answers"),
    ),
    "evidence_complete": (
        marked("Evidence complete"),
        marked("AUC, balanced accuracy, sensitivity and specificity, each with its interval"),
    ),
    "protocol": (
        marked("Sound protocol"),
        marked("measured by nested cross-validation, on people by whom nothing was chosen"),
    ),
    COMPARED: (
        marked("Compared"),
        marked("measured beside the model that answers, on the evaluation set in use"),
    ),
    "intact": (marked("Loads"), marked("the file that was registered loads as a model")),
    "same_preprocessing": (
        marked("Preprocessing of the set"),
        marked("scans are prepared as those of the evaluation set are"),
    ),
    "no_leak": (marked("No leak"), marked("nobody of the evaluation set was trained on")),
    "evidence_finished": (
        marked("Evidence finished"),
        marked("cross-validated figures with intervals, under a protocol that leaks nothing"),
    ),
    "claims_hold": (
        marked("Claims hold"),
        marked("the AUC that its card claims is borne out by these people"),
    ),
    "better_than_chance": (
        marked("Better than chance"),
        marked("the interval of its AUC lies above that of chance"),
    ),
    "auc_not_worse": (
        marked("AUC not worse"),
        marked("the interval of the difference leaves no room for a loss beyond the margin"),
    ),
    "sensitivity_not_worse": (
        marked("Sensitivity not worse"),
        marked("the interval of the difference leaves no room for a loss beyond the margin"),
    ),
    "calibrated": (
        marked("Calibrated"),
        marked("its probabilities are no further from the truth than chance allows"),
    ),
    "coverage_kept": (
        marked("Coverage kept"),
        marked("its sets hold the diagnosis as often as its card promises"),
    ),
    "decides_enough": (
        marked("Decides enough"),
        marked("it answers “uncertain” not much more often than the model that answers"),
    ),
    "backends_agree": (
        marked("Backends agree"),
        marked("what serves here computes what the networks themselves do"),
    ),
    "fast_enough": (
        marked("Fast enough"),
        marked("a scan takes not much longer than with the model that answers"),
    ),
}
_FOUND = {
    AS_EXPECTED: marked("as expected"),
    "no file": marked("the file is gone"),
    NOT_FINITE: marked("NaN or infinite values"),
    "storage is away": marked("storage does not answer"),
    "no other model answers": marked("no other model answers"),
    NO_SET: marked("no evaluation set is in use: choose one, then compare"),
    NOT_COMPARED: marked("not compared: start the evaluation"),
    OUTDATED: marked("compared with another model or on another set: start the evaluation"),
    UNDER_WAY: marked("being compared: wait for the evaluation"),
    STOPPED: marked("the evaluation was cancelled: start it again"),
    "fields that do not read": marked("fields that cannot be read"),
}
NOT_RUNNABLE = marked(
    "Nothing was changed: this version of RestNet cannot prepare scans as the model needs them."
)
REFUSALS = {
    "promotion_conflict": marked(
        "Another model answers meanwhile than you saw. Nothing was changed: look again, then decide."
    ),
    "model_already_active": marked("This model answers already."),
    "checkpoint_missing": marked(
        "The model's file is gone from storage. Nothing was changed: register the file again."
    ),
    "checkpoint_damaged": marked(
        "The model's file in storage is not the one that was registered, or its weights are not numbers. "
        "Nothing was changed: register an intact file."
    ),
    "encryption_key_missing": marked(
        "The key that the model's file is encrypted with is gone. Nothing was changed: put the key back."
    ),
    "gate_not_passed": marked(
        "Nothing was changed: rules of the gate failed, and nobody said why they should not matter."
    ),
    "nothing_to_roll_back_to": marked("There is no earlier model whose file could answer again."),
    "no_active_model": marked("No model answers yet, so there is none to go back from."),
    "reason_not_valid": marked(
        "Nothing was changed: say why in plain text of up to 1,000 characters, and in 10 or more where a "
        "rule is overruled."
    ),
}
# Of a comparison: the one rule of the gate that it asks beside the file is never overruled.
NOT_COMPARABLE = {
    "gate_not_passed": NOT_RUNNABLE,
    "checkpoint_missing": REFUSALS["checkpoint_missing"],
    "checkpoint_damaged": REFUSALS["checkpoint_damaged"],
    "encryption_key_missing": REFUSALS["encryption_key_missing"],
}
DONE = {
    "promoted": marked("This model answers from now on. Scans that are read just now keep theirs."),
    "rolled-back": marked("The model before answers again."),
}


def by(name: str | None) -> str:
    """Say who did something; a program by what it is."""
    if name is None:
        return _("not known")
    return _(_PROGRAMS.get(name, name))


def found(rule: RuleResponse) -> str | None:
    """Say what a rule found; None where that is a value and no words."""
    words = _FOUND.get(rule.found)
    return None if words is None else _(words)


def reference_left(warning: ModelWarning) -> str:
    """Say that the reference for drift is another model's."""
    return _(
        "The drift reference, cohort %(cohort)s, belongs to %(name)s %(version)s. Until a cohort is measured "
        "by this model, nothing is compared and nothing raises an alarm.",
        cohort=warning.cohort,
        name=_(warning.model_name),
        version=warning.model_version,
    )
