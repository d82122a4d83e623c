"""What Schemathesis cannot know of this service; it loads this file in a process of its own."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from uuid import UUID

import schemathesis
from hypothesis import strategies as st

EVENTS = "/api/v1/predictions/{prediction_id}/events"
RAW_KINDS = {"application/octet-stream", "application/gzip"}
PART = "application/offset+octet-stream"
BEGIN = "/api/v1/uploads"
PROMOTE = "/api/v1/admin/models/{model_id}/promote"
SHADOW = "/api/v1/admin/models/{model_id}/shadow"
RESCORES = "/api/v1/admin/rescores"
ROLL_BACK = "/api/v1/admin/models/rollback"
# What somebody who has not looked which model answers says of one that fails the gate.
ASKED_FOR = {
    PROMOTE: {"reason": "asked", "override_reason": "asked by a test"},
    ROLL_BACK: {"reason": "asked"},
}

KNOWN = json.loads(Path(os.environ["RESTNET_SCHEMA_KNOWN"]).read_text())
ENDED: list[str] = KNOWN["ended"]
# What only few predictions allow, and one that does: named every other time, or a short run might meet none.
ALLOWED_BY = {
    "/api/v1/predictions/{prediction_id}/retry": KNOWN["failed"][0],
    "/api/v1/predictions/{prediction_id}/review": ENDED[0],
    "/api/v1/predictions/{prediction_id}/reviews": ENDED[0],
    "/api/v1/predictions/{prediction_id}/explanation": ENDED[0],
    "/api/v1/predictions/{prediction_id}/explanation.nii.gz": ENDED[0],
    "/api/v1/predictions/{prediction_id}/explanation/{name}": ENDED[0],
    "/api/v1/predictions/{prediction_id}/normalised": ENDED[0],
    "/api/v1/predictions/{prediction_id}/normalised/provenance": ENDED[0],
    "/api/v1/predictions/{prediction_id}/normalised/figures/{name}": ENDED[0],
    "/api/v1/predictions/{prediction_id}/report.html": ENDED[0],
    "/api/v1/predictions/{prediction_id}/report.pdf": ENDED[0],
}
asked = Counter()
SOUND = bytes.fromhex(KNOWN["sound_scan"])
PLAIN = gzip.decompress(SOUND)

UPLOADS = st.one_of(
    st.just(SOUND),
    st.sampled_from([PLAIN, b"", SOUND[:200], PLAIN[:352], PLAIN[:-100], SOUND + b"more", b"\x1f\x8b" * 40]),
    st.binary(max_size=400),
)
for kind in (*sorted(RAW_KINDS), PART):
    schemathesis.openapi.media_type(kind, UPLOADS)


def _ask_for_training(case):
    """Name a cohort and runs that are there: made up, hardly any is, and hardly any settings go together."""
    if case.operation.path.endswith("/training-runs") and case.method == "POST":
        asked["train"] += 1
        if asked["train"] % 2 and case.meta.generation.mode.is_positive and not _is_systematic(case):
            case.body = {"cohort": "tiny", "epochs": 3, "networks": ["C"], "seeds": [asked["train"]]}
    if "/training-runs/{run_id}" in case.operation.path:
        asked[case.operation.path] += 1
        if asked[case.operation.path] % 2:
            # The last one was cancelled, and is there to be gone on with.
            of_resume = case.operation.path.endswith("/resume")
            case.path_parameters["run_id"] = KNOWN["runs"][-1 if of_resume else -2]


def _ask_for_evaluation(case):
    """Name a cohort, a set and evaluations that are there."""
    path = case.operation.path
    if path.endswith("/evaluation-sets") and case.method == "POST":
        asked["sets"] += 1
        if asked["sets"] % 2 and case.meta.generation.mode.is_positive and not _is_systematic(case):
            case.body = {"name": f"set {asked['sets']}", "cohort": "tiny", "selection": "all", "where": []}
    for parameter, known in (("set_id", KNOWN["sets"]), ("evaluation_id", KNOWN["evaluations"])):
        if f"{{{parameter}}}" in path:
            asked[path] += 1
            if asked[path] % 2:
                case.path_parameters[parameter] = known[0]


def _ask_for_scores(case):
    """Name a model that was in shadow, and may be again, and ask for a batch of one that has none."""
    positive = case.meta.generation.mode.is_positive and not _is_systematic(case)
    if SHADOW in case.operation.path and positive:
        asked[case.operation.path, case.method] += 1
        if asked[case.operation.path, case.method] % 2:
            case.path_parameters["model_id"] = KNOWN["shadowed"]
    if case.operation.path == RESCORES and case.method == "POST" and positive:
        asked[RESCORES] += 1
        if asked[RESCORES] % 2 and KNOWN["models"]:
            case.body = {"model_version_id": KNOWN["models"].pop(), "reason": "asked by a test"}
    if RESCORES in case.operation.path and "{rescore_id}" in case.operation.path and positive:
        asked[case.operation.path] += 1
        if asked[case.operation.path] % 2:
            case.path_parameters["rescore_id"] = KNOWN["rescores"][0]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Follow ended predictions only, and name raw files: OpenAPI can require a header for no kind of body."""
    if case.operation.path == EVENTS and _is_live(case.path_parameters.get("prediction_id")):
        # A stream of any other stays open, as it should.
        case.path_parameters["prediction_id"] = ENDED[0]
    if case.operation.path in ALLOWED_BY:
        asked[case.operation.path] += 1
        if asked[case.operation.path] % 2:
            case.path_parameters["prediction_id"] = ALLOWED_BY[case.operation.path]
    if (
        case.operation.path in ASKED_FOR
        and case.meta.generation.mode.is_positive
        and not _is_systematic(case)
    ):
        asked[case.operation.path] += 1
        if asked[case.operation.path] % 2:
            case.body = ASKED_FOR[case.operation.path]
            if case.operation.path == PROMOTE and KNOWN["models"]:
                case.path_parameters["model_id"] = KNOWN["models"].pop()
    _ask_for_training(case)
    _ask_for_evaluation(case)
    _ask_for_scores(case)
    _say_slices_once(case)
    # What is made up to be refused stays as it is; so do the systematic ones, which are judged as they were.
    if (
        case.operation.path.startswith(BEGIN)
        and case.meta.generation.mode.is_positive
        and not _is_systematic(case)
    ):
        asked[case.method] += 1
        if asked[case.method] % 2:
            _make_possible(case)
    if case.method == "POST" and case.media_type in RAW_KINDS:
        case.headers.setdefault("X-Filename", "scan.nii.gz")


