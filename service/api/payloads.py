"""What REST takes and gives: names and types as in the OpenAPI document."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from imaging.native.sidecar import NO_SIDECAR, Sidecar, parse_sidecar
from service.api.patterns import ONE_LINE, PSEUDONYM, RUN, SECONDS, USERNAME_ANY_CASE
from service.api.population_payloads import PopulationResponse
from service.db.rows import Lane, PredictionState
from service.identity.passwords import PASSWORD_MAX_LENGTH, PASSWORD_MIN_LENGTH
from service.identity.roles import Role
from service.identity.scopes import Scope


def _blank_is_absent(value: object) -> object:
    # An empty input of a form is sent as an empty string.
    return None if isinstance(value, str) and not value.strip() else value


def _in_one_sentence(value: object, read: ValidatorFunctionWrapHandler) -> object:
    # A union would give one problem for each of its kinds.
    try:
        return read(value)
    except ValidationError as error:
        message = "expected a whole number of days from 1 to 3650, or 'never'"
        raise ValueError(message) from error


Pseudonym = Annotated[
    str | None,
    Field(max_length=64, pattern=PSEUDONYM, description="Never a name; letters, digits and . _ -"),
    BeforeValidator(_blank_is_absent),
]
DaysOrNever = Annotated[
    Annotated[int, Field(ge=1, le=3650)] | Literal["never"], WrapValidator(_in_one_sentence)
]


# All that is said of a scan is to fit into a small body; what a converter writes has some kilobytes.
MAX_SIDECAR_BYTES = 32 * 1024

SliceOrder = Literal[
    "ascending",
    "interleaved-ascending",
    "interleaved-ascending-second-first",
    "descending",
    "interleaved-descending",
    "interleaved-descending-second-first",
]


def read_sidecar_text(text: str) -> Sidecar:
    """Read what a sidecar says that came with an upload.

    Raises
    ------
    BadSidecarError
    """
    return parse_sidecar(text.encode(errors="replace"), most_bytes=MAX_SIDECAR_BYTES)


class ScanFields(BaseModel):
    """What may be said about a scan beside its bytes; the network reads nothing of it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    subject_id: Pseudonym = None
    age_years: Annotated[
        float | None, Field(ge=0, le=130, allow_inf_nan=False), BeforeValidator(_blank_is_absent)
    ] = None
    sex: Annotated[Literal["female", "male", "other"] | None, BeforeValidator(_blank_is_absent)] = None
    site: Pseudonym = None
    slice_times_s: Annotated[
        str | None,
        Field(
            max_length=8192,
            pattern=SECONDS,
            description="When each slice of a frame is taken, in seconds from its start, with commas and in "
            "the order of the slices, as `SliceTiming` of a BIDS sidecar has it; counts for a scan in the "
            "scanner's space",
        ),
        BeforeValidator(_blank_is_absent),
    ] = None

    tr_s: Annotated[
        float | None,
        Field(
            ge=0.1,
            le=6.25,
            allow_inf_nan=False,
            description="Repetition time in seconds, above what the file says; counts for a zip, for a scan "
            "in the scanner's space, and for any whose header states none",
        ),
        BeforeValidator(_blank_is_absent),
    ] = None
    slice_order: Annotated[
        SliceOrder | None,
        Field(
            description="In which order the slices of a frame are taken, evenly over the repetition time; "
            "`slice_times_s` beside it is refused"
        ),
        BeforeValidator(_blank_is_absent),
    ] = None
    run: Annotated[
        str | None,
        Field(
            max_length=64,
            pattern=RUN,
            description="Which of several in a zip: a DICOM series number, or parts of a BIDS name (`run-2`)",
        ),
        BeforeValidator(_blank_is_absent),
    ] = None

    sidecar: Annotated[
        str | None,
        Field(
            description="The text of its BIDS sidecar, one JSON object of at most 32 KiB: `RepetitionTime`, "
            "`SliceTiming`, `SliceEncodingDirection` and `NumberOfVolumesDiscardedBy...` are read, and "
            "nothing else of it is kept",
        ),
        BeforeValidator(_blank_is_absent),
    ] = None

    @field_validator("slice_order")
    @classmethod
    def _without_times(cls, order: SliceOrder | None, info: ValidationInfo) -> SliceOrder | None:
        # One of them would be followed and the other lost.
        if order is not None and info.data.get("slice_times_s") is not None:
            raise ValueError("expected one of slice_order and slice_times_s, found both")
        return order

    def sidecar_facts(self) -> Sidecar | None:
        """Read what the sidecar says.

        Raises
        ------
        BadSidecarError
        """
        return None if self.sidecar is None else read_sidecar_text(self.sidecar)

    def columns(self) -> dict[str, Any]:
        """Give the values of a scan's row."""
        said: dict[str, Any] = self.model_dump()
        facts = self.sidecar_facts()
        # One that says nothing of these is as good as none.
        said["sidecar"] = None if facts is None or facts == NO_SIDECAR else asdict(facts)
        if self.slice_times_s is not None:
            said["slice_times_s"] = [float(moment) for moment in self.slice_times_s.split(",")]
        return said


