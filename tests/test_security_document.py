"""What docs/security.md says meets a requirement has to exist, and no requirement may be left out."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from service.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = (REPOSITORY / "docs" / "security.md").read_text()

# Sections of ASVS 5.0.0 and how many requirements of levels 1 and 2 each has; they are always its first ones.
SECTIONS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2,
    "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1,
    "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2,
    "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4,
    "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3,
    "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5, "6.6": 3, "6.8": 4,
    "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2,
    "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
    "9.1": 3, "9.2": 4,
    "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3,
    "11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1,
    "12.1": 3, "12.2": 2, "12.3": 4,
    "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5,
    "14.1": 2, "14.2": 4, "14.3": 3,
    "15.1": 3, "15.2": 3, "15.3": 7,
    "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3,
    "17.1": 1, "17.2": 4, "17.3": 2,
}  # fmt: skip
STATES = ["met", "partly", "not met", "operator", "n/a"]

LINE = re.compile(r"^\| (\d+\.\d+\.\d+(?:, \d+\.\d+\.\d+)*) \| (.+?) \| ([a-z/ ]+) \| (.+) \|$", re.MULTILINE)
LINES = [(found[0].split(", "), *found[1:]) for found in LINE.findall(PAGE)]


def named_tests() -> list[str]:
    return [f"tests/{name}" for name in sorted(set(re.findall(r"`([\w/]+\.py::\w+)`", PAGE)))]


def named_files() -> list[str]:
    """Everything in code font that can only be a file of the repository."""
    endings = r"py|md|html|txt|json|toml|yml|sh"
    found = re.findall(rf"`((?:[\w.-]+/)*[\w.-]+\.(?:{endings})|Dockerfile|\.dockerignore)`", PAGE)
    return sorted(set(found))


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((REPOSITORY / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def exists(name: str) -> bool:
    if name.startswith("RESTNET_"):
        return name.removeprefix("RESTNET_").lower() in Settings.model_fields
    file, _, test = name.partition("::")
    return (REPOSITORY / file).is_file() and (not test or test in functions_in(file))


def named_settings() -> list[str]:
    return sorted(set(re.findall(r"RESTNET_[A-Z0-9_]+", PAGE)))


NAMED = [*named_tests(), *named_files(), *named_settings()]


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_exists(name: str) -> None:
    assert exists(name), f"docs/security.md names {name}, which is not there"


def test_every_kind_of_thing_is_named() -> None:
    assert len(named_tests()) > 100
    assert "service/identity/passwords.py" in named_files()
    assert "RESTNET_ENCRYPTION_KEY_FILE" in named_settings()


def test_every_requirement_has_a_line_and_none_has_two() -> None:
    expected = [f"{section}.{number + 1}" for section, size in SECTIONS.items() for number in range(size)]
    found = [number for numbers, *_ in LINES for number in numbers]
    assert sorted(found, key=in_order) == expected


def in_order(number: str) -> list[int]:
    return [int(part) for part in number.split(".")]


@pytest.mark.parametrize(("numbers", "asked", "state", "by"), LINES, ids=[line[0][0] for line in LINES])
def test_a_line_says_how_it_stands_and_why(numbers: list[str], asked: str, state: str, by: str) -> None:
    assert state in STATES
    assert len(asked) > 3
    assert by.strip(), f"{numbers} give no reason"


def test_the_counts_are_those_of_the_lines() -> None:
    counted = Counter(dict.fromkeys(STATES, 0))
    for numbers, _, state, _ in LINES:
        counted[state] += len(numbers)
    [said] = re.findall(r"^\| met \| partly .*\n\|[-|]+\|\n\| (.+) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number in said.split(" | ")] == [
        *(counted[state] for state in STATES),
        counted.total(),
    ]


def test_the_way_to_it_is_shown() -> None:
    for page in ("README.md", "docs/operations.md", "SECURITY.md"):
        assert "security.md)" in (REPOSITORY / page).read_text()
    assert "(SECURITY.md)" in (REPOSITORY / "README.md").read_text()
