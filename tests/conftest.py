"""What every test shares: shapes checked at run time, and the way to the real test data."""

from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# An annotation that lies fails the suite; the product itself never pays for the check.
install_import_hook(["imaging", "model"], "beartype.beartype")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans and tables that may not be redistributed; they lie beside the project, never in it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real test data folder shared/data is not there")
    return SHARED_DATA
