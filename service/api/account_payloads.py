"""What REST takes and gives about accounts that change and people who are invited."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from service.api.patterns import USERNAME_ANY_CASE
from service.identity.invitations import InvitationState
from service.identity.roles import Role


class UserChangeRequest(BaseModel):
    """What is to be different about an account; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"role": "researcher"}})

    role: Role | None = Field(default=None, description="Its keys lose the scopes that the new one lacks")
    disabled: StrictBool | None = Field(
        default=None, description="True: its logins end, and neither its password nor its keys are accepted"
    )


class InvitationRequest(BaseModel):
    """Somebody to invite."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"username": "m.keller", "role": "clinician"}}
    )

    # What is described here is refused further in, by its own code.
    username: str = Field(max_length=64, json_schema_extra={"pattern": USERNAME_ANY_CASE})
    role: Role


class InvitationResponse(BaseModel):
    """An invitation, without its link."""

    id: str
    username: str
    role: Role
    state: InvitationState
    created_at: datetime
    expires_at: datetime
    invited_by: str | None = Field(description="The account that invited")
    user_id: str | None = Field(description="The account that came of it")


class IssuedInvitationResponse(InvitationResponse):
    """An invitation with its link, which is shown this once."""

    link: str = Field(description="For the person alone: whoever opens it first chooses the password")


class InvitationPage(BaseModel):
    """One page of invitations, newest first."""

    items: list[InvitationResponse]
    next_cursor: str | None
