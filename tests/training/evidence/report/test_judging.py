from dataclasses import replace

import pytest
from sklearn.metrics import roc_auc_score

from training.evidence.estimates import Estimate
from training.evidence.report.banners import banners, banners_of_several
from training.evidence.report.judging import answer, answer_to_several, unbeaten
from training.evidence.report.wording import area, change, listed, percent

SITE_ONLY = {
    "n": 240,
    "auc": 0.5,
    "site_cases": {"NYU": 0.85, "Peking": 0.2, "NeuroIMAGE": 0.3},
    "site_logit": 8.0,
}


def codes(report):
    return [banner.code for banner in banners(report)]


def test_a_good_network_is_called_better_without_a_banner(reported):
    report = reported(n=200)
    assert codes(report) == []
    said = " ".join(answer(report))
    right = report.overall.tp + report.overall.tn
    assert f"was right on {right} of 200 people" in said
    assert "That is better than chance, as far as 200 people can tell." in said
    assert "the network is better than that" in said


def test_chance_is_called_chance(reported):
    report = reported(n=120, auc=0.5)
    assert report.overall.auc.low < 0.5 < report.overall.auc.high
    assert {"chance", "baseline_as_good"} <= set(codes(report))
    assert "not shown to be better than chance" in " ".join(answer(report))


def test_a_baseline_that_is_as_good_is_named_at_the_top(reported):
    report = reported(n=200, auc=0.55, phenotype_effect=1.2)
    banner = next(banner for banner in banners(report) if banner.code == "baseline_as_good")
    assert "baseline phenotype (AUC 0.7" in banner.text
    assert unbeaten(report)[0].name == "phenotype"
    assert "the network is worse than that" in " ".join(answer(report))


def test_a_linear_method_that_is_as_good_is_named_at_the_top(reported):
    report = reported(n=200, connectivity_auc=0.72)
    banner = next(banner for banner in banners(report) if banner.code == "connectivity_as_good")
    assert f"AUC {report.connectivity.evaluation.auc.value:.2f}" in banner.text
    said = " ".join(answer(report))
    assert "ridge on connectivity reaches AUC 0.7" in said
    assert "Without looking at a brain, the best baseline, connectivity" not in said
    assert unbeaten(report) == [], "it is none of those that never saw a brain"


def test_a_linear_method_that_is_better_is_said_to_be(reported):
    report = reported(n=400, auc=0.6, connectivity_auc=0.9)
    assert report.connectivity.difference.high < 0
    banner = next(banner for banner in banners(report) if banner.code.startswith("connectivity"))
    assert (banner.code, banner.title) == ("connectivity_better", "Beaten by a linear method")
    assert f"AUC {report.connectivity.evaluation.auc.value:.2f}" in banner.text


def test_a_missing_yardstick_is_said_to_be_missing(reported):
    report = reported(n=200, connectivity_auc=None)
    assert codes(report) == ["connectivity_not_measured"]
    assert "ridge on connectivity" not in " ".join(answer(report))


def test_site_alone_is_said_to_explain_the_result(reported):
    report = reported(**SITE_ONLY)
    within = report.site.within_site
    assert within.low < 0.5 < within.high
    assert report.overall.auc.low > 0.6
    banner = next(banner for banner in banners(report) if banner.code == "site_explains")
    assert "Site explains the result" in banner.text


def test_sites_that_cannot_be_compared_are_not_said_to_explain_the_result(reported):
    report = reported(n=240, auc=0.8, site_cases={"NYU": 1.0, "Peking": 0.0, "NeuroIMAGE": 0.0})
    assert report.site.finding == "inseparable"
    (banner,) = (banner for banner in banners(report) if banner.code.startswith("site"))
    assert (banner.code, banner.title) == ("site_inseparable", "May be about sites alone")
    assert banner.text == report.site.sentence
    assert banner.brief.endswith("these data cannot tell.")
    assert report.site.sentence not in answer(report), "it is said once at the head of the page"


def test_above_75_percent_on_people_is_a_bug_until_proven_otherwise(reported):
    people = reported(n=80, auc=0.97)
    assert people.overall.accuracy.value > 0.75
    assert codes(people)[0] == "too_good"
    assert banners(people)[0].weight == "danger"
    simulated = reported(n=80, auc=0.97, simulated=True)
    assert "too_good" not in codes(simulated)
    assert codes(simulated)[0] == "simulated"
    assert "simulated subjects" in answer(simulated)[0]
    assert "people" not in " ".join(answer(simulated))


def test_simulated_scans_among_others_are_neither_people_nor_nobody(reported):
    report = reported(n=80, auc=0.97, simulated=True, mixed=True)
    first = banners(report)[0]
    assert (first.weight, first.code, first.title) == ("danger", "simulated", "Simulated scans among others")
    assert "too_good" not in codes(report)
    said = " ".join([*answer(report), *(banner.text for banner in banners(report))])
    assert "80 subjects" in said
    for untrue in ("people", "simulated subjects", "No person"):
        assert untrue not in said


def test_worse_than_chance_is_a_mistake_to_look_for(reported):
    report = reported(n=120, auc=0.2)
    assert codes(report)[0] == "worse_than_chance"
    assert "a mistake in labels or folds" in " ".join(answer(report))


