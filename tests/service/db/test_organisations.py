from service.db.base import Base
from service.db.organisations import OrganisationOwned, OrganisationRow
from service.db.rows import (
    AuditEventRow,
    AuditHeadRow,
    CohortRow,
    DriftAlarmRow,
    DriftEvaluationRow,
    DriftReferenceRow,
    EvaluationRow,
    EvaluationSetRow,
    LoginAttemptRow,
    ModelDeploymentRow,
    ModelVersionRow,
    ProviderLoginRow,
    RescoreRow,
    ShadowRow,
    WorkerRow,
)

# What all organisations have in common; everything else is somebody's.
OF_THE_INSTALLATION = {
    OrganisationRow,
    ModelVersionRow,
    ModelDeploymentRow,
    ShadowRow,
    RescoreRow,
    CohortRow,
    DriftAlarmRow,
    DriftEvaluationRow,
    DriftReferenceRow,
    EvaluationSetRow,
    EvaluationRow,
    WorkerRow,
    AuditHeadRow,
    # From before it is known who logs in, and so whose the login is.
    LoginAttemptRow,
    ProviderLoginRow,
}


def test_every_table_is_somebodys_or_stated_to_be_the_installations() -> None:
    mapped = {mapper.class_ for mapper in Base.registry.mappers}
    assert {row for row in mapped if not issubclass(row, OrganisationOwned)} == OF_THE_INSTALLATION
    may_be_nobodys = {
        row for row in mapped - OF_THE_INSTALLATION if row.__table__.columns["organisation_id"].nullable
    }
    assert may_be_nobodys == {AuditEventRow}
