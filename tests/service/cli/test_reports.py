import json
from functools import partial

import pytest

from tests.training.evidence.report.made_up_runs import made_up_run, store_of
from training.evidence.report import writing
from training.evidence.report.assembling import assemble


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few draws: here it is about files, words and exit statuses."""
    monkeypatch.setattr(writing, "assemble", partial(assemble, n_draws=50))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_up_run(tmp_path_factory.mktemp("runs") / "C-lstm", n=60)


def test_a_report_is_written_and_said_in_words(restnet, run, tmp_path):
    status, out, _ = restnet("report", run, "--out", tmp_path / "evidence")
    assert status == 0
    assert "of 60 people, each by a model that had never seen them" in out
    assert "FEW SUBJECTS" in out
    page = (tmp_path / "evidence" / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert (tmp_path / "evidence" / "report.csv").is_file()


def test_json_is_an_array_with_an_object_a_run_in_order(restnet_json, run, tmp_path):
    other = made_up_run(tmp_path / "A-gru", n=60, network="A", rnn="gru")
    status, answer = restnet_json("report", run, other, "--out", tmp_path / "out")
    assert status == 0
    assert [one["run"] for one in answer] == ["C-lstm", "A-gru"]
    assert {"overall", "confusion", "baselines", "folds", "sites", "calibration", "coverage"} <= set(
        answer[0]
    )
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == answer


def test_several_runs_are_compared_with_one_of_them(restnet, restnet_json, run, tmp_path):
    linear = made_up_run(tmp_path / "linear", n=60, method="ridge-connectivity", people_seed=0, seed=0)
    other = made_up_run(tmp_path / "other", n=60, people_seed=0, seed=3)
    asked = ("report", other, linear, "--out", tmp_path / "out")
    status, out, _ = restnet(*asked)
    assert status == 0
    assert "linear: Ridge on connectivity" in out
    beside = out[out.index("Side by side") :]
    assert "C + Bi-LSTM: AUC" in beside
    assert ", reference\n" in beside.split("Ridge on connectivity")[0]
    status, answer = restnet_json(*asked, "--reference", "linear")
    assert status == 0
    assert [one["comparison"]["is_reference"] for one in answer] == [False, True]
    assert answer[0]["comparison"]["auc_difference"]["value"] == pytest.approx(
        answer[0]["overall"]["auc"]["value"] - answer[1]["overall"]["auc"]["value"], abs=2e-4
    )
    status, refusal = restnet_json(*asked, "--reference", "D-gru")
    assert (status, refusal["error"]["code"]) == (2, "report_reference_unknown")


def test_without_a_name_the_report_lies_in_the_run(restnet_json, tmp_path):
    run = made_up_run(tmp_path / "run", n=40, protocol="paper")
    assert restnet_json("report", run)[0] == 0
    assert (run / "report" / "report.html").is_file()


def test_an_unfinished_run_is_refused_unless_part_of_it_is_asked_for(restnet_json, tmp_path):
    run = made_up_run(tmp_path / "run", n=60, unfinished=(3,))
    status, answer = restnet_json("report", run)
    assert status == 2
    assert answer["error"]["code"] == "run_unfinished"
    assert answer["error"]["missing"] == ["fold 3"]
    assert not (run / "report").exists()
    status, answer = restnet_json("report", run, "--partial")
    assert status == 0
    assert answer[0]["missing_folds"] == ["fold 3"]
    assert answer[0]["warnings"][0]["code"] == "unfinished"
    assert "Unfinished run" in (run / "report" / "report.html").read_text()


def test_the_cohort_puts_ridge_on_connectivity_beside_the_network_and_the_run_keeps_it(
    restnet, restnet_json, tmp_path
):
    run = made_up_run(tmp_path / "run", n=40, connectivity_auc=None)
    store = store_of(run, tmp_path / "cohort")
    _, (before,) = restnet_json("report", run)
    assert "connectivity" not in before["baselines"]
    assert "connectivity_not_measured" in [warning["code"] for warning in before["warnings"]]
    status, (with_cohort,) = restnet_json("report", run, "--cohort", store.folder)
    assert status == 0
    assert with_cohort["baselines"]["connectivity"]["auc"]["value"] > 0.9
    assert with_cohort["baselines"]["connectivity"]["auc_difference"]["high"] < 0
    _, (after,) = restnet_json("report", run)
    assert after == with_cohort
    _, out, _ = restnet("report", run)
    assert "ridge on connectivity reaches AUC" in out


def test_a_cohort_that_the_run_was_not_trained_on_is_refused(restnet_json, run, tmp_path):
    other = made_up_run(tmp_path / "other", n=40)
    store = store_of(other, tmp_path / "cohort")
    status, answer = restnet_json("report", run, "--cohort", store.folder, "--out", tmp_path / "out")
    assert status == 2
    assert answer["error"]["code"] == "report_cohort_differs"
    assert not (tmp_path / "out").exists()
    status, answer = restnet_json("report", run, "--cohort", tmp_path, "--out", tmp_path / "out")
    assert (status, answer["error"]["code"]) == (2, "cohort_not_found")


def test_what_is_no_run_is_refused(restnet, restnet_json, tmp_path):
    status, answer = restnet_json("report", tmp_path / "nowhere")
    assert status == 2
    assert answer["error"]["code"] == "run_folder_invalid"
    status, out, err = restnet("report", tmp_path / "nowhere")
    assert (status, out) == (2, "")
    assert "expected a folder that `restnet train` wrote" in err
    assert "Traceback" not in err


def test_a_claim_that_no_table_gives_is_explained(restnet, restnet_json):
    asked = ("report", "--check-claim", "76.56", "80.16", "90.22", "--n", 430, "--positives", 215)
    status, out, _ = restnet(*asked)
    assert status == 0
    assert out.startswith("Impossible.")
    assert "85.19" in out
    assert "245/320" in out
    status, answer = restnet_json(*asked)
    assert status == 0
    assert answer["possible"] is False
    assert answer["claim"]["accuracy"] == "76.56"


def test_a_claim_that_a_table_gives_is_possible_to_the_digits_given(restnet_json):
    # 80 of 100 and 90 of 100 are right: 85.0 of 200.
    counts = ("--n", 200, "--positives", 100)
    assert restnet_json("report", "--check-claim", "85.0", "80.0", "90.0", *counts)[1]["possible"] is True
    assert restnet_json("report", "--check-claim", "85.00", "80.10", "90.00", *counts)[1]["possible"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--check-claim", "70", "70", "70"),
        ("--check-claim", "70", "70", "70", "--n", "100"),
        ("--n", "100", "--positives", "50"),
        ("--cohort", "cohort", "--check-claim", "70", "70", "70", "--n", "100", "--positives", "50"),
        ("run", "--check-claim", "70", "70", "70", "--n", "100", "--positives", "50"),
        ("--out", "x", "--check-claim", "70", "70", "70", "--n", "100", "--positives", "50"),
        ("--reference", "x", "--check-claim", "70", "70", "70", "--n", "100", "--positives", "50"),
        ("--partial", "--check-claim", "70", "70", "70", "--n", "100", "--positives", "50"),
    ],
)
def test_half_a_question_is_a_wrong_usage(restnet_json, arguments):
    status, answer = restnet_json("report", *arguments)
    assert status == 2
    assert answer["error"]["code"] == "usage"


def test_a_claim_without_a_number_is_refused(restnet_json):
    status, answer = restnet_json("report", "--check-claim", "x", "70", "70", "--n", 100, "--positives", 50)
    assert status == 2
    assert answer["error"]["code"] == "claim_invalid"


@pytest.mark.parametrize("n", [-1, 0, 1])
def test_a_claim_about_too_few_people_is_blamed_on_their_number(restnet_json, n):
    status, answer = restnet_json("report", "--check-claim", "70", "70", "70", "--n", n, "--positives", 5)
    assert (status, answer["error"]["code"]) == (2, "claim_invalid")
    assert answer["error"]["what"] == "n"
    assert answer["error"]["found"] == str(n)