@pytest.mark.parametrize("seed", range(4))
def test_a_network_that_knows_nothing_is_not_called_worse_than_chance_at_new_sites(reported, seed):
    shares = {"NYU": 0.6, "Peking": 0.35, "NeuroIMAGE": 0.05}
    asked = {"n": 240, "auc": 0.5, "site_cases": shares, "seed": seed, "leave_site_out": True}
    # Its answers lean as those of models that were trained at the other sites.
    report = reported(**asked, protocol="paper", site_logit=-2.13)
    assert roc_auc_score(report.data.labels, report.data.probabilities) < 0.4
    assert report.overall.auc.high > 0.5
    assert "age, sex, handedness and IQ; no model knows the site" in report.words_for("phenotype")
    assert report.baselines[0].evaluation.auc.value == 0.5, "majority"
    assert report.baselines[1].evaluation.auc.value == 0.5, "site"
    assert abs(report.site.auc.value - report.overall.auc.value) < 1e-9


def test_a_network_with_one_answer_for_everybody_decided_nothing(reported):
    report = reported(n=200)
    collapsed = replace(
        report.overall,
        tp=0,
        fn=report.n_cases,
        fp=0,
        tn=report.n - report.n_cases,
        accuracy=report.baselines[0].evaluation.accuracy,
    )
    found = replace(report, overall=collapsed)
    banner = next(banner for banner in banners(found) if banner.code == "one_answer")
    assert banner.text == "The network called every one of 200 people control: it decided nothing."
    guessing = report.baselines[0].evaluation.accuracy.value
    assert f"right as often or more: {100 * guessing:.1f} %" in " ".join(answer(found))
    assert "larger class is right" not in " ".join(answer(report))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"n": 80, "protocol": "paper"}, "small_sample"),
        ({"n": 200, "unfinished": (4,)}, "unfinished"),
        ({"n": 80, "protocol": "paper"}, "uncalibrated"),
        ({"n": 200, "leave_site_out": True}, "leave_site_out"),
    ],
)
def test_what_limits_a_run_has_its_banner(reported, asked, code):
    assert code in codes(reported(**asked))
    assert code not in codes(reported(n=200))


def test_leave_site_out_is_said_with_the_result(reported):
    assert "never seen any subject of that site" in answer(reported(n=200, leave_site_out=True))[0]


def test_the_gravest_banner_stands_first(reported):
    weights = [banner.weight for banner in banners(reported(n=80, auc=0.97, simulated=True))]
    assert weights == sorted(weights, key=("danger", "warning", "note").index)
    assert len(set(weights)) > 1


def with_auc(report, value):
    return replace(report, overall=replace(report.overall, auc=Estimate(value, 0.5, 1.0)))


def test_who_has_the_highest_and_the_lowest_area_is_said_and_nobody_ranked(reported):
    report = reported(n=200)

    def said(*areas):
        runs = {f"run {number}": with_auc(report, value) for number, value in enumerate(areas, 1)}
        return answer_to_several(runs)[0]

    assert said(0.6, 0.8, 0.7) == (
        "run 2 has the highest AUC, 0.80 [0.50, 1.00], and run 1 has the lowest, "
        "0.60 [0.50, 1.00]; brackets hold 95 % intervals."
    )
    assert said(0.996, 0.7, 1.0, 0.7) == (
        "run 1 and run 3 have the highest AUC, the same to two decimals, 1.00, and run 2 and run 4 "
        "have the lowest, the same to two decimals, 0.70; brackets hold 95 % intervals."
    )
    assert said(1.0, 1.0, 1.0, 1.0, 1.0, 0.6).startswith(
        "5 of 6 runs have the highest AUC, the same to two decimals, 1.00, and run 6 has the lowest, 0.60 ["
    )
    assert said(0.701, 0.699) == (
        "Every run has the same AUC to two decimals, 0.70; brackets hold 95 % intervals."
    )


def test_several_runs_share_a_banner_and_a_choice_among_them_is_called_one(reported):
    runs = {"good": reported(n=200), "weak": reported(n=200, auc=0.55, phenotype_effect=1.2)}
    merged = {banner.code: banner.text for banner in banners_of_several(runs)}
    assert merged["baseline_as_good"].startswith("weak: ")
    ranking, shown, yardstick, chosen = answer_to_several(runs)
    assert ranking.startswith("good has the highest AUC, 0.7")
    assert "1 of 2 is shown to be better than every baseline" in shown
    assert yardstick.endswith(
        "shown to be better than ridge regression on the connectivity of the same scans."
    )
    assert "expect less" in chosen
    without = {"one": reported(n=200, connectivity_auc=None), "other": runs["weak"]}
    compared = "of 2 runs has ridge regression on the connectivity of the same scans for a baseline"
    assert answer_to_several(without)[2] == f"Only 1 {compared}: none is shown to be better."
    beaten = {"one": without["one"], "other": reported(n=400, auc=0.9, connectivity_auc=0.6)}
    assert answer_to_several(beaten)[2] == f"Only 1 {compared}: it is shown to be better."
    assert len(answer_to_several({"one": without["one"]})) == 3
    alike = {"one": runs["weak"], "other": runs["weak"]}
    texts = {banner.code: banner.text for banner in banners_of_several(alike)}
    assert texts["baseline_as_good"].startswith(
        "All runs: The network is not shown to be better than the baseline"
    )


def test_figures_are_written_with_their_intervals():
    assert percent(Estimate(0.6543, 0.6, 0.7)) == "65.4 % [60.0, 70.0]"
    assert area(Estimate(0.6543, 0.6, 0.7)) == "0.65 [0.60, 0.70]"
    assert change(Estimate(-0.0004, -0.1, 0.1)) == "+0.000 [\N{MINUS SIGN}0.100, +0.100]"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a"]) == "a"
