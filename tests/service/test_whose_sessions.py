"""Which code of the web side may look past the organisation of who asks, by name and with the reason."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICE = Path(__file__).resolve().parents[2] / "service"

# Names that lead to rows of every organisation, and the modules that may use them.
MAY_USE = {
    "unrestricted_sessions": {
        "api/resources.py",  # makes them
        "api/access/principals.py",  # who asks is found before it is known whose rows they see
        "web/login.py",  # likewise
        "web/second_step.py",  # likewise
        "web/proving.py",  # likewise, and failed logins are counted for the installation
        "web/invitation.py",  # who is invited has no account yet
        "api/actions/verifying.py",  # there is one chain of all organisations; no event of it is shown
        "web/provider_login.py",  # likewise, by what the identity provider says
        "api/operations.py",  # readiness and metrics of the installation: counts, no rows
    },
    "make_engine": {"api/resources.py"},
    "session_factory": {"api/resources.py"},
    "engine": {"api/resources.py", "api/app.py"},
    # Ways around a session's filter, which nobody needs.
    "connection": set(),
    "__table__": set(),
    "bulk_save_objects": set(),
    "bulk_insert_mappings": set(),
    "bulk_update_mappings": set(),
}


def names(path: Path) -> Iterator[str]:
    """Return every name, attribute and import of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Attribute(attr=name) | ast.alias(name=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.Constant(value=str(name)) if name in MAY_USE:
                yield name


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for folder in ("api", "report", "web"):
        for path in (SERVICE / folder).rglob("*.py"):
            for name in names(path):
                found[name].add(str(path.relative_to(SERVICE)))
    return found


@pytest.mark.parametrize("name", sorted(MAY_USE))
def test_the_web_side_sees_every_organisation_only_where_it_is_said(
    used: dict[str, set[str]], name: str
) -> None:
    assert used[name] == MAY_USE[name]


def test_only_figures_whether_a_name_is_taken_and_acts_on_what_all_share_look_at_every_organisation() -> None:
    users = {
        str(path.relative_to(SERVICE))
        for path in SERVICE.rglob("*.py")
        if "COUNTS_EVERY_ORGANISATION" in path.read_text() or "counts_every_organisation" in path.read_text()
    }
    assert users == {
        "audit/reading.py",
        "db/restricted.py",
        "identity/accounts.py",
        "jobs/waiting.py",
        "scoring/batches.py",
        "scoring/pairs.py",
    }
