import json
import tomllib
from pathlib import Path

import pytest

from model.architecture import Architecture
from training.fitting.settings import TrainingSettings, TrainingSettingsError, allowed_values, read_settings

DOCUMENT = Path(__file__).parents[3] / "docs" / "training-settings.md"


def rows():
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line for line in lines}


def test_every_setting_is_documented_with_its_default_and_its_own_words_and_no_other():
    assert set(rows()) == set(TrainingSettings.model_fields)
    for name, field in TrainingSettings.model_fields.items():
        assert field.description in rows()[name], name
        default = "not set" if field.default is None else f"`{field.default!r}`".replace("'", '"')
        assert rows()[name].split("|")[2].strip() == default, name


def test_the_documents_example_is_read():
    example = DOCUMENT.read_text().split("```toml\n")[1].split("```")[0]
    assert TrainingSettings.model_validate(tomllib.loads(example)).feature_norm == "batch"


def test_the_defaults_are_the_published_protocol():
    settings = TrainingSettings()
    published = {"network": "C", "rnn": "lstm", "learning_rate": 1e-4, "batch_size": 32, "epochs": 100}
    published |= {"patience": 5, "folds": 5, "dropout": 0.5, "width": 16, "windows_per_subject": 1}
    assert {name: getattr(settings, name) for name in published} == published
    assert not any((settings.noise_sd, settings.frame_dropout, settings.amplitude_jitter))


def test_every_setting_can_be_said_in_words_and_they_are_the_documents():
    for name in TrainingSettings.model_fields:
        words = allowed_values(name).replace("'", '"')
        allowed = rows()[name].split("|")[3].strip().replace("`", "")
        allowed = allowed.replace(".0,", ",").removesuffix(".0").replace("a share above 0 and below 1", "")
        assert allowed.strip() in words, name


def test_options_win_over_the_file_and_the_file_over_the_defaults(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('network = "D"\nepochs = 7\n')
    settings = read_settings(path, overrides={"epochs": 3, "rnn": None})
    assert (settings.network, settings.epochs, settings.rnn) == ("D", 3, "lstm")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "learning_rte = 0.1",
            "'run.toml': expected known names (the nearest is 'learning_rate'), found",
        ),
        (
            'regions = "power264"',
            "expected settings (the option --regions of `restnet train` says this), found 'regions'",
        ),
        (
            "leave_site_out = true",
            "expected settings (the option --leave-site-out of `restnet train` says this), found",
        ),
        ("width = 0", "expected width to be a whole number, at least 1, at most 256, found 0"),
        ("width = 2.5", "expected width to be a whole number, at least 1"),
        ("epochs = true", "expected epochs to be a whole number, at least 1, at most 100000, found true"),
        ('folds = "2"', "expected folds to be a whole number, at least 2, at most 100, found '2'"),
        (
            'space = "pool"',
            "expected space to be 'flatten' or 'average' or 'bottleneck' or 'readout', found 'pool'",
        ),
        (
            "threshold_rule = 1.0",
            "expected threshold_rule to be 'youden' or a number, above 0, below 1, found 1.0",
        ),
        ("micro_batch = 0", "expected micro_batch to be a whole number, at least 1, at most 4096, found 0"),
        ("micro_batch = 33", "expected micro_batch to be at most batch_size, 32, found 33"),
        ("learning_rate = nan", "expected learning_rate to be a number, above 0, at most 1, found nan"),
        (
            'protocol = "paper"\nwatch = "auc"',
            "expected watch to be 'loss' under the protocol 'paper', which watches the training loss, found",
        ),
        ("[folds]\nx = 1", "expected folds to be a whole number, at least 2, at most 100, found a section"),
        (
            "[training]\nwidth = 4",
            "expected settings at the top level, without sections, found the section [training]",
        ),
        ("width = ", "expected TOML"),
        ("\x00", "expected TOML"),
    ],
)
def test_what_cannot_be_a_setting_is_refused_by_name(tmp_path, text, sentence):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(TrainingSettingsError) as refused:
        read_settings(path)
    assert sentence in str(refused.value)
    assert refused.value.code == "training_settings_invalid"


