"""What every test shares: shapes checked at run time, and the way to the real test data."""

import signal
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from tests.thorough import leave_out_thorough

# An annotation that lies fails the suite; the product itself never pays for the check.
install_import_hook(["imaging", "model"], "beartype.beartype")

import model  # noqa: E402, F401  (before any test loads torch: it bounds how long torch's threads spin)

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


def pytest_configure() -> None:
    """Let Ctrl-C mean what it does at a terminal; whoever starts the tests in the background ignores it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not asked for, and say how many."""
    config.hook.pytest_deselected(items=leave_out_thorough(items))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans and tables that may not be redistributed; they lie beside the project, never in it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real test data folder shared/data is not there")
    return SHARED_DATA


@pytest.fixture(scope="session")
def simulated_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated subject's file, as Athena would have named it: 74 frames, the shortest of the sites."""
    from training.simulation.scan_files import write_scan
    from training.simulation.simulator import simulate_subject, subject_profile

    index = next(number for number in range(100) if subject_profile(number, seed=20).site.name == "OHSU")
    scan = simulate_subject(index, seed=20)
    path = tmp_path_factory.mktemp("scans") / subject_profile(index, seed=20).file_path.name
    write_scan(path, next(scan.blocks(frames_per_block=scan.n_frames)), affine=scan.affine, tr_s=scan.tr_s)
    return path


@pytest.fixture(scope="session")
def native_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a run in the scanner's space, 30 frames of a head that lies askew."""
    from tests.imaging.native.heads import short_run, write_run

    return write_run(tmp_path_factory.mktemp("native") / "run.nii.gz", short_run())
