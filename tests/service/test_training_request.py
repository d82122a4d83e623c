"""The request's own copy of the settings beside the original: the same bounds, defaults and refusals."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.training_request import MAX_RUNS, TrainingRequest, shared_settings
from training.fitting.settings import TrainingSettings, TrainingSettingsError, read_settings

AROUND = {
    "folds": [1, 2, 5, 100, 101],
    "epochs": [0, 1, 100_000, 100_001],
    "patience": [0, 1, 5, 7],
    "width": [0, 1, 256, 257],
    "batch_size": [0, 1, 4096, 4097],
    "micro_batch": [0, 1, 32, 33, 4096, 4097],
    "windows_per_subject": [0, 1, 1000, 1001],
    "learning_rate": [0.0, 1e-6, 1.0, 1.5],
    "weight_decay": [-0.1, 0.0, 10.0, 10.5],
    "dropout": [-0.1, 0.0, 0.9, 1.0],
    "inner_stopping": [-0.1, 0.0, 0.3, 0.4, 0.5],
    "inner_calibration": [0.0, 0.1, 0.3, 0.49, 0.5],
    "protocol": ["nested", "paper", "none"],
    "schedule": ["constant", "cosine", "x"],
    "feature_norm": ["none", "batch", "x"],
    "encoder": ["trained", "frozen", "x"],
    "precision": ["auto", "float32", "bfloat16", "x"],
}


def test_every_setting_of_a_request_is_tried() -> None:
    assert set(AROUND) == set(shared_settings())


@pytest.mark.parametrize("name", shared_settings())
def test_a_setting_has_the_default_of_the_original(name: str) -> None:
    assert TrainingRequest.model_fields[name].default == TrainingSettings.model_fields[name].default


def is_possible(**settings: Any) -> bool:
    try:
        read_settings(overrides=settings)
    except TrainingSettingsError:
        return False
    return True


@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in AROUND.items()}))
def test_a_request_takes_what_planning_takes_and_nothing_else(settings: dict[str, Any]) -> None:
    try:
        asked = TrainingRequest.model_validate({"cohort": "c", **settings})
    except ValidationError:
        assert not is_possible(**settings)
    else:
        assert is_possible(**settings)
        [each] = asked.of_each()
        planned = read_settings(overrides=each["settings"])
        assert {name: getattr(planned, name) for name in settings} == settings


def refused(**asked: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TrainingRequest.model_validate({"cohort": "c", **asked})
    return str(caught.value.errors()[0]["msg"])


def test_a_grid_has_a_run_for_each_network_layer_and_seed_and_an_end() -> None:
    asked = TrainingRequest(cohort="c", networks=["A", "D"], rnns=["lstm", "gru"], seeds=[3, 4], width=2)
    runs = [each["settings"] for each in asked.of_each()]
    assert len(runs) == asked.n_runs == 8
    assert {(run["network"], run["rnn"], run["seed"]) for run in runs} >= {("A", "gru", 3), ("D", "lstm", 4)}
    assert all(run["width"] == 2 and "epochs" not in run for run in runs)
    many = {"networks": ["A", "B", "C", "D"], "rnns": ["lstm", "gru"], "seeds": list(range(6))}
    assert f"at most {MAX_RUNS} runs" in refused(**many)
    assert "found 48" in refused(**many)


def test_what_has_no_effect_or_stands_twice_is_refused_with_what_was_found() -> None:
    assert "no effect with split = 'leave_site_out', found 3" in refused(split="leave_site_out", folds=3)
    assert "at most batch_size, 32, found 64" in refused(micro_batch=64)
    assert "found 0 more often" in refused(seeds=[0, 0])
    assert "0 and 4294967295" not in refused(seeds=[2**32])
    assert refused(seeds=[True]) != ""
    assert refused(where=["site=\x00"]) != ""
