"""From a run's records to the contents of its plan."""

from datetime import datetime

from service.change_plan.contents import ChangePlan
from service.change_plan.impact import impact
from service.change_plan.modifications import modifications
from service.change_plan.sources import Compared, Sources
from service.change_plan.verification import verification
from service.web.language import _, current
from service.web.rendering import moment
from service.web.training.wording import STATES
from service.web.wording import NOTICE

__all__ = ["Compared", "Sources", "fill"]


def fill(sources: Sources, *, made_at: datetime, made_by: str, version: str) -> ChangePlan:
    """Fill the plan in, in the language that is spoken.

    Parameters
    ----------
    sources : Sources
    made_at : datetime
        UTC.
    made_by : str
        Name of the account that asks.
    version : str
        Of RestNet.
    """
    return ChangePlan(
        run_id=sources.run.id,
        language=current(),
        made_at=made_at,
        title=_("Change plan of training run %(run)s", run=sources.run.id),
        status=_("State of the run: %(state)s.", state=_(STATES[sources.run.status.value])),
        notice=(
            _(NOTICE),
            _(
                "RestNet has filled this in from its records. It is a draft until somebody who answers "
                "for the change has read, completed and signed it."
            ),
        ),
        parts=(modifications(sources), verification(sources), impact(sources)),
        signing=(_("Answers for the change"), _("Has verified it"), _("Date and signature")),
        origin=(
            (_("Plan made"), _("%(moment)s, by %(account)s", moment=moment(made_at), account=made_by)),
            ("RestNet", _("version %(version)s", version=version)),
        ),
    )
