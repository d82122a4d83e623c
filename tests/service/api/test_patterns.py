"""A text that does not fit is refused in words: what was expected, and no pattern for programs."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.api.patterns import IN_WORDS
from service.identity.roles import Role
from tests.service.api.serving import Serving

# Of a header, which has a refusal of its own.
IDEMPOTENCY_KEY = "^[!-~]+$"
BLANK = "expected text that is not blank, without blanks around it and without control characters"


def patterns(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("pattern"), str):
            yield document["pattern"]
        for value in document.values():
            yield from patterns(value)
    elif isinstance(document, list):
        for value in document:
            yield from patterns(value)


def test_every_pattern_of_the_document_has_its_words(served: Serving) -> None:
    assert set(patterns(served.app.openapi())) - {IDEMPOTENCY_KEY} == IN_WORDS.keys()


@pytest.mark.parametrize(
    ("path", "body", "where", "expected"),
    [
        ("models/x/promote", {"reason": "  "}, "body.reason", BLANK),
        ("models/rollback", {"reason": "\t"}, "body.reason", BLANK),
        ("rescores", {"model_version_id": "x", "reason": " "}, "body.reason", BLANK),
        (
            "training-runs",
            {"cohort": "a\x00"},
            "body.cohort",
            "expected one line of text, without control characters",
        ),
    ],
)
def test_a_text_that_does_not_fit_is_refused_in_words(
    served: Serving, path: str, body: dict[str, str], where: str, expected: str
) -> None:
    key = served.key(role=Role.ADMINISTRATOR)
    answer = served.client.post(f"/api/v1/admin/{path}", headers=key, json=body)
    assert answer.status_code == 422
    problems = {problem["where"]: problem["problem"] for problem in answer.json()["details"]["errors"]}
    assert problems[where] == f"{expected}, found something else"
