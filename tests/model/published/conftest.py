import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """Run a line in a Python of its own, where nothing is loaded yet, and give what it prints."""

    def run(line: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", line], cwd=REPOSITORY, check=True, capture_output=True, text=True
        )
        return done.stdout

    return run
