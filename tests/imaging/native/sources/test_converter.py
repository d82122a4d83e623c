"""dcm2niix as a process: it ends when it must, and writes where it may."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from imaging.native.sources import converter
from imaging.native.sources.converter import DicomConversionError, convert
from tests.imaging.native.sources.series import write_series

# A program in the converter's place that starts another and waits for ever, as a hanging one would.
HANGS = """#!/bin/sh
sleep 600 &
echo $! > "$(dirname "$0")/grandchild"
wait
"""


def nobody() -> None:
    pass


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    out = tmp_path / "out"
    out.mkdir()
    return write_series(tmp_path / "images"), out


@pytest.fixture
def hanging(tmp_path, monkeypatch) -> Path:
    import dcm2niix

    program = tmp_path / "program" / "dcm2niix"
    program.parent.mkdir()
    program.write_text(HANGS)
    program.chmod(0o700)
    monkeypatch.setattr(dcm2niix, "bin_path", program)
    return program.parent / "grandchild"


def has_ended(number: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_series_becomes_one_file_and_its_sidecar(folders):
    images, out = folders

    nifti, sidecar = convert(images, out, check=nobody)

    assert sorted(out.iterdir()) == sorted([nifti, sidecar])


def test_nothing_is_written_elsewhere(folders, tmp_path, monkeypatch):
    images, out = folders
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    before = {path: path.stat().st_mtime_ns for path in images.iterdir()}

    convert(images, out, check=nobody)

    assert list(home.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in images.iterdir()} == before


def test_settings_in_somebodys_home_change_nothing(folders, tmp_path, monkeypatch):
    images, out = folders
    # Its own file of defaults: compressed, and with the patient's name.
    (out / ".dcm2nii.ini").write_text("isGZ=1\nisAnonymizeBIDS=0\nfilename=%n\n")

    nifti, _ = convert(images, out, check=nobody)

    assert nifti.name == "run.nii"


def test_it_ends_with_all_that_it_started_when_the_caller_stops(folders, hanging):
    images, out = folders

    class Stopped(Exception):  # noqa: N818
        pass

    def check() -> None:
        if hanging.exists() and hanging.read_text():
            raise Stopped

    with pytest.raises(Stopped):
        convert(images, out, check=check)

    assert has_ended(int(hanging.read_text()))


def test_it_ends_at_its_limit(folders, hanging):
    images, out = folders

    with pytest.raises(DicomConversionError, match=r"none within 0\.5 s"):
        convert(images, out, check=nobody, limit_s=0.5)

    assert has_ended(int(hanging.read_text()))


def test_it_ends_with_a_caller_that_is_killed(folders, hanging):
    images, out = folders
    script = (
        "import dcm2niix, pathlib, sys\n"
        "dcm2niix.bin_path = pathlib.Path(sys.argv[1])\n"
        "from imaging.native.sources.converter import convert\n"
        "convert(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), check=lambda: None)\n"
    )
    program = hanging.with_name("dcm2niix")
    caller = subprocess.Popen([sys.executable, "-c", script, program, images, out])
    try:
        while not (hanging.exists() and hanging.read_text()):
            assert caller.poll() is None
            time.sleep(0.05)
        child = psutil.Process(int(hanging.read_text())).parent().pid
    finally:
        caller.send_signal(signal.SIGKILL)
        caller.wait()

    assert has_ended(child)
    os.kill(int(hanging.read_text()), signal.SIGKILL)


def test_it_works_in_a_thread(folders):
    images, out = folders
    found: list[tuple[Path, Path]] = []
    thread = threading.Thread(target=lambda: found.append(convert(images, out, check=nobody)))
    thread.start()
    thread.join()

    assert found[0][0].exists()


def test_no_image_is_said(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "out").mkdir()

    with pytest.raises(DicomConversionError, match="no image that it can read"):
        convert(tmp_path / "images", tmp_path / "out", check=nobody)


def test_two_series_are_no_run(tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    out.mkdir()
    write_series(images, number=1)
    write_series(images, number=2)

    with pytest.raises(DicomConversionError, match="found 2 runs"):
        convert(images, out, check=nobody)


def test_a_machine_that_does_not_run_it_is_said(folders, tmp_path, monkeypatch):
    import dcm2niix

    monkeypatch.setattr(dcm2niix, "bin_path", tmp_path / "none")
    images, out = folders

    with pytest.raises(DicomConversionError, match="no converter that runs on this machine"):
        convert(images, out, check=nobody)


def test_limits_of_the_caller_are_never_raised():
    import resource

    soft, hard = converter._lowered(resource.RLIMIT_NOFILE, 8)
    assert (soft, hard) == (8, 8)
    inherited = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert converter._lowered(resource.RLIMIT_NOFILE, 2**40)[0] == inherited
