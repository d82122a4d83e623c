"""Lists of what an installation has few of are paged as the others are: in order, whole, each row once."""

from collections.abc import Callable
from typing import Any

import pytest

from service.identity.roles import Role
from tests.service.api.serving import Serving
from tests.service.api.test_models import SOUND

ADMIN = "/api/v1/admin"
# With what a file may be called: a quotation mark, a no-break space, letters of other scripts.
NAMES = ["A", 'B "old"', "C\u00a0late", "D 队列", "E"]


def add_models(served: Serving) -> list[str]:
    for number in range(5):
        served.add_model(str(number), SOUND)
    return ["4", "3", "2", "1", "0"]


def add_cohorts(served: Serving) -> list[str]:
    for name in reversed(NAMES):
        served.register_cohort(name)
    return NAMES


def add_sets(served: Serving) -> list[str]:
    served.register_cohort()
    key = served.key("adds", Role.ADMINISTRATOR)
    for name in reversed(NAMES):
        answer = served.client.post(
            f"{ADMIN}/evaluation-sets", headers=key, json={"name": name, "cohort": "tiny"}
        )
        assert answer.status_code == 201, answer.text
    return NAMES


@pytest.mark.parametrize(
    ("path", "shown", "add"),
    [
        ("models", "version", add_models),
        ("cohorts", "name", add_cohorts),
        ("evaluation-sets", "name", add_sets),
    ],
)
def test_a_list_is_given_in_pages(
    served: Serving, path: str, shown: str, add: Callable[[Serving], list[str]]
) -> None:
    expected = add(served)
    key = served.key("chief", Role.ADMINISTRATOR)

    def pages(**asked: Any) -> list[list[str]]:
        found, cursor = [], None
        while True:
            params = asked | ({} if cursor is None else {"cursor": cursor})
            answer = served.client.get(f"{ADMIN}/{path}", headers=key, params=params)
            assert answer.status_code == 200, answer.text
            found.append([one[shown] for one in answer.json()["items"] if one[shown] in expected])
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                return found

    assert pages() == [expected]
    assert [name for page in pages(limit=2) for name in page] == expected
    assert len(pages(limit=2)) == 3
    answer = served.client.get(f"{ADMIN}/{path}", headers=key, params={"cursor": "e30"})
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")


def test_the_page_of_models_leads_to_the_older_ones(served: Serving) -> None:
    for number in range(27):
        served.add_model(f"v{number}", SOUND)
    served.log_in(served.user("chief", Role.ADMINISTRATOR))
    newest = served.client.get("/models", headers={"Accept": "text/html"}).text
    older = newest.partition('href="/models?cursor=')[2].partition('"')[0]
    assert older
    assert " v26</a>" in newest
    assert " v1</a>" not in newest
    rest = served.client.get(f"/models?cursor={older}", headers={"Accept": "text/html"}).text
    assert " v1</a>" in rest
    assert " v26</a>" not in rest
    assert 'href="/models?cursor=' not in rest
