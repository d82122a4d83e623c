from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from tests.training.evidence.report.made_up_runs import made_up_run
from training.evidence.report.assembling import assemble
from training.evidence.report.contents import RunReport
from training.evidence.report.reading import read_run_data

# Enough for what the tests ask of an interval.
N_DRAWS = 300


@pytest.fixture(autouse=True)
def one_thread():
    """Regressions of a handful of columns lose most of their time to threads that wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory):
    """Assemble a made-up run; the same request is answered once."""
    made: dict[str, RunReport] = {}

    def report(**asked: object) -> RunReport:
        key = repr(sorted(asked.items()))
        if key not in made:
            run: Path = tmp_path_factory.mktemp("runs") / f"run-{len(made)}"
            made_up_run(run, **asked)
            made[key] = assemble(read_run_data(run, partial=True), n_draws=N_DRAWS)
        return made[key]

    return report
