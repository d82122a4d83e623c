"""``restnet compare`` as a script uses it: by its exit status, with the same answer on stdout."""

import pytest

from tests.training.challenge.tiny_trainings import cohort, trained
from tests.training.validation.tiny_cohorts import tiny_subjects
from training.runs import CHECKPOINT_FILE


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("comparing")


@pytest.fixture(scope="module")
def champion(place):
    return trained(place, cohort(place, name="first", subjects=tiny_subjects(128)[:80]), "champion")


@pytest.fixture(scope="module")
def others(place):
    return cohort(place, name="locked", subjects=tiny_subjects(280)[80:]).folder


def test_the_exit_status_says_whether_the_challenger_may_take_the_place(
    champion, others, restnet, restnet_json
):
    in_use = ("--cohort", others, "--with", champion.run / CHECKPOINT_FILE, "--device", "cpu")
    status, found = restnet_json("compare", champion.run, "--trained-on", champion.cohort, *in_use)
    assert [rule for rule in found["rules"] if not rule["passed"]] == []
    assert (status, found["passed"]) == (0, True)
    # Of a file alone nobody knows whom it was trained on.
    status, told, _ = restnet("compare", champion.run / CHECKPOINT_FILE, *in_use)
    assert status == 3
    assert "failed  no_leak" in told
    assert "The challenger may not take the champion's place." in told
    status, refused = restnet_json("compare", champion.run, "--cohort", champion.run)
    assert (status, refused["error"]["code"]) == (2, "cohort_not_found")


def test_the_help_names_the_status(restnet):
    status, told, _ = restnet("compare", "--help")
    assert status == 0
    assert "3 where it was measured and may not" in " ".join(told.split())
