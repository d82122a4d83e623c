import csv
import json
import os

import pytest

from tests.training.evidence.report.made_up_runs import made_up_run
from training.evidence import published
from training.evidence.baselines import BASELINES
from training.evidence.report import writing
from training.evidence.report.as_json import run_json
from training.evidence.report.rows import figure_rows, to_csv
from training.evidence.report.writing import ReportNotWrittenError, write_report
from training.run_files import RunFolderError

FIGURES = {"accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_object_of_a_run_has_the_members_of_the_interface(reported):
    found = json.loads(json.dumps(run_json(reported(n=200)), allow_nan=False))
    assert set(found["overall"]) >= FIGURES
    for name in FIGURES:
        assert found["overall"][name].keys() == {"value", "low", "high"}
        assert (
            found["overall"][name]["low"] <= found["overall"][name]["value"] <= found["overall"][name]["high"]
        )
    assert set(found["confusion"]) == {"tp", "fn", "fp", "tn"}
    assert sum(found["confusion"].values()) == found["n"] == 200
    assert list(found["baselines"]) == [*BASELINES, "connectivity"]
    assert all(set(baseline) >= FIGURES for baseline in found["baselines"].values())
    assert [fold["fold"] for fold in found["folds"]] == ["0", "1", "2", "3", "4"]
    assert set(found["sites"]) == {"NYU", "Peking", "NeuroIMAGE"}
    assert 0 < found["calibration"]["ece"] < 0.3
    assert found["coverage"]["level"] == 0.9
    assert found["coverage"]["overall"]["n"] == 200
    assert found["folds"][2]["training"]["best_epoch"] == 11


def test_a_run_whose_folders_name_is_no_text_can_be_reported(tmp_path):
    run = made_up_run(tmp_path / os.fsdecode(b"run \xff"), n=40)
    written = write_report([run], tmp_path / "report")
    assert written.objects[0]["run"] == r"run \udcff"


def test_a_part_without_a_class_has_no_figures_but_a_reason(reported):
    report = reported(n=120, auc=0.8, site_cases={"NYU": 0.5, "Peking": 0.5, "NeuroIMAGE": 0.0})
    site = run_json(report)["sites"]["NeuroIMAGE"]
    assert all(site[name] is None for name in ("auc", "sensitivity", "balanced_accuracy"))
    assert site["accuracy"] == site["specificity"]
    assert site["specificity"]["low"] < site["specificity"]["value"] < site["specificity"]["high"]
    assert site["reason"] == f"one class only: 0 with ADHD, {site['n']} controls"
    assert site["confusion"]["tn"] + site["confusion"]["fp"] == site["n"]


def test_the_protocol_of_the_paper_has_no_coverage(reported):
    found = run_json(reported(n=80, protocol="paper"))
    assert found["coverage"] is None
    assert found["imaging_adds_to_phenotype"]["auc_difference"] is None
    assert "uncalibrated" in [warning["code"] for warning in found["warnings"]]


def test_the_table_holds_the_figures_of_the_json_and_marks_what_was_published(reported):
    report = reported(n=200)
    found = run_json(report)
    rows = list(csv.DictReader(to_csv(figure_rows([report])).splitlines()))
    one = {(row["part"], row["name"], row["metric"]): row for row in rows if row["measured"] == "here"}
    assert float(one["overall", "network", "auc"]["low"]) == found["overall"]["auc"]["low"]
    assert float(one["site", "NYU", "auc"]["value"]) == found["sites"]["NYU"]["auc"]["value"]
    assert int(one["fold", "3", "accuracy"]["n_cases"]) == found["folds"][3]["n_cases"]
    assert (
        float(one["coverage", "case", "coverage"]["value"]) == found["coverage"]["classes"]["case"]["value"]
    )
    assert (
        int(one["baseline", "connectivity", "tp"]["value"])
        == (found["baselines"]["connectivity"]["confusion"]["tp"])
    )
    difference = one["baseline", "connectivity", "auc_of_network_minus_this"]
    assert float(difference["low"]) == found["baselines"]["connectivity"]["auc_difference"]["low"]
    others = [row for row in rows if row["measured"] == "published"]
    assert {(row["value"], row["low"]) for row in others if "C + Bi-LSTM" in row["run"]} == {
        ("0.7656", ""),
        ("0.8016", ""),
        ("0.9022", ""),
    }


def test_the_files_of_another_condition_never_say_adhd(reported):
    report = reported(n=120, condition="autism")
    for text in (json.dumps(run_json(report)), to_csv(figure_rows([report]))):
        assert "adhd" not in text.casefold()
    both = figure_rows([report, reported(n=120)])
    assert [row for row in both if row.measured == "published"]


def test_few_people_of_a_class_are_marked_in_both_files(reported):
    report = reported(n=120, auc=0.8, site_cases={"NYU": 0.5, "Peking": 0.5, "NeuroIMAGE": 0.1})
    sites = run_json(report)["sites"]
    assert "the AUC means little" in sites["NeuroIMAGE"]["auc_caution"]
    assert sites["NYU"]["auc_caution"] is None
    noted = [row for row in figure_rows([report]) if row.note]
    assert [(row.name, row.metric) for row in noted if row.part == "site"] == [("NeuroIMAGE", "auc")]


def test_published_figures_are_those_of_the_paper():
    rows = {row.name: (row.accuracy, row.sensitivity, row.specificity) for row in published.PUBLISHED}
    assert rows["Dai, multiple kernel learning"] == ("67.79", "38.29", "84.08")
    assert rows["Mao, 4D-CNN"] == ("71.30", "73.20", "69.70")
    assert rows["Niu, 3D-CNN + GRU"] == ("71.65", "68.00", "73.80")
    assert rows["the paper, network C + Bi-GRU"] == ("71.25", "70.97", "89.13")
    alone = {name: figures[0] for name, figures in rows.items() if figures[1:] == (None, None)}
    assert sorted(alone.values()) == ["68", "68.60", "69.15"]


def test_three_files_are_written_and_a_second_report_replaces_them(tmp_path):
    run = made_up_run(tmp_path / "run", n=40)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text("of an earlier report")
    told = []
    written = write_report([run], tmp_path / "out", progress=lambda stage, share: told.append((stage, share)))
    assert names(tmp_path / "out") == ["report.csv", "report.html", "report.json"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(
        json.dumps(written.objects)
    )
    assert told[:2] == [("run", 0.0), ("page", 0.5)]


def test_a_refused_run_leaves_nothing_behind(tmp_path):
    run = made_up_run(tmp_path / "run", n=40)
    (tmp_path / "other").mkdir()
    with pytest.raises(RunFolderError):
        write_report([run, tmp_path / "other"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_refused_with_the_old_report_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.html").write_text("old")
    contents = {"report.html": "new", "report.csv": "new"}
    write = writing.Path.write_text

    def full(path, text, **asked):
        if path.name == "report.csv":
            raise OSError(28, "No space left on device")
        return write(path, text, **asked)

    monkeypatch.setattr(writing.Path, "write_text", full)
    with pytest.raises(ReportNotWrittenError, match="No space left"):
        writing._write_all(out, contents)
    monkeypatch.undo()
    assert names(out) == ["report.html"]
    assert (out / "report.html").read_text() == "old"


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_no_folder_that_was_made_for_a_report_is_left_without_one(tmp_path, monkeypatch, fault):
    def full(path, text, **asked):
        raise fault

    monkeypatch.setattr(writing.Path, "write_text", full)
    with pytest.raises(ReportNotWrittenError if isinstance(fault, OSError) else KeyboardInterrupt):
        writing._write_all(tmp_path / "new" / "out", {"report.html": "new"})
    assert names(tmp_path) == []


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ReportNotWrittenError, match="'out'"):
        writing._write_all(tmp_path / "out", {"report.csv": ""})
