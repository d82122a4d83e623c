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
        ("width = 0", "expected width to be a whole number, at least 1, at most 256, found 0"),
        ("width = 2.5", "expected width to be a whole number, at least 1"),
        ("epochs = true", "expected epochs to be a whole number, at least 1, at most 100000, found True"),
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
        ("learning_rate = nan", "expected learning_rate to be a number, above 0, at most 1, found nan"),
        (
            'protocol = "paper"\nwatch = "auc"',
            "expected watch to be 'loss' under the protocol 'paper', which watches the training loss, found",
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
