"""What is unpacked of a person's images does not outlive the work on it."""

import shutil
import signal

import pytest

from imaging import private_folder as module
from imaging.private_folder import private_folder


def work(*, stopped: bool) -> None:
    with private_folder() as folder:
        (folder / "000001.dcm").write_bytes(b"images")
        if stopped:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stopped", [False, True])
def test_a_signal_that_comes_while_the_folder_is_removed_counts_afterwards(monkeypatch, tmp_path, stopped):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    remove = shutil.rmtree

    def interrupted(folder):
        # A handler that raised here would leave the rest.
        signal.raise_signal(signal.SIGINT)
        remove(folder)

    monkeypatch.setattr(module.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        work(stopped=stopped)

    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_folder_is_its_owners_alone(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
