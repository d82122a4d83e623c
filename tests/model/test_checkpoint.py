import hashlib
import json
import os
import pickle

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from model.card import read_card
from model.checkpoint import load_checkpoint, save_checkpoint
from model.errors import (
    CheckpointCorruptError,
    CheckpointDigestError,
    CheckpointError,
    CheckpointFormatError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
)

REUSE_FILE = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_batch_count(name):
    return name.endswith("num_batches_tracked")


def rewrite(path, *, card=None, **tensors):
    """Write the checkpoint again with other tensors (None takes one out) or another card."""
    stored = {name: t for name, t in (load_file(path) | tensors).items() if t is not None}
    text = card if card is not None else read_card(path).model_dump_json()
    save_file(stored, path, metadata={"card": text})


def test_what_was_saved_comes_back_bit_for_bit(tmp_path, card, members):
    path = tmp_path / "ensemble.safetensors"
    digest = save_checkpoint(path, members=members, card=card)
    loaded = load_checkpoint(path, expected_sha256=digest)
    assert loaded.card == card
    assert digest == loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for saved, came_back in zip(members, loaded.members, strict=True):
        expected = {name: t for name, t in saved.items() if not is_batch_count(name)}
        assert expected.keys() == came_back.keys()
        assert all(torch.equal(expected[name], came_back[name]) for name in expected)


def test_the_same_ensemble_makes_the_same_bytes(tmp_path, card, members):
    digests = {save_checkpoint(tmp_path / name, members=members, card=card) for name in ("a", "b")}
    assert len(digests) == 1


def test_half_precision_halves_the_file_but_spares_the_normalisation(tmp_path, card, members):
    whole, half = tmp_path / "whole", tmp_path / "half"
    save_checkpoint(whole, members=members, card=card)
    save_checkpoint(half, members=members, card=card, weights_dtype="float16")
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    stored = load_file(half)
    for name, tensor in stored.items():
        normalisation = "norm" in name
        assert tensor.dtype == (torch.float32 if normalisation else torch.float16), name
    member = load_checkpoint(half).members[1]
    assert all(t.dtype == torch.float32 for t in member.values())
    assert torch.equal(member["rnn.weight_ih_l0"], members[1]["rnn.weight_ih_l0"].half().float())


def test_networks_come_back_ready_to_predict(checkpoint_file, members):
    built = load_checkpoint(checkpoint_file).networks()
    assert [network.training for network in built] == [False, False]
    for network, saved in zip(built, members, strict=True):
        assert torch.equal(network.state_dict()["head.weight"], saved["head.weight"])


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, checkpoint_file, card, members):
    before = checkpoint_file.read_bytes()
    members[0]["head.bias"] = torch.tensor([float("nan")])
    with pytest.raises(CheckpointMismatchError):
        save_checkpoint(checkpoint_file, members=members, card=card)
    assert checkpoint_file.read_bytes() == before
    assert os.listdir(tmp_path) == [checkpoint_file.name]  # noqa: PTH208


def test_weights_too_large_for_half_precision_are_refused_when_saved(tmp_path, card, members):
    members[0]["head.bias"] = torch.tensor([1e6])
    with pytest.raises(CheckpointMismatchError, match="finite"):
        save_checkpoint(tmp_path / "x", members=members, card=card, weights_dtype="float16")


def test_a_missing_file_is_said_to_be_missing_without_its_folder(tmp_path):
    for read in (load_checkpoint, read_card):
        with pytest.raises(CheckpointNotFoundError) as caught:
            read(tmp_path / "nowhere.safetensors")
        assert caught.value.code == "checkpoint_not_found"
        assert str(tmp_path) not in str(caught.value)


def test_another_file_than_the_registered_one_is_refused(checkpoint_file):
    with pytest.raises(CheckpointDigestError) as caught:
        load_checkpoint(checkpoint_file, expected_sha256="f" * 64)
    assert caught.value.code == "checkpoint_sha256_mismatch"
    assert caught.value.details()["expected"] == "f" * 64


