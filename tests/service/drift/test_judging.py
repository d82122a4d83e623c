"""When scans differ from a reference, and when they do not."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from service.drift.distance import fit_cloud, own_distances
from service.drift.judging import Finding, Rule, judge
from service.drift.reference import Reference, build_reference
from service.drift.scans import week_of
from service.drift.variables import Beside
from tests.service.drift.people import draw, seen


def alarming(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.site, finding.variable) for finding in findings if finding.alarm}


def test_another_repetition_time_and_noise_alarm_and_the_same_population_does_not() -> None:
    generator = np.random.default_rng(1)
    reference = build_reference(draw(generator, 80), fitted=False)
    same = judge(seen(draw(generator, 300)), reference)
    assert {finding.variable for finding in same} >= {"tr_s", "dvars_mean", "embedding_distance", "decision"}
    assert alarming(same) == set()
    changed = judge(seen(draw(generator, 300, noise=0.1, tr_s=1.5)), reference)
    assert alarming(changed) == {("", "tr_s"), ("", "dvars_mean"), ("", "duration_s")}


def test_a_site_alone_is_named_and_the_others_are_not() -> None:
    generator = np.random.default_rng(2)
    reference = build_reference(draw(generator, 80), fitted=False)
    scans = seen(draw(generator, 200), site="nyu") + seen(draw(generator, 20, noise=0.3), site="peking")
    assert alarming(judge(scans, reference)) == {("peking", "dvars_mean")}


def test_a_site_is_no_population_in_small_and_alarms_only_for_what_the_reference_has_not() -> None:
    generator = np.random.default_rng(12)
    mixed = draw(generator, 60) + draw(generator, 40, tr_s=2.5)
    reference = build_reference(mixed, fitted=False)
    scans = seen(draw(generator, 90), site="nyu") + seen(draw(generator, 60, tr_s=2.5), site="kki")
    assert alarming(judge(scans, reference)) == set()
    scans = seen(draw(generator, 90), site="nyu") + seen(draw(generator, 60, tr_s=1.2), site="kki")
    assert ("kki", "tr_s") in alarming(judge(scans, reference))


def test_a_duration_that_the_reference_rounded_is_the_same_duration() -> None:
    generator = np.random.default_rng(13)
    # 182.32 but for the last digits of a double.
    reference = build_reference(draw(generator, 80, tr_s=1.06), fitted=False)
    assert 172 * 1.06 != 182.32
    assert alarming(judge(seen(draw(generator, 40, tr_s=1.06)), reference)) == set()


def test_few_scans_are_not_judged() -> None:
    generator = np.random.default_rng(3)
    reference = build_reference(draw(generator, 80), fitted=False)
    assert judge(seen(draw(generator, 9, noise=5.0)), reference) == []
    assert judge(seen(draw(generator, 10, noise=5.0)), reference) != []


def test_ten_scans_of_a_repetition_time_that_was_never_seen_alarm() -> None:
    generator = np.random.default_rng(10)
    times = draw(generator, 60) + draw(generator, 30, tr_s=2.5) + draw(generator, 10, tr_s=1.8)
    reference = build_reference(times, fitted=False)
    assert ("", "tr_s") in alarming(judge(seen(draw(generator, 10, tr_s=1.2)), reference))


def test_scans_of_sites_without_a_group_are_judged_among_all_alone() -> None:
    generator = np.random.default_rng(11)
    reference = build_reference(draw(generator, 80), fitted=False)
    scans = seen(draw(generator, 20)) + seen(draw(generator, 20, noise=0.3), site="others")
    assert {finding.site for finding in judge(scans, reference)} == {"", "nyu"}


def test_a_site_is_compared_with_its_own_people_where_the_reference_knows_them() -> None:
    generator = np.random.default_rng(14)
    mixed = seen(draw(generator, 40)) + seen(draw(generator, 40, noise=0.3), site="peking")
    reference = Reference.from_json(build_reference(mixed, fitted=False).to_json())
    assert {site: sample.people for site, sample in reference.sites.items()} == {"nyu": 40, "peking": 40}
    rest = seen(draw(generator, 40, noise=0.3), site="peking")
    assert alarming(judge(seen(draw(generator, 40)) + rest, reference)) == set()
    # What is usual at the other site is not at this one.
    findings = judge(seen(draw(generator, 40, noise=0.3)) + rest, reference)
    assert ("nyu", "dvars_mean") in alarming(findings)
    assert ("peking", "dvars_mean") not in alarming(findings)
    assert {finding.beside for finding in findings if finding.site == "nyu"} == {Beside.ITS_PEOPLE}
    assert {finding.beside for finding in findings if not finding.site} == {Beside.REFERENCE}


def test_a_site_that_the_reference_does_not_know_is_compared_with_its_own_first_weeks() -> None:
    generator = np.random.default_rng(15)
    # Much wider than what either site does.
    reference = build_reference(
        draw(generator, 50, noise=-0.5) + draw(generator, 50) + draw(generator, 50, noise=0.5), fitted=True
    )
    before = [
        *seen(draw(generator, 16, noise=0.2), week="2026-W40"),
        *seen(draw(generator, 16, noise=0.2), week="2026-W41"),
        *seen(draw(generator, 200), week="2026-W41", site="peking"),
    ]
    same = judge([*before, *seen(draw(generator, 30, noise=0.2), week="2026-W42")], reference)
    assert alarming(same) <= {("", "dvars_mean")}
    first = {finding.beside for finding in same if finding.site == "nyu" and finding.week < "2026-W42"}
    assert first == {Beside.REFERENCE}
    changed = judge([*before, *seen(draw(generator, 30, noise=0.3, apart=30), week="2026-W42")], reference)
    # Of its model too, though that was fitted on the reference.
    alarms = [finding for finding in changed if finding.alarm and finding.site]
    assert alarming(alarms) == {("nyu", "dvars_mean"), ("nyu", "embedding_distance")}
    assert {(finding.week, finding.beside) for finding in alarms} == {("2026-W42", Beside.FIRST_WEEKS)}


def test_one_named_site_alone_is_a_site_and_scans_without_a_name_are_a_population() -> None:
    generator = np.random.default_rng(16)
    mixed = draw(generator, 60) + draw(generator, 60, noise=0.3)
    reference = build_reference(mixed, fitted=False)
    scans = draw(generator, 60)
    assert alarming(judge(seen(scans), reference)) == set()
    assert ("", "dvars_mean") in alarming(judge(seen(scans, site="?"), reference))


def test_a_difference_too_small_to_matter_is_none_however_many_scans_show_it() -> None:
    generator = np.random.default_rng(4)
    reference = build_reference(draw(generator, 5000), fitted=False)
    findings = judge(seen(draw(generator, 5000, noise=0.015), site="?"), reference)
    [dvars] = [finding for finding in findings if finding.variable == "dvars_mean"]
    assert dvars.corrected_p < 1e-10
    assert 0.05 < dvars.statistic < 0.2
    assert alarming(findings) == set()
    assert alarming(
        judge(seen(draw(generator, 5000, noise=0.015), site="?"), reference, Rule(least_effect=0.0))
    )


def test_what_a_model_says_of_its_own_training_subjects_is_described_and_not_judged() -> None:
    generator = np.random.default_rng(5)
    scans = draw(generator, 80)
    far = seen(draw(generator, 100, apart=40.0))
    assert ("", "embedding_distance") in alarming(judge(far, build_reference(scans, fitted=False)))
    findings = judge(far, build_reference(scans, fitted=True))
    [distance] = [finding for finding in findings if finding.variable == "embedding_distance"]
    assert distance.statistic > 0.9
    assert (distance.judged, distance.alarm, distance.corrected_p) == (False, False, 1.0)
    assert alarming(findings) == set()


def test_the_reference_comes_back_from_json_as_it_was_and_names_nobody() -> None:
    generator = np.random.default_rng(6)
    scans = draw(generator, 40)
    reference = build_reference(scans, fitted=False)
    again = Reference.from_json(reference.to_json())
    probe = seen(draw(generator, 30))
    assert judge(probe, again) == judge(probe, reference)
    values = reference.numbers["dvars_mean"]
    assert list(values) == sorted(values)
    assert len(values) == 40


def test_a_variable_that_the_cohort_does_not_hold_is_none() -> None:
    generator = np.random.default_rng(7)
    reference = build_reference(draw(generator, 40), fitted=False)
    assert "tsnr" not in reference.numbers
    assert "grid" not in reference.kinds
    scans = seen([type(scan)({**scan.figures, "tsnr": 50.0, "grid": "x"}) for scan in draw(generator, 20)])
    assert not {"tsnr", "grid"} & {finding.variable for finding in judge(scans, reference)}


def test_distances_follow_the_clouds_own_spread() -> None:
    generator = np.random.default_rng(8)
    points = generator.normal(size=(4000, 3)) * [1.0, 10.0, 0.1]
    cloud = fit_cloud(points)
    # Two of each one's own standard deviations away.
    found = cloud.distances(np.array([[2.0, 0, 0], [0, 20.0, 0]]))
    np.testing.assert_allclose(found, 2.0, rtol=0.08)


def test_own_distances_are_like_those_of_new_scans_of_the_same_population() -> None:
    generator = np.random.default_rng(9)
    spread = np.arange(1, 17) ** 2
    own, fitted, new = [], [], []
    for _ in range(20):
        points = generator.normal(size=(40, 16)) * spread
        cloud = fit_cloud(points)
        own += own_distances(points).tolist()
        # From the cloud that they helped to fit they seem nearer.
        fitted += cloud.distances(points).tolist()
        new += cloud.distances(generator.normal(size=(40, 16)) * spread).tolist()
    assert np.mean(own) == pytest.approx(np.mean(new), rel=0.03)
    assert np.mean(fitted) < 0.95 * np.mean(new)


@pytest.mark.parametrize(
    ("moment", "week"),
    [
        (datetime(2026, 11, 29, 23, 59, tzinfo=UTC), "2026-W48"),
        (datetime(2026, 11, 30, tzinfo=UTC), "2026-W49"),
        # The first days of a year may belong to the last week of the one before.
        (datetime(2027, 1, 1, 12, tzinfo=UTC), "2026-W53"),
        (datetime(2026, 11, 30, 1, tzinfo=timezone(timedelta(hours=3))), "2026-W48"),
    ],
)
def test_weeks_are_those_of_iso_8601_in_utc(moment: datetime, week: str) -> None:
    assert week_of(moment) == week
