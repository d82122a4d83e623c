"""docs/audit.md and the code name the same actions and faults."""

import re
from pathlib import Path

from service.audit.verification import Fault

REPOSITORY = Path(__file__).parents[3]
DOCUMENT = (REPOSITORY / "docs" / "audit.md").read_text()


def documented(heading: str) -> set[str]:
    table = DOCUMENT.partition(heading)[2].partition("\n\n")[0]
    return {
        name for line in table.splitlines()[2:] for name in re.findall(r"`([a-z_.]+)`", line.split("|")[1])
    }


def test_every_action_is_documented_and_none_besides() -> None:
    recorded = {
        action
        for file in (REPOSITORY / "service").rglob("*.py")
        for action in re.findall(r'action="([a-z_]+\.[a-z_]+)"', file.read_text())
    }
    assert len(recorded) > 20
    assert documented("| action | when |") == recorded


def test_every_fault_is_documented() -> None:
    assert documented("| `fault` | what was found |") == set(Fault)
