import json
import os
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

import imaging

PROGRAM = (sys.executable, "-c", "from service.cli import main; main()")
CLAIM = ("report", "--check-claim", "85.0", "80.0", "90.0", "--n", "200", "--positives", "100")
HEAVY = ("numpy", "torch", "nibabel", "sqlalchemy", "celery", "fastapi", "pydantic")


def test_help_loads_nothing_heavy():
    program = f"""
import sys
sys.argv = ["restnet", "--help"]
from service.cli import main
try:
    main()
except SystemExit:
    pass
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "predict" in answer.stdout


@pytest.mark.parametrize("as_json", [False, True])
def test_our_own_fault_is_status_1_without_a_traceback(as_json, restnet, monkeypatch, tmp_path):
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"x")

    def broken(*args, **kwargs):
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(imaging, "check_scan", broken)
    status, out, err = restnet("check", scan, *(["--json"] if as_json else []))
    assert status == 1
    assert "Traceback" not in out + err
    assert "secret of the inside" not in out + err
    if as_json:
        assert json.loads(out)["error"]["code"] == "internal_error"
    else:
        assert "internal_error" in err


def test_debug_shows_where_it_failed(monkeypatch, tmp_path):
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"x")

    def broken(*args, **kwargs):
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(imaging, "check_scan", broken)
    monkeypatch.setattr(sys, "argv", ["restnet", "--debug", "check", str(scan)])
    from service.cli import main

    with pytest.raises(RuntimeError, match="secret of the inside"):
        main()


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["check", "--help", "--json"]])
def test_help_is_no_refusal(arguments, restnet):
    status, out, err = restnet(*arguments)
    assert (status, err) == (0, "")
    assert "Usage: restnet" in out


def test_an_unknown_command_is_a_refusal(restnet):
    status, _, err = restnet("diagnose")
    assert status == 2
    assert "diagnose" in err


@pytest.mark.parametrize("arguments", [CLAIM, (*CLAIM, "--json"), ("--help",)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_stdout_is_one_sentence_on_stderr(arguments, unbuffered):
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [*PROGRAM, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "no space left on device" in answer.stderr
    assert answer.stderr.endswith("[path_not_usable]\n")


def test_a_refusal_that_finds_no_room_on_stdout_is_told_on_stderr():
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [*PROGRAM, "check", "gone.nii", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert answer.returncode == 2
    assert answer.stderr == "expected a file that can be read, found none: gone.nii  [file_not_readable]\n"


@pytest.mark.parametrize("arguments", [CLAIM, (*CLAIM, "--json"), ("--help",)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_ends_the_command_quietly(arguments, unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    answer = subprocess.run(
        [*PROGRAM, *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    os.close(writing)
    assert (answer.returncode, answer.stderr) == (141, "")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_ctrl_c_says_that_it_stopped_and_prints_nothing(options, restnet, monkeypatch, tmp_path):
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"x")

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(imaging, "check_scan", interrupted)
    assert restnet("check", scan, *options) == (130, "", "Stopped.\n")


def test_ctrl_c_that_a_destructor_swallows_is_heard_all_the_same(restnet, monkeypatch, tmp_path):
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"x")
    went_on = []

    class InterruptedAtItsEnd:
        def __del__(self):
            raise KeyboardInterrupt

    def long_work(*args, **kwargs):
        InterruptedAtItsEnd()
        sleep(10)
        went_on.append(True)

    monkeypatch.setattr(imaging, "check_scan", long_work)
    assert restnet("check", scan) == (130, "", "Stopped.\n")
    assert not went_on
