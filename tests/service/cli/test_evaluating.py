"""Evaluation sets and evaluations from the command line."""

from contextlib import closing

import pytest

from service.db.engine import make_engine, session_factory
from service.db.rows import EvaluationRow, EvaluationState
from tests.service.evaluated import EXPECTED, outcome
from tests.training.validation.tiny_cohorts import tiny_store


@pytest.fixture
def at(tmp_path):
    return "--data-dir", tmp_path / "data"


@pytest.fixture
def cohort(at, tmp_path, restnet_json):
    """A registered cohort of ten cases and ten controls."""
    store = tiny_store(tmp_path / "cohort", n_subjects=20)
    status, registered = restnet_json("cohort", "register", store.folder, *at)
    assert status == 0
    return registered["name"]


def test_a_challenger_is_compared_on_the_set_in_use_and_shown(at, cohort, tmp_path, restnet, restnet_json):
    _, added = restnet_json("evaluation", "add", "held out", "--cohort", cohort, "--where", "age<=90", *at)
    assert (added["in_use"], added["cohort"], added["where"]) == (False, cohort, ["age<=90"])
    assert restnet_json("evaluation", "use", "held out", *at)[1]["in_use"] is True
    _, second = restnet_json("evaluation", "add", "others", "--cohort", cohort, "--use", *at)
    _, listed = restnet_json("evaluation", "sets", *at)
    assert [(one["name"], one["in_use"]) for one in listed] == [("held out", False), ("others", True)]
    assert second["fingerprint"] is None

    restnet_json("models", "import", *at)
    _, first = restnet_json("models", "import", *at)
    status, refused = restnet_json("evaluation", "start", first["id"], *at)
    assert (status, refused["error"]["code"]) == (2, "model_already_active")
    other = tmp_path / "other.safetensors"
    _copy_under_another_version(other)
    _, challenger = restnet_json("models", "import", other, *at)
    _, asked = restnet_json("evaluation", "start", challenger["version"], *at)
    assert (asked["status"], asked["challenger_id"], asked["champion_id"]) == (
        "queued",
        challenger["id"],
        first["id"],
    )
    messages = tmp_path / "data" / "broker" / "messages"
    assert len(list(messages.glob("*.evaluation.msg"))) == 1, "nobody was told"
    assert restnet_json("evaluation", "cancel", asked["id"], *at)[1]["status"] == "cancelled"
    assert restnet_json("evaluation", "start", challenger["id"], *at)[1]["id"] == asked["id"]

    engine = make_engine(f"sqlite:///{tmp_path / 'data' / 'restnet.db'}")
    with closing(engine.raw_connection()), session_factory(engine).begin() as session:
        row = session.get_one(EvaluationRow, asked["id"])
        row.state, row.outcome, row.passed = EvaluationState.SUCCEEDED, outcome("auc_not_worse"), False
    engine.dispose()
    status, told, _ = restnet("evaluation", "show", asked["id"], *at)
    assert status == 0
    assert "On 300 simulated subjects of cohort tiny" in told
    assert "0.840 [0.790, 0.890]" in told
    assert f"failed  auc_not_worse: expected {EXPECTED['auc_not_worse']}" in told
    assert "may not take the champion's place" in told
    _, [one] = restnet_json("evaluation", "list", *at)
    assert (one["passed"], one["current"]) == (False, True)
    assert restnet_json("evaluation", "show", asked["id"], *at)[1]["outcome"]["passed"] is False
    assert restnet_json("evaluation", "start", challenger["id"], *at)[1]["status"] == "succeeded"
    _, again = restnet_json("evaluation", "start", challenger["id"], "--again", *at)
    assert (again["id"], again["status"], again["passed"]) == (asked["id"], "queued", None)
    assert restnet_json("evaluation", "show", asked["id"], *at)[1]["outcome"] is None


def test_a_set_by_release_is_refused_at_once_where_nobodys_is_known(at, cohort, restnet_json):
    status, refused = restnet_json(
        "evaluation", "add", "held out", "--cohort", cohort, "--select", "test", *at
    )
    assert (status, refused["error"]["code"]) == (2, "selection_needs_release")
    assert restnet_json("evaluation", "sets", *at) == (0, [])


def test_the_sets_are_listed_with_their_filters_and_one_of_no_comparison_is_removed(
    at, cohort, restnet, restnet_json
):
    filters = ("--where", "age<=90", "--where", "iq>=70")
    restnet_json("evaluation", "add", "held out", "--cohort", cohort, *filters, *at)
    _, told, _ = restnet("evaluation", "sets", *at)
    assert "age<=90; iq>=70" in told
    status, refused = restnet_json("evaluation", "add", "b", "--cohort", cohort, "--where", "foo>>1", *at)
    assert (status, refused["error"]["code"]) == (2, "evaluation_filter_not_valid")
    assert restnet_json("evaluation", "remove", "held out", *at)[0] == 0
    assert restnet_json("evaluation", "sets", *at) == (0, [])


def test_what_is_not_there_is_refused_by_its_code(at, cohort, restnet_json):
    restnet_json("models", "import", *at)
    for command, code in (
        (("add", "a", "--cohort", "nobody"), "cohort_not_known"),
        (("use", "nothing"), "evaluation_set_not_found"),
        (("remove", "nothing"), "evaluation_set_not_found"),
        (("start", "nothing"), "model_not_found"),
        (("show", "nothing"), "evaluation_not_found"),
        (("cancel", "nothing"), "evaluation_not_found"),
        (("add", " a", "--cohort", cohort), "usage"),
    ):
        status, refused = restnet_json("evaluation", *command, *at)
        assert (status, refused["error"]["code"]) == (2, code), command


def _copy_under_another_version(path):
    from model import demonstration_checkpoint
    from model.card import read_card

    content = demonstration_checkpoint().read_bytes()
    version = read_card(demonstration_checkpoint()).version.encode()
    path.write_bytes(
        content.replace(b'\\"version\\":\\"' + version, b'\\"version\\":\\"' + b"x" * len(version), 1)
    )
