"""What people ask of runs: which of them are not gone on with."""

from importlib import import_module

from service.jobs.training_requests import REFUSED_FOR_GOOD


def test_what_planning_refuses_for_good_is_named_as_it_is_refused() -> None:
    codes = set()
    for module in ("validation.folds", "validation.cross_validation", "cohort.selecting.selection"):
        codes |= codes_of(f"training.{module}")
    assert codes | codes_of("training.cohort.selecting.filters") | codes_of(
        "training.fitting.settings"
    ) == set(REFUSED_FOR_GOOD)


def codes_of(module: str) -> set[str]:
    errors = (one for one in vars(import_module(module)).values() if isinstance(one, type))
    return {vars(error)["code"] for error in errors if error.__module__ == module and "code" in vars(error)}
