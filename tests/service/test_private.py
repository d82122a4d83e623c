import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.private import make_private_folder, write_privately


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    previous = os.umask(0o022)
    yield
    os.umask(previous)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_written_afterwards_is_for_the_owner_only(tmp_path: Path) -> None:
    write_privately()
    (tmp_path / "scan.nii").touch()
    (tmp_path / "scans").mkdir()
    assert [mode(tmp_path / name) for name in ("scan.nii", "scans")] == [0o600, 0o700]


def test_a_folder_is_made_private(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "data")
    assert mode(tmp_path / "a" / "data") == 0o700


@pytest.mark.parametrize(
    ("content", "expected"), [(None, 0o700), ("restnet.db", 0o700), ("serve.lock", 0o700), ("thesis", 0o755)]
)
def test_an_open_folder_is_closed_only_if_nobody_else_lives_in_it(
    tmp_path: Path, content: str | None, expected: int
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    if content is not None:
        (folder / content).touch()
    make_private_folder(folder)
    assert mode(folder) == expected
