"""What every test of scans in the scanner's space runs in."""

from collections.abc import Iterator

import pytest

from imaging.one_thread import one_blas_thread


@pytest.fixture(scope="module", autouse=True)
def products_on_one_thread() -> Iterator[None]:
    """As `normalise` has it; on a busy machine a registration takes ten times as long without."""
    with one_blas_thread():
        yield