class PredictionLinks(BaseModel):
    """Where to go from an accepted upload."""

    prediction: str
    events: str
    scan: str
    page: str


class AcceptedResponse(BaseModel):
    """An upload that was taken in; its prediction is queued."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "scan_id": "0b7f3f6e-6a5f-4a0e-9d3c-2f5a2f6f6f10",
                "prediction_id": "5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11",
                "links": {
                    "prediction": "/api/v1/predictions/5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11",
                    "events": "/api/v1/predictions/5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11/events",
                    "scan": "/api/v1/scans/0b7f3f6e-6a5f-4a0e-9d3c-2f5a2f6f6f10",
                    "page": "/predictions/5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11",
                },
            }
        }
    )

    scan_id: str
    prediction_id: str
    links: PredictionLinks


class ScanResponse(BaseModel):
    """An uploaded scan."""

    id: str
    name: str = Field(description="The file's own name, without folders")
    sha256: str = Field(description="Of the bytes as uploaded")
    size_bytes: int
    emptied_fields: list[str] | None = Field(
        description="What held free text, which the stored copy lacks; null: stored as uploaded"
    )
    subject_id: str | None
    age_years: float | None
    sex: str | None
    site: str | None
    header: dict[str, Any] | None = Field(description="Shape, voxel size in mm, repetition time in s")
    created_at: datetime
    prediction_ids: list[str]


class PredictionError(BaseModel):
    """Why a prediction failed."""

    code: str
    message: str
    details: dict[str, Any] | None = None
    reference: str | None = Field(default=None, description="To be quoted to the operator")
    remedy: str | None = Field(default=None, description="What a person can do about it")
    retryable: bool = Field(description="Whether the same scan may pass when it is tried again")


class PredictionResponse(BaseModel):
    """A prediction: where it stands and, at the end, what it says."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "5e0f3b52-90a4-4f6c-9d43-8a3b1f3d2c11",
                "scan_id": "0b7f3f6e-6a5f-4a0e-9d3c-2f5a2f6f6f10",
                "scan_name": "run.nii.gz",
                "subject_id": "P-017",
                "status": "classifying",
                "progress": 0.7,
                "queue": "inference",
                "stage": None,
                "queue_position": None,
                "expected_wait_s": None,
                "cancel_requested": False,
                "result": None,
                "population": None,
                "error": None,
                "created_at": "2026-11-20T09:30:00Z",
                "started_at": "2026-11-20T09:30:01Z",
                "finished_at": None,
            }
        }
    )

    id: str
    scan_id: str
    scan_name: str
    subject_id: str | None
    status: PredictionState
    progress: float = Field(ge=0, le=1)
    queue: Lane = Field(
        description="Whose workers it waits for or is worked on by; `normalising` where its scan is brought "
        "into template space"
    )
    stage: str | None = Field(description="What is done to a scan that is `normalising`; null otherwise")
    queue_position: int | None = Field(description="1 is next; null when it is not waiting")
    expected_wait_s: float | None = Field(
        description="Seconds until a worker is likely to begin, by how long scans took lately; null when it "
        "is not waiting, no worker is there, or nothing is known"
    )
    cancel_requested: bool
    result: dict[str, Any] | None = Field(description="The object that `restnet predict --json` prints")
    population: PopulationResponse | None = Field(
        default=None,
        description="The person and the scan beside those whom the model was trained on; null in lists, "
        "before there is a result, and where the model's card does not describe these people",
    )
    error: PredictionError | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class PredictionPage(BaseModel):
    """One page of predictions, newest first."""

    items: list[PredictionResponse]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end")


