"""A short run of what `make chaos` does at length."""

from pathlib import Path

import pytest

from tests.production.chaos import QUICK, run
from tests.production.stack import embedded, production

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.timeout(900),
]


def test_the_production_stack_loses_nothing(simulated_scan: Path) -> None:
    with production(**QUICK) as stack:
        # Quicker than at length, so that a quick machine meets enough of it while scans are worked on.
        tally = run(stack, simulated_scan, n_uploads=40, every_s=(1, 2.5), least_trouble=4)
    assert tally.outcomes["succeeded"] > 0
    assert sum(tally.trouble.values()) >= 4


def test_serve_loses_nothing_when_it_is_killed(tmp_path: Path, simulated_scan: Path) -> None:
    with embedded(tmp_path, **QUICK) as stack:
        # Long enough for it to come up on a busy machine and to be killed at work.
        tally = run(stack, simulated_scan, n_uploads=40, every_s=(8, 16))
    assert tally.outcomes["succeeded"] > 0
    assert tally.trouble["kill serve"] > 0
