import json

import pytest

from imaging import PreprocessingSpec, PreprocessingSpecError

SPECS = [
    PreprocessingSpec(),
    PreprocessingSpec(band_hz=None, tr_s=None),
    PreprocessingSpec(
        grid_size=20, band_hz=(0.01, 0.1), tr_s=2.5, window_plan="single", n_windows=1, window_frames=30
    ),
]


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_survives_the_checkpoint(spec):
    assert PreprocessingSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_version_one_is_as_designed():
    assert PreprocessingSpec().to_json() == {
        "version": 1,
        "grid_size": 34,
        "band_hz": [0.009, 0.08],
        "tr_s": 2.0,
        "window_frames": 20,
        "window_plan": "spread",
        "n_windows": 8,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("grid_size", 2),
        ("band_hz", [0.08, 0.009]),
        ("band_hz", [-0.1, 0.08]),
        ("tr_s", 0.0),
        ("tr_s", 20.0),
        ("window_frames", 1),
        ("window_plan", "all"),
        ("n_windows", 0),
        ("smoothing_mm", 6),
    ],
)
def test_what_this_version_cannot_do_is_refused(field, value):
    with pytest.raises(PreprocessingSpecError) as caught:
        PreprocessingSpec.from_json({field: value})
    assert caught.value.field == field