def _say_slices_once(case) -> None:
    """Leave the times of slices out beside their order, where a 422 is no answer to sound fields."""
    is_json = case.operation.path.endswith("/complete") and isinstance(case.body, dict)
    if is_json and case.meta.generation.mode.is_positive and case.body.get("slice_order"):
        case.body.pop("slice_times_s", None)


def _is_live(prediction_id: object) -> bool:
    try:
        return str(UUID(str(prediction_id))) not in ENDED
    except ValueError:
        return False


def _make_possible(case) -> None:
    """Name an upload that is there, and say of it what is true."""
    if case.operation.path == BEGIN and case.method == "POST":
        case.headers["Upload-Length"] = "1000"
        case.headers["Upload-Metadata"] = "filename c2Nhbi5uaWk="
    elif case.operation.path.endswith("/complete"):
        case.path_parameters["upload_id"] = KNOWN["whole"]
    elif case.method == "HEAD":
        case.path_parameters["upload_id"] = KNOWN["begun"][0]
    elif case.method in {"DELETE", "PATCH"} and len(KNOWN["begun"]) > 1:
        case.path_parameters["upload_id"] = KNOWN["begun"].pop()
        if case.method == "PATCH":
            case.headers["Upload-Offset"] = "0"


def _is_systematic(case) -> bool:
    return case.meta.phase.name == "coverage"
