from imaging import check_scan
from training.simulation import simulator


def test_simulate_writes_what_it_says_and_only_once(restnet_json, tmp_path):
    cohort = tmp_path / "cohort"
    status, answer = restnet_json("simulate", cohort, "--subjects", 2, "--seed", 7)
    assert status == 0
    assert answer["n_subjects"] == 2
    assert (cohort / answer["phenotypes"]).is_file()
    assert [check_scan(cohort / scan).space for scan in answer["scans"]] == ["template", "template"]
    status, refused = restnet_json("simulate", cohort, "--subjects", 2)
    assert status == 2
    assert refused["error"]["code"] == "output_folder_not_empty"


def test_simulate_refuses_a_number_without_meaning(restnet_json, tmp_path):
    status, answer = restnet_json("simulate", tmp_path / "c", "--subjects", 1, "--effect-size", -1)
    assert status == 2
    assert answer["error"]["code"] == "simulation_setting_invalid"
    assert not (tmp_path / "c").exists()


def test_simulate_that_is_stopped_says_that_nothing_is_left(restnet, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(simulator, "write_scan", stop)
    status, out, err = restnet("simulate", tmp_path / "c", "--subjects", 2)
    assert (status, out) == (130, "")
    assert "Stopped. Nothing is left" in err
    assert not (tmp_path / "c").exists()
