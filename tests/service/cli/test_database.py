"""What the commands leave on the disk is for its owner only, as under ``serve``."""

import io
import sys

import pytest


def modes(folder):
    return {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}


@pytest.mark.parametrize("command", [["db", "upgrade"], ["users", "add", "mina"]])
@pytest.mark.parametrize("there", [True, False])
def test_a_database_made_here_is_private(command, there, restnet, monkeypatch, tmp_path):
    folder = tmp_path / "d3"
    if there:
        folder.mkdir(mode=0o755)
    monkeypatch.setenv("RESTNET_DATA_DIR", str(folder))
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\n"))
    assert restnet(*command)[0] == 0
    found = modes(folder)
    assert found["d3"] == 0o700
    assert found["restnet.db"] == 0o600
    assert set(found.values()) <= {0o700, 0o600}


def test_a_database_that_was_left_open_is_closed(restnet, tmp_path):
    restnet("db", "upgrade", "--data-dir", tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / "restnet.db").chmod(0o644)
    assert restnet("users", "list", "--data-dir", tmp_path)[0] == 0
    assert (tmp_path.stat().st_mode & 0o777, modes(tmp_path)["restnet.db"]) == (0o700, 0o600)


def test_a_database_elsewhere_is_private_and_makes_no_data_directory(restnet, monkeypatch, tmp_path):
    monkeypatch.setenv("RESTNET_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RESTNET_DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere/r.db")
    assert restnet("db", "upgrade")[0] == 0
    assert modes(tmp_path / "elsewhere") == {"elsewhere": 0o700, "r.db": 0o600}
    assert not (tmp_path / "data").exists()


def test_a_cohort_is_written_with_the_users_own_permissions(restnet, tmp_path):
    assert restnet("simulate", tmp_path / "c", "--subjects", 1)[0] == 0
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o755
