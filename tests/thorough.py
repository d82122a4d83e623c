"""Cases that say again, at length, what another case of the same test says: `make thorough` runs them too."""

import os
from collections.abc import Iterable
from typing import Any

import pytest

ASKED_FOR = os.environ.get("RESTNET_THOROUGH") == "1"


def first(n_always: int, cases: Iterable[Any]) -> list[Any]:
    """Give the cases of a test, of which all but the first so many are thorough."""
    found = list(cases)
    later = [pytest.param(*_as_tuple(case), marks=pytest.mark.thorough) for case in found[n_always:]]
    return [*found[:n_always], *later]


def _as_tuple(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)


def leave_out_thorough(items: list[pytest.Item]) -> list[pytest.Item]:
    """Take the thorough cases out of what was collected, unless they were asked for; give what was taken."""
    if ASKED_FOR:
        return []
    out = [item for item in items if item.get_closest_marker("thorough")]
    items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    return out
