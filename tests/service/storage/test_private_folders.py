"""What killed processes leave is removed, what living ones use is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.storage.private_folders import PrivateFolders

HOLD = """
import sys, time
from pathlib import Path
from service.storage.private_folders import PrivateFolders
with PrivateFolders(Path(sys.argv[1])).make() as folder:
    (folder / "scan.nii").write_bytes(b"patient")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_the_next_process_removes_what_a_killed_one_left_and_nothing_else(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.stdout is not None
    folder = Path(holder.stdout.readline().strip())
    long_ago = time.time() - 3600
    os.utime(folder, (long_ago, long_ago))
    folders = PrivateFolders(tmp_path)
    with folders.make() as mine:
        assert folder.exists(), "its maker lives"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        os.utime(mine, (long_ago, long_ago))
        with PrivateFolders(tmp_path).make():
            assert not folder.exists()
        assert mine.exists()
        assert folders.remove_abandoned() == 0


def test_a_folder_that_is_not_locked_yet_is_left_alone(tmp_path: Path) -> None:
    young = tmp_path / "restnet-young"
    young.mkdir()
    others = tmp_path / "other"
    others.mkdir()
    folders = PrivateFolders(tmp_path)
    assert folders.remove_abandoned() == 0
    long_ago = time.time() - 3600
    for folder in (young, others):
        os.utime(folder, (long_ago, long_ago))
    assert folders.remove_abandoned() == 1
    assert list(tmp_path.iterdir()) == [others]
