import json
import subprocess
import sys

import pytest

import imaging

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


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["diagnose"], "diagnose"),
        (["check"], "scan"),
        (["check", "x.nii", "--loud"], "--loud"),
        (["serve", "--port", "0"], "--port"),
        (["serve", "--sample"], "--demo"),
        (["worker", "--queue", "lunch"], "inference"),
    ],
)
def test_a_wrong_usage_is_json_where_json_was_asked_for(arguments, word, restnet_json):
    status, answer = restnet_json(*arguments)
    assert status == 2
    assert answer["error"]["code"] == "usage"
    assert word in answer["error"]["message"]
    assert list(answer["error"]) == ["code", "message"]


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["check", "--help", "--json"]])
def test_help_is_no_refusal(arguments, restnet):
    status, out, err = restnet(*arguments)
    assert (status, err) == (0, "")
    assert "Usage: restnet" in out


def test_an_unknown_command_is_a_refusal(restnet):
    status, _, err = restnet("diagnose")
    assert status == 2
    assert "diagnose" in err
