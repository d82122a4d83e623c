import hashlib
import json

import numpy as np
import pytest

from imaging import PreprocessingSpec, ScanError
from imaging.native.sources import Asked
from model.checkpoint import save_checkpoint
from model.prediction import bootstrap_seed, predict_scan
from model.predictor import Predictor
from training.simulation.scan_files import write_scan
from training.simulation.signals import ATHENA_AFFINE
from training.simulation.simulator import simulate_subject

# The published object, word for word (docs/rest.md).
KEYS = {
    "scan": {"name", "sha256", "shape", "zooms_mm", "tr_s", "n_frames"},
    "space": None,
    "normalisation": None,
    "model": {"name", "version", "method", "network", "rnn", "members", "trained_on", "intended_use"},
    "adhd_probability": None,
    "interval": {"level", "low", "high"},
    "decision": None,
    "decision_rule": None,
    "threshold": None,
    "windows": None,
    "quality": None,
    "warnings": None,
    "computed_with": {"device", "backend"},
    "timing_ms": {"read", "preprocess", "classify", "total"},
}


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    scan = simulate_subject(6, seed=1)  # 74 frames, the shortest site
    path = tmp_path_factory.mktemp("scan") / "sfnwmrda9900006_session_1_rest_1.nii.gz"
    write_scan(path, next(scan.blocks(frames_per_block=scan.n_frames)), affine=ATHENA_AFFINE, tr_s=scan.tr_s)
    return path


@pytest.fixture
def make_predictor(tmp_path, make_card, make_members):
    def make(**changes):
        card = make_card(preprocessing=PreprocessingSpec(n_windows=4).to_json(), **changes)
        path = tmp_path / "model.safetensors"
        save_checkpoint(path, members=make_members(card), card=card)
        return Predictor.load(path, device="cpu")

    return make


def test_a_scan_becomes_exactly_the_published_object(scan_file, make_predictor):
    answer = predict_scan(scan_file, make_predictor()).to_json()
    assert list(answer) == list(KEYS)
    for key, inner in KEYS.items():
        assert inner is None or set(answer[key]) == inner, key
    assert json.loads(json.dumps(answer)) == answer, "plain JSON values only"
    assert (answer["space"], answer["normalisation"]) == ("template", None)
    assert answer["scan"]["name"] == scan_file.name
    assert answer["scan"]["sha256"] == hashlib.sha256(scan_file.read_bytes()).hexdigest()
    assert answer["interval"]["low"] <= answer["adhd_probability"] <= answer["interval"]["high"]
    assert answer["decision"] in {"adhd", "control", "uncertain"}
    assert answer["decision_rule"] == "interval"
    assert [set(window) for window in answer["windows"]] == [{"start_frame", "probability"}] * 4
    assert answer["windows"][0]["start_frame"] == 0
    timing = answer["timing_ms"]
    assert timing["total"] == pytest.approx(
        timing["read"] + timing["preprocess"] + timing["classify"], rel=0.05
    )


def test_a_t1_weighted_image_beside_a_scan_in_template_space_is_of_no_use(scan_file, make_predictor):
    predictor = make_predictor()

    beside, alone = (predict_scan(scan_file, predictor, asked=Asked(t1w=t1w)) for t1w in (scan_file, None))

    assert [warning.code for warning in beside.warnings if warning not in alone.warnings] == ["t1w_not_used"]
    assert beside.classification.adhd_probability == alone.classification.adhd_probability


def test_the_same_file_gives_the_same_answer_under_any_name(scan_file, make_predictor):
    predictor = make_predictor()
    one, other = (
        predict_scan(scan_file, predictor, display_name=name).to_json() for name in ("a.nii", "b.nii")
    )
    assert other["scan"]["name"] == "b.nii"
    for answer in (one, other):
        del answer["timing_ms"], answer["scan"]["name"]
    assert one == other


def test_a_demonstration_says_so_and_a_research_model_does_not(scan_file, make_predictor):
    def codes(predictor):
        return [warning["code"] for warning in predict_scan(scan_file, predictor).to_json()["warnings"]]

    assert "demonstration_model" in codes(make_predictor(intended_use="demonstration"))
    assert "demonstration_model" not in codes(make_predictor(intended_use="research"))


def test_a_simulated_scan_is_called_one_whatever_the_model(scan_file, make_predictor):
    answer = predict_scan(scan_file, make_predictor(intended_use="research"), display_name="person.nii.gz")
    first = answer.to_json()["warnings"][0]
    assert (first["code"], "nobody was measured" in first["message"]) == ("simulated_scan", True)


def test_progress_goes_through_both_stages_in_order(scan_file, make_predictor):
    seen = []
    predict_scan(scan_file, make_predictor(), progress=lambda stage, done: seen.append((stage, done)))
    stages = [stage for stage, _ in seen]
    assert stages == sorted(stages, key=["preprocessing", "classifying"].index)
    for stage in ("preprocessing", "classifying"):
        fractions = [done for name, done in seen if name == stage]
        assert fractions == sorted(fractions)
        assert len(fractions) > 3
        assert fractions[-1] == pytest.approx(1.0)


def test_what_progress_raises_stops_the_work(scan_file, make_predictor):
    class CancelledError(Exception):
        pass

    def cancel(stage, done):
        if stage == "classifying":
            raise CancelledError

    with pytest.raises(CancelledError):
        predict_scan(scan_file, make_predictor(), progress=cancel)


def test_a_refused_scan_is_the_scans_own_error(tmp_path, make_predictor):
    path = tmp_path / "letter.nii.gz"
    path.write_text("Dear colleague, ...")
    with pytest.raises(ScanError):
        predict_scan(path, make_predictor())


def test_seeds_of_the_interval_come_from_the_bytes():
    digests = [hashlib.sha256(bytes([i])).hexdigest() for i in range(50)]
    seeds = {bootstrap_seed(digest) for digest in digests}
    assert len(seeds) == 50
    assert all(np.random.default_rng(seed) is not None for seed in seeds)
