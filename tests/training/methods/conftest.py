"""One tiny cohort, and one honest training of each method on it, for all tests of methods."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.methods.tiny_methods import settings_of, train, write_atlas, write_people
from training.cohort.store.cohort_store import CohortStore
from training.validation.cross_validation import plan_run


@pytest.fixture(scope="session")
def people(tmp_path_factory) -> CohortStore:
    return write_people(tmp_path_factory.mktemp("methods") / "cohort")


@pytest.fixture(scope="session")
def atlas(tmp_path_factory) -> Path:
    return write_atlas(tmp_path_factory.mktemp("atlas") / "eighths.nii")


@pytest.fixture(scope="session")
def honest(people, atlas, tmp_path_factory) -> Callable[[str], Path]:
    """Give a method's run whose reported fold was trained in peace, on the cohort as it is."""
    runs: dict[str, Path] = {}

    def of(method: str) -> Path:
        if method not in runs:
            run = tmp_path_factory.mktemp("honest") / "run"
            plan_run(
                people,
                people.subjects,
                settings=settings_of(method),
                out=run,
                device="cpu",
                regions=str(atlas),
                threads=1,
            )
            runs[method] = train(run, people)
        return runs[method]

    return of
