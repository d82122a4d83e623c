"""Several systems as one table, and runs that are no network."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from model.card import RegionsRecord
from tests.training.evidence.report.made_up_runs import made_up_run
from training.evidence import published
from training.evidence.report import comparing
from training.evidence.report.as_json import run_json
from training.evidence.report.banners import banners, banners_of_several
from training.evidence.report.judging import answer, answer_to_several
from training.evidence.report.page import render
from training.evidence.report.rows import figure_rows, to_csv
from training.evidence.report.side_by_side import ReferenceUnknownError, compare
from training.evidence.report.wording import duration
from training.evidence.report.writing import write_report

PEOPLE = {"n": 160, "people_seed": 3}
CUBES = RegionsRecord(name="cubes", n_regions=221, sha256="a" * 64)
POWER = RegionsRecord(name="power264", n_regions=257, sha256="b" * 64)
MULTIPLE = "one in twenty would leave 0 out"


@pytest.fixture
def network(reported):
    return reported(**PEOPLE, seed=1, auc=0.75)


@pytest.fixture
def gru(reported):
    return reported(**PEOPLE, seed=2, network="A", rnn="gru", auc=0.6)


@pytest.fixture
def ridge(reported):
    return reported(**PEOPLE, seed=4, method="ridge-connectivity", regions=CUBES, auc=0.7)


@pytest.fixture
def tangent(reported):
    return reported(**PEOPLE, seed=5, method="tangent-logistic", regions=POWER, auc=0.7)


def de_long(labels, first, second):
    """Difference of two areas and its standard error, from how often each case is above each control."""
    differences = []
    for scores in (first, second):
        cases, controls = scores[labels == 1][:, None], scores[labels == 0][None, :]
        differences.append((cases > controls) + 0.5 * (cases == controls))
    above = differences[0] - differences[1]
    of_cases, of_controls = above.mean(axis=1), above.mean(axis=0)
    variance = of_cases.var(ddof=1) / len(of_cases) + of_controls.var(ddof=1) / len(of_controls)
    return above.mean(), np.sqrt(variance)


def table_of(html):
    return html[html.index("<h2>The runs</h2>") : html.index("</table>", html.index("<h2>The runs</h2>"))]


def names_in(html):
    return re.findall(r'<th scope="row"[^>]*>(?:<a[^>]*>)?([^<]+)<', html)


def test_a_difference_is_that_of_an_independent_computation(network, ridge):
    row = compare([ridge, network], n_draws=2000).of(ridge)
    labels, (ours, other) = network.data.labels, (one.data.probabilities for one in (ridge, network))
    expected = roc_auc_score(labels, ours) - roc_auc_score(labels, other)
    value, error = de_long(labels, ours, other)
    assert row.above_reference.value == pytest.approx(expected, abs=1e-12)
    assert value == pytest.approx(expected, abs=1e-12)
    assert row.above_reference.low == pytest.approx(value - 1.96 * error, abs=0.012)
    assert row.above_reference.high == pytest.approx(value + 1.96 * error, abs=0.012)


def test_the_same_answers_differ_by_nothing_at_all(network):
    twin = replace(network, data=replace(network.data, name="twin"))
    row = compare([network, twin]).runs[1]
    assert (row.above_reference.value, row.above_reference.low, row.above_reference.high) == (0, 0, 0)


def test_runs_stand_in_the_order_of_the_papers_table_and_not_by_their_area(network, gru, ridge, tangent):
    table = compare([tangent, ridge, gru, network])
    assert [run.name for run in table.runs] == [
        "C + Bi-LSTM",
        "A + Bi-GRU",
        "Ridge on connectivity",
        "Logistic regression on tangent-space connectivity",
    ]
    assert table.reference == "C + Bi-LSTM"


def test_the_reference_is_the_papers_best_the_first_or_what_is_asked_for(network, gru, ridge, tangent):
    assert compare([tangent, ridge, network]).reference == "C + Bi-LSTM"
    assert compare([tangent, gru, ridge]).reference == "A + Bi-GRU"
    assert compare([tangent, ridge]).reference == "Ridge on connectivity"
    by_system = compare([network, ridge], reference="ridge-connectivity")
    assert by_system.of(ridge).above_reference is None
    assert compare([network, ridge], reference=ridge.data.name).reference == by_system.reference
    assert by_system.of(network).above_reference.value == pytest.approx(
        -compare([network, ridge]).of(ridge).above_reference.value
    )
    with pytest.raises(ReferenceUnknownError) as refused:
        compare([network, ridge], reference="D-lstm")
    assert refused.value.found == "D-lstm"
    assert refused.value.expected == [network.data.name, ridge.data.name]


def test_other_people_or_folds_give_no_paired_difference_and_are_named(network, gru, ridge, reported):
    elsewhere = reported(n=160, people_seed=8, method="tangent-logistic", regions=POWER)
    dealt = replace(
        ridge,
        data=replace(
            ridge.data, predictions=tuple(replace(p, fold=(p.fold + 1) % 5) for p in ridge.data.predictions)
        ),
    )
    part = reported(**PEOPLE, seed=6, network="D", unfinished=(4,))
    table = compare([network, gru, elsewhere, dealt, part])
    assert table.of(gru).above_reference is not None
    assert [table.of(one).above_reference for one in (elsewhere, dealt, part)] == [None] * 3
    (said,) = (one for one in table.sentences if one.startswith("No paired difference"))
    assert "D + Bi-LSTM, Ridge on connectivity and Logistic regression on tangent" in said
    assert table_of(render([network, elsewhere])).count("minus C + Bi-LSTM") == 0
    assert comparing.shared_baselines([network, dealt]) == ()


def test_a_difference_that_draws_cannot_show_is_not_said_to_be_drawn(network, gru, reported):
    perfect = reported(**PEOPLE, seed=4, network="B", auc=0.999999)
    assert perfect.overall.auc.value == 1
    first, second, *_ = compare([network, gru, perfect]).sentences
    assert "on the same drawn people except where an AUC is exactly 1 or 0;" in first
    assert second.startswith(
        "An AUC of exactly 1 or 0 has part in a difference of B + Bi-LSTM: draws of people"
    )
    drawn = " ".join(compare([network, gru]).sentences)
    assert "on the same drawn people;" in drawn
    assert "exactly 1 or 0" not in drawn
    note = "* An AUC of exactly 1 or 0 has part in it: draws of people show too little there"
    assert note in render([perfect])
    assert note not in render([network])


def test_several_intervals_come_with_a_caution(network, gru, ridge):
    assert not any(MULTIPLE in sentence for sentence in compare([network, ridge]).sentences)
    (said,) = (one for one in compare([network, ridge, gru]).sentences if MULTIPLE in one)
    assert said.startswith("2 differences stand side by side")
    assert MULTIPLE in render([network, ridge, gru])


def test_ridge_is_the_baseline_where_it_was_measured_and_otherwise_the_run_of_it(network, ridge, reported):
    table = compare([network, ridge])
    assert table.ridge == "the baseline on connectivity"
    assert table.of(network).above_ridge == network.connectivity.difference
    without = [
        reported(**PEOPLE, seed=1, connectivity_auc=None),
        reported(**PEOPLE, seed=4, connectivity_auc=None, method="ridge-connectivity", regions=CUBES),
    ]
    table = compare(without)
    assert table.ridge == "Ridge on connectivity"
    assert table.of(without[1]).above_ridge is None, "against itself"
    areas = [roc_auc_score(one.data.labels, one.data.probabilities) for one in without]
    assert table.of(without[0]).above_ridge.value == pytest.approx(areas[0] - areas[1])
    assert compare(without[:1] * 2).ridge is None


def test_a_run_without_the_baseline_of_others_is_measured_by_the_run_of_ridge(network, reported):
    bare = reported(**PEOPLE, seed=2, network="A", connectivity_auc=None)
    ridge = reported(**PEOPLE, seed=4, connectivity_auc=None, method="ridge-connectivity", regions=CUBES)
    table = compare([network, bare, ridge], n_draws=300)
    assert table.of(network).above_ridge == network.connectivity.difference
    areas = [roc_auc_score(one.data.labels, one.data.probabilities) for one in (bare, ridge)]
    assert table.of(bare).above_ridge.value == pytest.approx(areas[0] - areas[1])
    assert table.of(ridge).above_ridge is None, "against itself"
    baseline, run = "the baseline on connectivity", "Ridge on connectivity"
    assert [table.of(one).ridge for one in (network, bare, ridge)] == [baseline, run, None]
    assert table.ridge == f"{baseline} of the runs that keep it, for the others the run {run}"
    found = run_json(bare, comparison=table)["comparison"]
    assert (found["ridge"], found["ridge_auc_difference"]) == (run, table.of(bare).above_ridge.to_json())
    rows = [row for row in figure_rows([network, bare, ridge], comparison=table) if row.part == "comparison"]
    assert {(row.run, row.name) for row in rows if row.name in {baseline, run}} >= {
        (network.data.name, baseline),
        (bare.data.name, run),
    }


def test_what_published_rows_say_is_what_was_really_done():
    rows = {row.name.split(",")[0]: row for row in published.COMPARISON_TABLE}
    assert rows["Zhang"].n == 1019
    assert "5 sites" in rows["Zhang"].cohort
    assert "each site left out once" in rows["Zhang"].protocol
    assert rows["Mao"].auc == "0.80"
    assert rows["Hong"].n is None


def test_published_rows_stand_below_ours_and_never_among_them(network, gru, ridge):
    html = render([network, gru, ridge])
    printed = {row.name for row in published.PUBLISHED}
    ours = names_in(table_of(html))
    assert ours[:3] == ["C + Bi-LSTM", "A + Bi-GRU", "Ridge on connectivity"]
    assert ours[-5:] == ["majority", "site", "phenotype", "motion", "connectivity"]
    assert not printed & set(ours)
    assert ">published<" not in table_of(html)
    start = html.index("<h3>Published on ADHD, not measured here</h3>")
    below = html[html.index("<table>", start) : html.index("</table>", start)]
    assert set(names_in(below)) == printed
    assert below.count(">published<") == len(printed)
    assert html.index("The runs") < start < html.index('id="run-1"')
    rows = figure_rows([network, gru, ridge])
    assert {row.run for row in rows if row.measured == "published"} == printed
    compared = [row for row in rows if row.part in {"comparison", "run"}]
    assert not printed & {row.run for row in compared}


def test_a_row_says_what_it_is_and_what_it_took(network, ridge):
    html = table_of(render([network, ridge]))
    assert "the network itself" in html
    assert "what a statistician tries first" in html
    assert "cubes (221)" in html
    assert "24,311" in html
    # One epoch a fold: 26, 26.3, ... seconds.
    assert ridge.training_seconds == pytest.approx(sum(26 + 0.3 * fold for fold in range(5)))
    assert "2 min 13 s" in html
    assert ridge.devices == ("cpu",)
    of_ridge = [
        (outcome.n_training, outcome.n_stopping, outcome.n_calibration) for outcome in ridge.data.outcomes
    ]
    for said, found in zip(ridge.inner_people, zip(*of_ridge, strict=True), strict=True):
        assert said == (str(found[0]) if len(set(found)) == 1 else f"{min(found)} to {max(found)}")
    assert ", ".join(ridge.inner_people) in html


def test_the_files_for_programs_hold_the_table(network, ridge):
    table = compare([network, ridge], n_draws=300)
    found = json.loads(json.dumps(run_json(ridge, comparison=table), allow_nan=False))
    assert (found["system"], found["kind"]) == ("ridge-connectivity", "what a statistician tries first")
    assert found["regions"] == {"name": "cubes", "n_regions": 221, "sha256": "a" * 64}
    assert (found["network"], found["rnn"]) == (None, None), "its settings name those of the defaults"
    assert found["comparison"]["reference"] == "C + Bi-LSTM"
    difference = table.of(ridge).above_reference
    assert found["comparison"]["auc_difference"] == difference.to_json()
    assert found["n_parameters"] == 24_311
    assert [row["name"] for row in found["published"]] == [row.name for row in published.PUBLISHED]
    assert run_json(network)["comparison"] is None
    assert (run_json(network)["network"], run_json(network)["rnn"]) == ("C", "lstm")
    rows = list(csv.DictReader(to_csv(figure_rows([network, ridge], comparison=table)).splitlines()))
    (row,) = (row for row in rows if row["part"] == "comparison" and row["name"] == "C + Bi-LSTM")
    assert (row["run"], float(row["low"])) == (ridge.data.name, round(difference.low, 4))
    seconds = {row["run"]: row for row in rows if row["metric"] == "training_seconds"}
    assert float(seconds[ridge.data.name]["value"]) == pytest.approx(ridge.training_seconds)
    assert seconds[ridge.data.name]["note"] == "what a statistician tries first; cubes (221)"
    overall = {row["name"] for row in rows if row["part"] == "overall" and row["measured"] == "here"}
    assert {"network", "ridge-connectivity"} <= overall
    assert {row["metric"] for row in rows if row["part"] == "baseline" and row["run"] == ridge.data.name} >= {
        "auc_of_method_minus_this"
    }


def test_a_linear_run_alone_is_called_a_method_everywhere(ridge):
    html = render([ridge])
    text = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
    # What others published has networks.
    own = text[: text.index("Beside what others printed")]
    assert "network" not in own.casefold()
    assert "C + Bi-LSTM" not in own
    assert "ADHD from resting-state scans: Ridge on connectivity" in own
    assert "Ridge on connectivity was right on" in own
    assert "Learning curves" not in own
    assert "weights of epoch" not in own
    assert "solved at once" in own
    assert "batch_size" not in own, "a setting that it does not obey"


def test_ridge_is_not_measured_against_itself(ridge, reported):
    assert not [banner.code for banner in banners(ridge) if banner.code.startswith("connectivity")]
    assert "ridge on connectivity reaches" not in " ".join(answer(ridge))
    without = reported(**PEOPLE, seed=4, connectivity_auc=None, method="ridge-connectivity", regions=CUBES)
    assert "connectivity_not_measured" not in [banner.code for banner in banners(without)]
    strong = reported(**PEOPLE, seed=5, method="tangent-logistic", regions=POWER, connectivity_auc=0.9)
    (banner,) = (one for one in banners(strong) if one.code.startswith("connectivity"))
    assert "the method" in f"{banner.text} ".casefold()


def test_the_yardstick_counts_only_what_can_be_measured_by_it(network, ridge):
    said = answer_to_several({"network": network, "ridge": ridge})[2]
    assert said.startswith("Of the other runs: ")
    assert "of 2" not in said


def test_figures_of_networks_are_of_networks_alone(network, gru, ridge, tangent):
    runs = [tangent, network, ridge, gru]
    headings = [one.heading for one in comparing.metrics_by_network(runs)]
    assert headings == ["Networks with a Bi-LSTM", "Networks with a Bi-GRU"]
    assert comparing.metrics_by_network([ridge, tangent]) == []
    assert comparing.convergence_by_network([ridge, tangent]) == []
    assert comparing.memory_by_network([ridge, tangent]) == []
    html = render([ridge, tangent])
    assert "Networks side by side" not in html
    assert "Learning curves" not in html
    assert render(runs).count("Learning curves") == 2


def test_a_sentence_about_runs_of_several_kinds_calls_them_systems(network, ridge, tangent, reported):
    apart = reported(n=160, people_seed=8, method="ridge-connectivity", regions=CUBES)
    moved = apart.data.record.model_copy(update={"cohort_fingerprint": "f" * 64})
    apart = replace(apart, data=replace(apart.data, record=moved))
    assert "as well as from the system." in comparing.differences_between([network, apart])[0]
    assert "as well as from the method." in comparing.differences_between([tangent, apart])[0]


def test_many_runs_with_one_banner_are_counted_and_few_are_named(network, reported):
    without = reported(**PEOPLE, seed=1, connectivity_auc=None)

    def said(number):
        runs = {"with": network} | {f"run {i}": without for i in range(number)}
        (banner,) = (one for one in banners_of_several(runs) if one.code == "connectivity_not_measured")
        return banner.text

    assert said(5).startswith("5 of 6 runs: ")
    assert said(2).startswith("run 0 and run 1: ")


def test_runs_of_one_method_are_told_apart_by_regions_folder_and_number(ridge, reported):
    power = reported(**PEOPLE, seed=4, method="ridge-connectivity", regions=POWER, auc=0.7)
    named = comparing.named([ridge, power], by=lambda report: report.title)
    assert list(named) == ["Ridge on connectivity, cubes", "Ridge on connectivity, power264"]
    twice = comparing.named([ridge, ridge], by=lambda report: report.title)
    alone = f"Ridge on connectivity, cubes ({ridge.data.name})"
    assert list(twice) == [alone, f"{alone}, 2"]


def test_two_folders_of_one_name_stay_two_runs(tmp_path):
    runs = [
        made_up_run(tmp_path / part / "C-lstm", n=60, people_seed=1, seed=seed)
        for seed, part in enumerate(("one", "other"))
    ]
    written = write_report(runs, tmp_path / "out")
    assert len(written.comparison.runs) == len(written.objects) == 2
    assert (tmp_path / "out" / "report.html").read_text().count('<section class="run"') == 2


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (61.4, "1 min 1 s"), (7_260, "2 h 1 min")]
)
def test_how_long_it_took_is_written_in_two_units(seconds, words):
    assert duration(seconds) == words
