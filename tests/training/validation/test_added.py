"""People who are only trained on: who may be, and that no evaluated part ever holds one of them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from imaging import brain_cube
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import QUICK, SPEC, series_of, tiny_store, tiny_subjects
from training.added_people import AddedPeopleGoneError, added_index
from training.challenge.leaks import find_overlap
from training.challenge.people import EvaluationSet
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import SERIES_FOLDER
from training.fitting import logits
from training.run_files import read_rows
from training.runs import (
    ADDED_FOLDER,
    INNER_PREDICTIONS_FILE,
    PREDICTIONS_FILE,
    SUBJECTS_FILE,
    InnerPrediction,
    Prediction,
    RunSubject,
    read_run,
)
from training.validation.added import AddedPeopleDifferError, choose_added, keep_added
from training.validation.cross_validation import HeldOutReleaseError, finish_run, plan_run, train_run
from training.validation.fold import WEIGHTS_FILE, train_fold
from training.validation.run_folder import RunDiffersError

WAYS = {
    "nested": {},
    "paper": {"protocol": "paper"},
    "frozen": {"encoder": "frozen", "feature_norm": "batch"},
    "not watched": {"inner_stopping": 0.0},
}


def others(folder, *, n=5, **changes):
    """People of elsewhere, with ids of their own."""
    subjects = [
        replace(one, subject_id=str(900 + number), site="elsewhere")
        for number, one in enumerate(tiny_subjects(n))
    ]
    series = {one.subject_id: [series_of(one)] for one in subjects}
    settings = {"name": "others", "spec": SPEC} | changes
    return write_store(folder, subjects=subjects, series=series, **settings)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("cohorts") / "cohort")


@pytest.fixture(scope="module")
def added(store, tmp_path_factory):
    return choose_added(store, others(tmp_path_factory.mktemp("added") / "others"))


@pytest.fixture
def watched(monkeypatch):
    """The people that networks are fitted to, and those that they are asked about."""
    seen = {"fitted": [], "asked": []}
    from training.fitting import fit as fitting
    from training.methods import fold_model

    fitted, asked = fitting.packed_batches, logits.subject_logits
    encoded = fitting.encoded_logits

    def pack(people, **options):
        seen["fitted"] += [one.subject_id for one in people]
        return fitted(people, **options)

    def ask(answer):
        def look(network, people, **options):
            seen["asked"] += [one.subject_id for one in people]
            return answer(network, people, **options)

        return look

    monkeypatch.setattr(fitting, "packed_batches", pack)
    monkeypatch.setattr(fitting, "subject_logits", ask(asked))
    monkeypatch.setattr(fitting, "encoded_logits", ask(encoded))
    monkeypatch.setattr(fold_model, "subject_logits", ask(asked))
    return seen


@pytest.mark.parametrize("way", WAYS)
def test_added_people_are_fitted_in_every_fold_and_asked_about_in_none(way, store, added, watched, tmp_path):
    settings = QUICK.model_copy(update={"epochs": 1, **WAYS[way]})
    run = tmp_path / "run"
    plan_run(store, store.subjects, settings=settings, out=run, device="cpu", added=added)
    theirs = {f"added/{one.subject_id}" for one in added.people}
    for fold in range(2):
        watched["fitted"].clear()
        outcome = train_fold(run, fold, cohort=store.folder, device="cpu")
        assert theirs <= set(watched["fitted"])
        assert outcome.n_added == len(theirs) == 5
        assert outcome.n_training + outcome.n_stopping + outcome.n_calibration + outcome.n_test == 16
    assert watched["asked"]
    assert {one for one in watched["asked"] if "added" in one or one.startswith("9")} == set()
    finish_run(run)
    cohorts = {subject.subject_id for subject in store.subjects}
    for name, row in ((PREDICTIONS_FILE, Prediction), (INNER_PREDICTIONS_FILE, InnerPrediction)):
        assert {one.subject_id for one in read_rows(run, name, row)} <= cohorts
    assert {one.subject_id for one in read_rows(run, SUBJECTS_FILE, RunSubject)} == cohorts


def test_they_change_the_weights_but_neither_folds_nor_parts(store, added, tmp_path):
    plain, more = tmp_path / "plain", tmp_path / "more"
    plan_run(store, store.subjects, settings=QUICK, out=plain, device="cpu")
    plan_run(store, store.subjects, settings=QUICK, out=more, device="cpu", added=added)
    assert (plain / SUBJECTS_FILE).read_bytes() == (more / SUBJECTS_FILE).read_bytes()
    parts = []
    for run in (plain, more):
        train_fold(run, 0, cohort=store.folder, device="cpu")
        rows = read_rows(run / "folds/0", INNER_PREDICTIONS_FILE, InnerPrediction)
        parts.append([(one.subject_id, one.part) for one in rows])
    assert parts[0] == parts[1]
    weights = [(run / "folds/0" / WEIGHTS_FILE).read_bytes() for run in (plain, more)]
    assert weights[0] != weights[1]
    assert "n_added" not in (plain / "folds/0/outcome.json").read_text()


def test_card_record_and_population_say_who_was_added(store, added, tmp_path):
    run = train_run(
        store,
        store.subjects,
        settings=QUICK.model_copy(update={"epochs": 1}),
        out=tmp_path / "run",
        device="cpu",
        added=added,
    )
    card, record = finish_run(run), read_run(run)
    assert record.added is not None
    assert (record.added.name, record.added.n_subjects, record.added.n_cases) == ("others", 5, 2)
    assert record.cohort_fingerprint == store.fingerprint(store.subjects)
    assert card.cohort_fingerprint == record.trained_fingerprint != record.cohort_fingerprint
    assert card.trained_on.endswith(
        "; and 5 simulated subjects added from others, who are measured nowhere: 2 with ADHD, 3 controls"
    )
    assert card.metrics["measured_on"].startswith("16 ")
    assert card.population is not None
    assert (card.population.subjects, card.population.cases) == (21, 10)
    assert (card.population.sites, card.population.subjects_at_unnamed_sites) == ({"KKI": 8, "NYU": 8}, 5)


def test_a_run_without_them_is_written_as_before(store, tmp_path):
    plan_run(store, store.subjects, settings=QUICK, out=tmp_path / "run", device="cpu")
    assert "added" not in (tmp_path / "run/run.json").read_text()
    assert read_run(tmp_path / "run").trained_fingerprint == store.fingerprint(store.subjects)
    assert not (tmp_path / "run" / ADDED_FOLDER).exists()


def test_whoever_might_be_of_the_cohort_is_left_out(store, tmp_path):
    """By a file or series of theirs, whatever they are called, and by an id, whatever their scans."""
    strangers = tiny_subjects(4)
    in_cohort = store.subjects[5]
    people = [
        replace(strangers[0], subject_id="901"),
        replace(in_cohort, subject_id="902"),
        replace(strangers[1], subject_id=store.subjects[7].subject_id),
        replace(strangers[2], subject_id="904", label=None),
    ]
    series = {one.subject_id: [series_of(one, seed=9)] for one in people}
    # Two scans, of which one is the cohort's.
    series["902"].append(np.asarray(series_of(in_cohort)))
    found = choose_added(
        store, write_store(tmp_path / "other", subjects=people, series=series, spec=SPEC, name="other")
    )
    assert [one.subject_id for one in found.people] == ["901"]
    assert found.left_out == {"same_scan": ("902",), "same_id": ("107",), "without_label": ("904",)}


def test_people_prepared_or_described_in_another_way_are_refused(store, tmp_path):
    real = others(tmp_path / "real", simulated=False)
    with pytest.raises(AddedPeopleDifferError, match="simulated True as in the cohort, found False"):
        choose_added(store, real)
    wider = others(tmp_path / "wider", spec=replace(SPEC, n_windows=3))
    with pytest.raises(AddedPeopleDifferError) as refusal:
        choose_added(store, wider)
    assert (refusal.value.field, refusal.value.expected, refusal.value.found) == ("n_windows", "2", "3")


def test_the_test_release_is_kept_out_of_the_added_ones_too(store, tmp_path):
    people = [replace(one, subject_id=f"9{one.subject_id}", release="test") for one in tiny_subjects(2)]
    series = {one.subject_id: [series_of(one)] for one in people}
    kept = choose_added(store, write_store(tmp_path / "kept", subjects=people, series=series, spec=SPEC))
    with pytest.raises(HeldOutReleaseError):
        plan_run(store, store.subjects, settings=QUICK, out=tmp_path / "run", device="cpu", added=kept)
    assert not (tmp_path / "run").exists()


def test_nobody_of_the_site_left_out_is_added_to_its_fold(store, watched, tmp_path):
    people = [
        replace(one, subject_id=f"90{number}", site=site)
        for number, (one, site) in enumerate(
            zip(tiny_subjects(4), ["nyu_2", "Elsewhere", " KKI ", ""], strict=True)
        )
    ]
    source = write_store(
        tmp_path / "other",
        subjects=people,
        series={one.subject_id: [series_of(one)] for one in people},
        spec=SPEC,
    )
    addition = choose_added(store, source, split="leave_site_out")
    assert addition.left_out == {"site_unknown": ("903",)}
    settings = QUICK.model_copy(update={"epochs": 1})
    run = tmp_path / "run"
    record = plan_run(
        store,
        store.subjects,
        settings=settings,
        out=run,
        device="cpu",
        split="leave_site_out",
        added=addition,
    )
    fitted = {}
    for fold, name in enumerate(record.fold_names):
        watched["fitted"].clear()
        assert train_fold(run, fold, cohort=store.folder, device="cpu").n_added == 2
        fitted[name] = {one for one in watched["fitted"] if one.startswith("added/")}
    assert fitted == {"NYU": {"added/901", "added/902"}, "KKI": {"added/900", "added/901"}}


def test_a_run_goes_on_with_the_same_people_and_refuses_others(store, added, tmp_path):
    run = tmp_path / "run"
    plan_run(store, store.subjects, settings=QUICK, out=run, device="cpu", added=added)
    plan_run(store, store.subjects, settings=QUICK, out=run, device="cpu", added=added)
    fewer = replace(added, people=added.people[:3])
    for other in (fewer, None):
        with pytest.raises(RunDiffersError, match="added"):
            plan_run(store, store.subjects, settings=QUICK, out=run, device="cpu", added=other)


def test_maps_of_added_people_are_copied_with_their_series(store, tmp_path):
    n_voxels = int(brain_cube(SPEC.grid_size).mask.sum())
    maps = np.random.default_rng(8).standard_normal((5, n_voxels)).astype(np.float32)
    some = others(tmp_path / "others", maps={"901": [maps]})
    keep_added(tmp_path / "run", choose_added(store, some))
    copy = CohortStore.open(tmp_path / "run" / ADDED_FOLDER)
    copy.verify()
    np.testing.assert_array_equal(copy.maps(copy.scans_of("901")[0]), maps)
    assert len(list((copy.folder / "maps").iterdir())) == 1


def test_a_fold_whose_added_people_are_gone_or_others_is_not_trained(store, added, tmp_path):
    run = tmp_path / "run"
    plan_run(store, store.subjects, settings=QUICK, out=run, device="cpu", added=added)
    shutil.rmtree(run / ADDED_FOLDER / SERIES_FOLDER)
    with pytest.raises(AddedPeopleGoneError, match="not every series"):
        train_fold(run, 0, cohort=store.folder, device="cpu")
    shutil.rmtree(run / ADDED_FOLDER)
    with pytest.raises(AddedPeopleGoneError, match="none that can be read"):
        train_fold(run, 0, cohort=store.folder, device="cpu")
    others(run / ADDED_FOLDER, n=4)
    with pytest.raises(AddedPeopleGoneError, match="found others"):
        train_fold(run, 0, cohort=store.folder, device="cpu")
    with pytest.raises(FileNotFoundError):
        (run / "folds/0/outcome.json").stat()


def test_an_evaluation_set_finds_its_people_among_the_added_ones(store, added, tmp_path):
    """Also once the copies of the series are gone from the run's folder."""
    people = [replace(one, subject_id=f"7{one.subject_id}") for one in tiny_subjects(24)]
    series = {one.subject_id: [series_of(one)] for one in people}
    somebody = added.people[2]
    series[people[0].subject_id] = [series_of(somebody)]
    evaluation_store = write_store(tmp_path / "kept", subjects=people, series=series, spec=SPEC, name="kept")
    evaluation = EvaluationSet.of(evaluation_store, evaluation_store.subjects)
    run = tmp_path / "run"
    plan_run(store, store.subjects, settings=QUICK, out=run, device="cpu", added=added)
    shutil.rmtree(run / ADDED_FOLDER / SERIES_FOLDER)
    everybody = [subject.subject_id for subject in store.subjects]
    index = added_index(run, read_run(run))
    found = find_overlap(evaluation, trained_on=everybody, training_store=store, added=index)
    assert (found.by_scan, found.people, found.of) == (1, 1, 24)
    assert find_overlap(evaluation, trained_on=everybody, training_store=store).people == 0
