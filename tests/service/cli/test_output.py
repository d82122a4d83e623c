import errno
import json

import pytest

from imaging.errors import ScanError
from service.cli.output import (
    PathNotUsableError,
    print_json,
    print_table,
    refusal_of,
    say,
    with_path_as_typed,
)


class OddError(ScanError):
    code = "odd"

    def __init__(self, *, found, several):
        self.found, self.several = found, several
        super().__init__("expected a number, found none")


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_lacks_is_given_as_text(odd):
    refusal = refusal_of(OddError(found=odd, several=(1.0, odd)))
    assert json.loads(json.dumps(refusal, allow_nan=False))["found"] == str(odd)
    assert refusal["several"] == [1.0, str(odd)]


@pytest.mark.parametrize(
    ("options", "said"), [(["--effect-size", "nan"], "nan"), (["--site-effect", "inf"], "inf")]
)
def test_simulate_refuses_what_is_no_number(options, said, restnet_json, tmp_path):
    status, answer = restnet_json("simulate", tmp_path / "c", "--subjects", 2, *options)
    assert (status, answer["error"]["code"]) == (2, "simulation_setting_invalid")
    assert answer["error"]["found"] == said


@pytest.mark.parametrize(
    "command", [["simulate", "PATH", "--subjects", 1], ["db", "upgrade", "--data-dir", "PATH"]]
)
@pytest.mark.parametrize("path", ["/proc/x", "FILE"])
def test_a_folder_that_cannot_be_written_is_the_users_to_mend(command, path, restnet_json, restnet, tmp_path):
    file = tmp_path / "a-file"
    file.touch()
    path = str(file) if path == "FILE" else path
    command = [path if word == "PATH" else word for word in command]
    status, answer = restnet_json(*command)
    assert (status, answer["error"]["code"]) == (2, "path_not_usable")
    assert answer["error"]["path"] == path
    status, _, err = restnet(*command)
    assert status == 2
    assert path in err


def test_the_data_directory_of_the_environment_is_named_too(restnet_json, monkeypatch):
    monkeypatch.setenv("RESTNET_DATA_DIR", "/proc/x")
    status, answer = restnet_json("db", "upgrade")
    assert (status, answer["error"]["code"], answer["error"]["path"]) == (2, "path_not_usable", "/proc/x")


def test_a_full_disk_is_the_users_to_mend_and_our_own_files_are_not():
    assert refusal_of(OSError(errno.ENOSPC, "No space left on device"))["code"] == "path_not_usable"
    assert refusal_of(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")) is None
    import model

    assert refusal_of(FileNotFoundError(errno.ENOENT, "No such file", model.__file__)) is None
    assert refusal_of(FileNotFoundError(errno.ENOENT, "No such file", json.__file__)) is None


@pytest.mark.parametrize(
    ("message", "arguments", "shown"),
    [
        (
            "expected a scan, found none: x.nii",
            ["check", "/a/x.nii"],
            "expected a scan, found none: /a/x.nii",
        ),
        ("found files in 'x.nii'", ["simulate", "--out=b/x.nii"], "found files in 'b/x.nii'"),
        ("found none: x.nii", ["predict", "/a/x.nii", "/b/x.nii"], "found none: x.nii"),
        ("found x.nii.gz and x.nii", ["check", "../x.nii"], "found x.nii.gz and ../x.nii"),
        ("found none: x.nii", ["check"], "found none: x.nii"),
    ],
)
def test_people_see_the_path_that_they_typed(message, arguments, shown):
    assert with_path_as_typed({"message": message, "name": "x.nii"}, arguments) == shown


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (
            "run 'ridge': method expected mkl, found ridge-connectivity",
            "run 'runs/ridge': method expected mkl, found ridge-connectivity",
        ),
        (
            "run 'ridge': method expected mkl, found ridge",
            "run 'runs/ridge': method expected mkl, found ridge",
        ),
        ("found none: ridge, beside old-ridge", "found none: runs/ridge, beside old-ridge"),
        ("found none: ridge, beside ridge.json", "found none: runs/ridge, beside ridge.json"),
        ("found none: ridge.", "found none: runs/ridge."),
        ("found ridge-connectivity", "found ridge-connectivity"),
    ],
)
def test_a_value_that_begins_with_the_folders_name_is_not_taken_for_it(told, shown):
    arguments = ["train", "coh", "--method", "mkl", "--out", "runs/ridge"]
    assert with_path_as_typed({"message": told, "name": "ridge"}, arguments) == shown


def test_the_sentence_stands_without_a_path():
    assert str(PathNotUsableError(path=None, found="no space left on device")).endswith(
        "found no space left on device"
    )


def test_a_path_that_is_not_there_is_told_in_words(restnet, restnet_json, tmp_path):
    for command in ("check", "predict"):
        status, _, err = restnet(command, tmp_path / "nope")
        assert status == 2
        assert f"found none: {tmp_path / 'nope'}" in err
    _, answer = restnet_json("check", tmp_path / "nope")
    assert answer["error"]["message"].endswith("found none: nope")
    assert str(tmp_path.parent) not in str(answer)


def test_a_folder_without_a_run_is_told_in_words(restnet, restnet_json, tmp_path):
    for command in ("check", "predict"):
        status, _, err = restnet(command, tmp_path)
        assert status == 2
        assert "found no file" in err
    assert restnet_json("check", tmp_path)[1]["error"]["code"] == "no_run_found"


HOSTILE = "a\nb\x1b[2J\x9b\u202e\udcff\U000e0001"


def test_json_is_the_same_value_in_printable_text(capsys):
    print_json({"name": HOSTILE, "city": "Zürich"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"name": HOSTILE, "city": "Zürich"}
    assert all(mark.isprintable() or mark == "\n" for mark in printed)
    assert "Zürich" in printed


def test_lines_and_tables_for_people_show_what_does_not_print(capsys):
    say(HOSTILE)
    print_table([{"name": HOSTILE}], ["name"])
    shown = r"a\nb\x1b[2J\x9b\u202e\udcff\U000e0001"
    assert capsys.readouterr().out.splitlines() == [shown, "name", shown]