class UserRequest(BaseModel):
    """An account to add."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"username": "m.keller", "password": "a long passphrase", "role": "clinician"}
        },
    )

    # What is described here is refused further in, each by its own code.
    username: str = Field(max_length=64, json_schema_extra={"pattern": USERNAME_ANY_CASE})
    password: str = Field(
        max_length=1024,
        json_schema_extra={
            "writeOnly": True,
            "minLength": PASSWORD_MIN_LENGTH,
            "maxLength": PASSWORD_MAX_LENGTH,
        },
    )
    role: Role


class UserResponse(BaseModel):
    """An account."""

    id: str
    username: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    must_change_password: bool = Field(description="Whether the password is one that somebody else has set")
    second_factor: bool = Field(description="Whether a code is asked for after the password")


class ApiKeyRequest(BaseModel):
    """An API key to issue."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "PACS bridge",
                "username": "pacs",
                "scopes": ["scans:write", "predictions:read"],
                "expires_in_days": 365,
            }
        },
    )

    name: str = Field(min_length=1, max_length=100, json_schema_extra={"pattern": ONE_LINE})
    username: str | None = Field(default=None, max_length=64, description="Whose key; your own without it")
    scopes: list[Scope] | None = Field(
        default=None,
        description="What it may do, within the account's role; without them all of the role except `admin`",
    )
    expires_in_days: DaysOrNever | None = Field(
        default=None, description="Without it, the setting `RESTNET_API_KEY_LIFETIME_S` decides"
    )


class ApiKeyResponse(BaseModel):
    """An API key, without its text."""

    id: str
    name: str
    prefix: str
    username: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class IssuedApiKeyResponse(ApiKeyResponse):
    """An API key with its text, which is shown this once."""

    key: str


class LoginResponse(BaseModel):
    """An open login of one's own."""

    id: str
    this_one: bool = Field(description="Whether it is the login that asks")
    begun_at: datetime
    last_used_at: datetime = Field(description="To the minute")
    ends_at: datetime = Field(description="The latest; without requests it ends before")
    address: str | None = Field(description="From where it was begun; null: not kept")
    browser: str | None = Field(description="As in `Firefox on Windows`; null: not known")
    through_provider: bool = Field(description="Whether an identity provider vouched for the person")


class LoginList(BaseModel):
    """All open logins of one's own, newest first."""

    items: list[LoginResponse]


class LoginsEndedResponse(BaseModel):
    """Logins that were ended."""

    ended: int = Field(ge=0, description="How many there were")


class AuditEventResponse(BaseModel):
    """Who did what to what, when and from where, with its place in the chain."""

    id: str
    sequence: int
    at: datetime
    actor: str
    address: str
    action: str
    subject_kind: str
    subject_id: str
    details: dict[str, Any] | None
    previous_hash: str
    hash: str


class UserPage(BaseModel):
    """One page of accounts, newest first."""

    items: list[UserResponse]
    next_cursor: str | None


class ApiKeyPage(BaseModel):
    """One page of API keys, newest first."""

    items: list[ApiKeyResponse]
    next_cursor: str | None


class AuditPage(BaseModel):
    """One page of audit events, newest first."""

    items: list[AuditEventResponse]
    next_cursor: str | None
