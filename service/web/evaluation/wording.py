"""What the pages of evaluation say: where an evaluation stands, selections, refusals."""

from collections.abc import Mapping
from types import MappingProxyType

from service.api.evaluation_payloads import EvaluationResponse
from service.web.language import _, marked

STATES: Mapping[str, str] = MappingProxyType(
    {
        "queued": marked("Waiting"),
        "evaluating": marked("Being compared"),
        "succeeded": marked("Finished"),
        "failed": marked("Failed"),
        "cancelled": marked("Cancelled"),
    }
)
LIVE = frozenset({"queued", "evaluating"})
SELECTIONS: Mapping[str, str] = MappingProxyType(
    {"all": marked("everybody with a diagnosis"), "test": marked("the official test release")}
)
REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "evaluation_cohort_too_small": marked(
            "Nothing was added: the cohort has fewer than ten cases or ten controls, who judge nothing."
        ),
        "selection_needs_release": marked(
            "Nothing was added: nobody in the cohort is known to be of the official test release. Ingest it "
            "again with --test-ids, or choose everybody."
        ),
        "evaluation_set_name_taken": marked("Nothing was added: another set is called so."),
        "evaluation_filter_not_valid": marked(
            "Nothing was added: the filter %(condition)s cannot be read, or names what the cohort does not "
            "have."
        ),
        "evaluation_set_compared": marked(
            "Nothing was removed: models were compared on this set, or are just now."
        ),
        "cohort_not_usable": marked("Nothing was added: the cohort is not what was registered."),
        "cohort_not_known": marked("Nothing was added: there is no such cohort any more."),
        "request_not_valid": marked(
            "Nothing was added: a set needs a name of up to 100 characters, and filters such as site=NYU or "
            "age<=18."
        ),
    }
)
DONE: Mapping[str, str] = MappingProxyType(
    {
        "added": marked("The set is added. It judges nothing until it is used."),
        "removed": marked("The set is removed."),
        "used": marked("Models are compared on this set from now on."),
    }
)


def state_of(evaluation: EvaluationResponse) -> str:
    """Say where an evaluation stands."""
    if evaluation.cancel_requested and evaluation.status.value in LIVE:
        return _("Stopping")
    return _(STATES[evaluation.status.value])
