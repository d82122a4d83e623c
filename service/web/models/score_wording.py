"""What the pages of shadow mode and of batches say."""

from service.api.scoring_payloads import ShareResponse
from service.shares import LEVEL
from service.web.language import _, marked
from service.web.language.numbers import per_cent
from service.web.models.wording import NOT_RUNNABLE
from service.web.rendering import percent

DECISIONS = {
    "control": marked("Control"),
    "adhd": marked("ADHD"),
    "uncertain": marked("Uncertain"),
}
STATES = {
    "running": marked("At work"),
    "finished": marked("Finished"),
    "cancelled": marked("Cancelled"),
}
REFUSALS = {
    "model_already_active": marked("This model answers already."),
    "shadow_taken": marked("A model is in shadow already. Nothing was changed: end that first."),
    "model_not_in_shadow": marked("This model is not in shadow any more."),
    "rescore_running": marked("A batch of this model is at work already. Wait for it, or cancel it."),
    "rescore_over": marked("This batch has finished: there is nothing to cancel."),
    "nothing_to_rescore": marked("There are no answered scans of this time that are still stored."),
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
    "gate_not_passed": NOT_RUNNABLE,
    "reason_not_valid": marked("Nothing was changed: say why in plain text of up to 1,000 characters."),
    "days_not_valid": marked("The days or the number cannot be read. Nothing was changed."),
}
DONE = {
    "begun": marked(
        "This model is in shadow from now on: it scores what is answered, and nobody is shown that."
    ),
    "ended": marked("This model is out of shadow. What it has scored stays."),
    "cancelled": marked("The batch is cancelled. What it has scored stays."),
}


def share(found: ShareResponse) -> str:
    """Write a share with its interval and numbers."""
    if found.value is None or found.low is None or found.high is None:
        return _("none")
    return _(
        "%(value)s (%(count)s of %(of)s; %(level)s interval %(low)s to %(high)s)",
        value=percent(found.value),
        count=found.count,
        of=found.of,
        level=per_cent(f"{100 * LEVEL:.0f}"),
        low=per_cent(f"{100 * found.low:.0f}"),
        high=per_cent(f"{100 * found.high:.0f}"),
    )
