import pytest


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["diagnose"], "diagnose"),
        (["check"], "scan"),
        (["check", "x.nii", "--loud"], "--loud"),
        (["serve", "--port", "0"], "'--port': expected at least 1, found '0'"),
        (["serve", "--port", "70000"], "'--port': expected at most 65535, found '70000'"),
        (["serve", "--sample"], "--demo"),
        (["worker", "--queue", "lunch"], "inference"),
        (["train", "c", "--out", "r", "--folds", "2.5"], "'--folds': expected a whole number, found '2.5'"),
        (["train", "c", "--out", "r", "--network", "E"], "'--network': 'E' is not one of 'A', 'B', 'C', 'D'"),
        (["simulate", "c", "--subjects", "abc"], "'--subjects': expected a whole number, found 'abc'"),
        (["simulate", "c", "--subjects", "2", "--effect-size", "x"], "expected a number, found 'x'"),
        (["train", "c", "--out", ""], "'--out': expected a path (the current folder is '.'), found ''"),
        (["train", "c", "--out="], "'--out': expected a path"),
        (["report", "r", "--out", " "], "'--out': expected a path (the current folder is '.'), found ' '"),
        (["cohort", "ingest", "s", "--out", ""], "'--out': expected a path"),
        (["simulate", "", "--subjects", "2"], "expected a path"),
        (["db", "upgrade", "--data-dir", ""], "'--data-dir': expected a path"),
    ],
)
def test_a_wrong_usage_is_a_refusal_like_any_other(
    arguments, word, restnet, restnet_json, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    status, answer = restnet_json(*arguments)
    assert status == 2
    assert answer["error"]["code"] == "usage"
    assert word in answer["error"]["message"]
    assert list(answer["error"]) == ["code", "message"]
    status, out, err = restnet(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: restnet ")
    assert err.endswith(f"{answer['error']['message']}  [usage]\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["db"]])
def test_a_command_alone_is_answered_by_its_help(arguments, restnet):
    status, out, err = restnet(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: restnet ")
    assert "Commands:" in err
    assert "[usage]" not in err
