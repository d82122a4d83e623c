"""What is unpacked of a person's images does not outlive the work on it."""

import subprocess
import sys

import pytest

from imaging.private_folder import private_folder

# In a process of its own: a signal that went astray would end the tests.
INTERRUPTED = """
import shutil, signal, sys, tempfile

from imaging.private_folder import private_folder

tempfile.tempdir, stopped = sys.argv[1], sys.argv[2] == "stopped"
signal.signal(signal.SIGINT, signal.default_int_handler)
remove = shutil.rmtree


def interrupted(folder):
    # A handler that raised here would leave the rest.
    signal.raise_signal(signal.SIGINT)
    remove(folder)


shutil.rmtree = interrupted
try:
    with private_folder() as folder:
        (folder / "000001.dcm").write_bytes(b"images")
        if stopped:
            raise KeyboardInterrupt
except KeyboardInterrupt:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("interrupted")
"""


@pytest.mark.parametrize("when", ["at work", "stopped"])
def test_a_signal_that_comes_while_the_folder_is_removed_counts_afterwards(tmp_path, when):
    told = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path), when], capture_output=True, text=True, check=True
    )
    assert told.stdout == "interrupted\n"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_its_owners_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