def test_a_file_that_is_no_text_is_told_in_words(tmp_path):
    path = tmp_path / "run.toml"
    path.write_bytes(b"width = 4\n\xff\xfe")
    with pytest.raises(
        TrainingSettingsError, match=r"'run.toml': expected text in UTF-8, found another byte at"
    ):
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "bottleneck_channels = 4",
            "bottleneck_channels to be left out, because it has no effect with space = 'flatten', found 4",
        ),
        (
            'protocol = "paper"\ninner_stopping = 0.2',
            "inner_stopping to be left out, because it has no effect",
        ),
        ('protocol = "paper"\ninner_calibration = 0.2', "no effect with protocol = 'paper', found 0.2"),
        ('protocol = "paper"\nthreshold_rule = 0.9', "threshold_rule to be left out"),
        ('protocol = "paper"\nconformal_level = 0.8', "conformal_level to be left out"),
        (
            "inner_stopping = 0.0\npatience = 9",
            "patience to be left out, because it has no effect with inner_st",
        ),
        (
            'inner_stopping = 0.0\nwatch = "auc"',
            "watch to be left out, because it has no effect with inner_st",
        ),
    ],
)
def test_what_would_be_passed_over_is_refused(tmp_path, text, sentence):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(TrainingSettingsError) as refused:
        read_settings(path)
    assert sentence in str(refused.value)


def spelled_out(settings):
    """Write every setting in TOML, which has JSON's scalars; what is not set is left out."""
    values = settings.model_dump(mode="json", exclude_none=True)
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())


@pytest.mark.parametrize(
    "text",
    [
        spelled_out(TrainingSettings()),
        spelled_out(TrainingSettings(protocol="paper")),
        spelled_out(TrainingSettings(inner_stopping=0.0)),
        'protocol = "paper"\npatience = 9',
        'space = "bottleneck"\nbottleneck_channels = 4',
    ],
)
def test_a_default_that_is_spelled_out_is_no_contradiction(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    assert read_settings(path) == TrainingSettings.model_validate(tomllib.loads(text))


def test_an_option_may_overrule_what_its_file_is_about(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("inner_stopping = 0.0\ninner_calibration = 0.3\npatience = 9\n")
    with pytest.raises(TrainingSettingsError, match="patience"):
        read_settings(path)
    assert read_settings(path, overrides={"protocol": "paper"}).patience == 9
    with pytest.raises(TrainingSettingsError, match="in the options: expected conformal_level"):
        read_settings(path, overrides={"protocol": "paper", "conformal_level": 0.8})


@pytest.mark.parametrize("shares", [(0.49, 0.49), (0.26, 0.25), (0.4, 0.15)])
def test_inner_parts_leave_half_of_the_people_to_train_on(tmp_path, shares):
    path = tmp_path / "run.toml"
    path.write_text("inner_stopping = {}\ninner_calibration = {}\n".format(*shares))
    with pytest.raises(TrainingSettingsError) as refused:
        read_settings(path)
    assert "'run.toml': expected inner_stopping and inner_calibration to leave at least half" in str(
        refused.value
    )
    assert refused.value.found == "{} and {}".format(*shares)


@pytest.mark.parametrize("shares", [(0.25, 0.25), (0.3, 0.2), (0.0, 0.49), (0.35, 0.15)])
def test_inner_parts_of_half_of_the_people_are_taken(shares):
    settings = read_settings(
        overrides=dict(zip(("inner_stopping", "inner_calibration"), shares, strict=True))
    )
    assert (settings.inner_stopping, settings.inner_calibration) == shares


@pytest.mark.parametrize("path", sorted((DOCUMENT.parents[1] / "benchmarks" / "settings").glob("*.toml")))
def test_the_settings_of_the_benchmarks_are_read(path):
    assert read_settings(path).model_dump().items() >= tomllib.loads(path.read_text()).items()


def test_a_wrong_option_is_not_blamed_on_the_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("width = 4\n")
    with pytest.raises(TrainingSettingsError, match="in the options: expected epochs") as refused:
        read_settings(path, overrides={"epochs": 0})
    assert refused.value.details()["found"] == "0"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TrainingSettingsError, match=r"'gone.toml': expected a readable file"):
        read_settings(tmp_path / "gone.toml")


def test_settings_are_an_architecture_with_the_same_defaults():
    for name, field in Architecture.model_fields.items():
        if not field.is_required():
            assert getattr(TrainingSettings(), name) == field.default


@pytest.mark.parametrize(
    ("method", "setting", "value"),
    [
        # What a network has for default is no default of theirs.
        ("ridge-connectivity", "epochs", 100),
        ("ridge-connectivity", "inner_stopping", 0.15),
        ("mean-mlp", "width", 8),
    ],
)
def test_what_a_method_does_not_obey_is_refused(method, setting, value):
    with pytest.raises(TrainingSettingsError, match=f"{setting} to be left out"):
        read_settings(overrides={"method": method, setting: value})


def test_a_method_brings_defaults_of_its_own():
    settings = read_settings(overrides={"method": "learned-regions-mlp"})
    assert (settings.epochs, settings.schedule, settings.inner_stopping) == (40, "cosine", 0.0)
    assert read_settings(overrides={"method": "mean-mlp"}).batch_size == 64
    assert read_settings(overrides={"method": "ridge-connectivity"}).epochs == 1
