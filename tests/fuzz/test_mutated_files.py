"""Some hundred mutated files through the reader, other ones on request: ``make fuzz``."""

import pytest

from tests.fuzz.mutations import files_of_nibabel, mutant, simulated_seeds
from tests.fuzz.run import LIMITS, run


def test_a_mutant_is_a_function_of_its_seed_and_its_number() -> None:
    [content] = [file for name, file in simulated_seeds().items() if "int16" in name]
    assert mutant(content, 7) == mutant(content, 7)
    assert len({mutant(content, number) for number in range(50)}) > 40


@pytest.mark.slow
def test_no_mutant_ends_otherwise_than_with_a_code() -> None:
    tally = run(simulated_seeds() | files_of_nibabel(), 240, first=1_000_000)
    assert tally.findings == []
    assert sum(tally.outcomes.values()) == 240
    # Mutants that are all refused for the same reason would prove little.
    assert len(tally.outcomes) >= 12
    assert tally.outcomes["accepted"] >= 10
    assert tally.slowest_s < LIMITS.time_s