@REUSE_FILE
@given(cut=st.integers(0, 10_000))
def test_a_file_cut_short_anywhere_is_corrupt(tmp_path, checkpoint_file, cut):
    content = checkpoint_file.read_bytes()
    short = tmp_path / "short"
    short.write_bytes(content[: cut % len(content)])
    with pytest.raises(CheckpointCorruptError):
        load_checkpoint(short)


@REUSE_FILE
@given(content=st.binary(max_size=200))
def test_random_bytes_are_corrupt_for_both_readers(tmp_path, content):
    path = tmp_path / "random"
    path.write_bytes(content)
    for read in (load_checkpoint, read_card):
        with pytest.raises(CheckpointError):
            read(path)


@REUSE_FILE
@given(
    header=st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["__metadata__", "card", "format_version", "x"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_a_header_of_any_json_is_refused_with_our_own_error(tmp_path, header):
    text = json.dumps(header).encode()
    path = tmp_path / "header"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    for read in (load_checkpoint, read_card):
        with pytest.raises(CheckpointError):
            read(path)


def test_a_pickle_is_refused_and_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    path = tmp_path / "pickle"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointCorruptError):
        load_checkpoint(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"members.0.head.bias": None}, "1 missing, 0 unknown"),
        ({"members.2.head.bias": torch.zeros(1)}, "0 missing, 1 unknown"),
        ({"members.0.head.bias": torch.zeros(2)}, r"shape \(2,\)"),
        ({"members.0.head.bias": torch.zeros(1, dtype=torch.int32)}, r"torch\.int32"),
        ({"members.0.head.bias": torch.tensor([float("nan")])}, "NaN or infinite"),
        ({"members.1.head.bias": torch.tensor([float("inf")])}, "NaN or infinite"),
        ({"members.1.encoder.stem_norm.running_var": torch.tensor([-1.0])}, "negative variance"),
    ],
)
def test_tensors_that_are_not_the_cards_networks_are_refused(checkpoint_file, change, said):
    rewrite(checkpoint_file, **change)
    with pytest.raises(CheckpointMismatchError, match=said) as caught:
        load_checkpoint(checkpoint_file)
    assert caught.value.code == "checkpoint_mismatch"


@pytest.mark.parametrize("temperature", [0.0, -0.0, -1.5])
def test_a_temperature_that_is_none_is_refused(perceptron_file, temperature):
    load_checkpoint(perceptron_file)
    rewrite(perceptron_file, **{"members.1.temperature": torch.tensor([temperature])})
    with pytest.raises(CheckpointMismatchError, match=r"'members.1.temperature' above 0, found 0 or less"):
        load_checkpoint(perceptron_file)


@pytest.mark.parametrize(
    "change", [{"width": 2}, {"network": "C"}, {"rnn": "lstm"}, {"members": 3}, {"members": 1}]
)
def test_a_card_of_other_networks_is_refused(checkpoint_file, make_card, change):
    rewrite(checkpoint_file, card=make_card(**change).model_dump_json())
    with pytest.raises(CheckpointMismatchError):
        load_checkpoint(checkpoint_file)


@pytest.mark.parametrize(
    "change",
    [
        {"grid_size": 20},
        {"version": 2},
        {"tr_s": "x"},
        {"grid_size": "34"},
        {"window_frames": 0},
        {"news": 1},
    ],
)
def test_a_card_whose_preprocessing_nobody_can_carry_out_is_refused(checkpoint_file, make_card, change):
    spec = make_card().preprocessing | change
    rewrite(checkpoint_file, card=make_card(preprocessing=spec).model_dump_json())
    with pytest.raises(CheckpointMismatchError, match="preprocessing spec"):
        load_checkpoint(checkpoint_file)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_format_from_another_time_is_named_as_such(checkpoint_file, version):
    fields = json.loads(read_card(checkpoint_file).model_dump_json()) | {"format_version": version, "news": 1}
    rewrite(checkpoint_file, card=json.dumps(fields))
    with pytest.raises(CheckpointFormatError) as caught:
        load_checkpoint(checkpoint_file)
    assert caught.value.code == "checkpoint_format_unknown"
