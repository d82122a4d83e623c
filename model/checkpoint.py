"""One safetensors file holds an ensemble: the card in its header, tensors named ``members.{i}.{name}``.

Nothing is unpickled. A file is used only when every expected tensor is there with the expected shape,
finite, and nothing else is.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from imaging.spec import PreprocessingSpec, PreprocessingSpecError
from model.card import CARD_KEY, ModelCard, RegionsRecord, parse_card
from model.errors import (
    CheckpointCorruptError,
    CheckpointDigestError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
)
from model.files import replace_file
from model.methods.building import build_method
from model.methods.catalogue import METHODS
from model.methods.module_model import TEMPERATURE
from model.methods.scan_model import REGION_OF_VOXEL, ScanModel, regions_sha256
from model.networks import GRID_SIZE, RestNetwork

WeightsDtype = Literal["float16", "float32"]
_Module = TypeVar("_Module", bound=nn.Module)

_DTYPES = {"float16": torch.float16, "float32": torch.float32}
# A count of training batches, which inference never reads.
_NOT_STORED = "num_batches_tracked"


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Attributes
    ----------
    card : ModelCard
    members : tuple of dict
        Each member's weights in float32, ready for ``load_state_dict`` of what the card names.
    sha256 : str
        Of the file's bytes.
    """

    card: ModelCard
    members: tuple[dict[str, Tensor], ...]
    sha256: str

    def networks(self) -> list[RestNetwork]:
        """Build the members in evaluation mode, on the CPU; of the method "network" alone."""
        return [self._filled(RestNetwork(self.card), weights) for weights in self.members]

    def models(self) -> list[ScanModel]:
        """Build the members in evaluation mode, on the CPU; of every other method."""
        return [self._filled(_build_other(self.card), weights) for weights in self.members]

    @staticmethod
    def _filled(model: _Module, weights: Mapping[str, Tensor]) -> _Module:
        model.load_state_dict(_with_batch_counts(weights))
        return model.eval()


def save_checkpoint(
    path: Path,
    *,
    members: Sequence[Mapping[str, Tensor]],
    card: ModelCard,
    weights_dtype: WeightsDtype = "float32",
) -> str:
    """Write an ensemble and its card in one step: a reader sees the old file or the whole new one.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    members : sequence of state dicts
        As many as the card says, of the network that the card names.
    card : ModelCard
    weights_dtype : "float16" or "float32"
        Of a network; other methods are stored in float32 whatever is asked for. Normalisation layers stay in
        float32 either way: they are small, and a variance rounded to half precision scales a whole channel.

    Returns
    -------
    str
        sha256 of the file.

    Raises
    ------
    CheckpointMismatchError
        If the members are not what the card says, or a weight is not finite, or a temperature not above 0,
        once stored.
    """
    stored: dict[str, Tensor] = {}
    for i, weights in enumerate(members):
        for name, tensor in weights.items():
            if not name.endswith(_NOT_STORED):
                whole = card.method != "network" or _is_normalisation(name, tensor)
                dtype = torch.float32 if whole else _DTYPES[weights_dtype]
                stored[f"members.{i}.{name}"] = tensor.detach().to("cpu", dtype).contiguous()
    _verify(stored, card)
    content = save(stored, metadata={CARD_KEY: card.model_dump_json()})
    replace_file(path, content)
    return hashlib.sha256(content).hexdigest()


def load_checkpoint(path: Path, *, expected_sha256: str | None = None) -> Checkpoint:
    """Read and verify a checkpoint.

    Parameters
    ----------
    path : Path
    expected_sha256 : str, optional
        The digest under which the file was registered.

    Raises
    ------
    CheckpointError
        If the file is missing, is not the registered one, is damaged, is of an unknown format, or if its
        tensors are not exactly the finite weights of the models that its card names, on the regions that it
        names, with temperatures above 0.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointNotFoundError(name=path.name) from error
    sha256 = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None and sha256 != expected_sha256.lower():
        raise CheckpointDigestError(expected=expected_sha256, found=sha256)
    try:
        stored = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointCorruptError(name=path.name, found="bytes that are not safetensors") from error
    header_length = int.from_bytes(content[:8], "little")
    card = parse_card(content[8 : 8 + header_length], name=path.name)
    _verify(stored, card)
    members = tuple(
        {name: stored[f"members.{i}.{name}"].to(torch.float32) for name in _expected_shapes(card)}
        for i in range(card.members)
    )
    return Checkpoint(card=card, members=members, sha256=sha256)


def _verify(stored: Mapping[str, Tensor], card: ModelCard) -> None:
    """Hold the tensors against the models that the card names."""
    _verify_preprocessing(card)
    _verify_that_regions_are_named(card)
    shapes = _expected_shapes(card)
    expected = {f"members.{i}.{name}": shape for i in range(card.members) for name, shape in shapes.items()}
    missing, extra = sorted(expected.keys() - stored.keys()), sorted(stored.keys() - expected.keys())
    if missing or extra:
        raise CheckpointMismatchError(
            expected=f"{len(expected)} tensors of {card.members} models {card.system}",
            found=f"{len(missing)} missing, {len(extra)} unknown, first {(missing or extra)[0]!r}",
        )
    for name, shape in expected.items():
        tensor = stored[name]
        if tensor.shape != shape:
            raise CheckpointMismatchError(
                expected=f"{name!r} of shape {tuple(shape)}", found=f"shape {tuple(tensor.shape)}"
            )
        if tensor.dtype not in _DTYPES.values():
            raise CheckpointMismatchError(expected=f"{name!r} in float16 or float32", found=f"{tensor.dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointMismatchError(
                expected=f"finite weights in {name!r}", found="NaN or infinite values"
            )
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise CheckpointMismatchError(expected=f"{name!r} not negative", found="a negative variance")
    n_learned = METHODS[card.method].n_learned_regions
    for i in range(card.members):
        name = f"members.{i}.{REGION_OF_VOXEL}"
        if card.regions is not None:
            found = _verified_regions(stored[name], n_regions=card.regions.n_regions, name=name)
            _verify_digest(found, card.regions, name=name)
        elif n_learned:
            _verified_regions(stored[name], n_regions=n_learned, name=name)
        name = f"members.{i}.{TEMPERATURE}"
        if name in stored and not bool((stored[name] > 0).all()):
            # By 0 a member is certain of everybody, by less it says the opposite.
            raise CheckpointMismatchError(expected=f"{name!r} above 0", found="0 or less")


def _verify_that_regions_are_named(card: ModelCard) -> None:
    reads_regions = "regions" in METHODS[card.method].reads
    if reads_regions != (card.regions is not None):
        raise CheckpointMismatchError(
            expected=f"{'the' if reads_regions else 'no'} regions of the method {card.method!r} in the card",
            found="none" if card.regions is None else f"{card.regions.n_regions} named {card.regions.name!r}",
        )


def _verified_regions(region_of_voxel: Tensor, *, n_regions: int, name: str) -> Tensor:
    """Give a member's regions once each of so many has a voxel, and no other is there."""
    numbers = region_of_voxel.to(torch.float32)
    whole = bool((numbers == numbers.round()).all())
    found = torch.unique(numbers[numbers != 0]).tolist()
    if not whole or found != list(range(1, n_regions + 1)):
        outer = f"from {found[0]:g} to {found[-1]:g}" if found else "of no region"
        raise CheckpointMismatchError(
            expected=f"the regions 1 to {n_regions} in {name!r}",
            found=f"{len(found)} numbers {outer}",
        )
    return numbers


def _verify_digest(numbers: Tensor, record: RegionsRecord, *, name: str) -> None:
    """Hold a member's regions against those that the card names."""
    sha256 = regions_sha256(numbers.numpy().astype(np.int16))
    if sha256 != record.sha256:
        raise CheckpointMismatchError(
            expected=f"the regions {record.name!r} with sha256 {record.sha256} in {name!r}",
            found=f"others, with sha256 {sha256}",
        )


def _verify_preprocessing(card: ModelCard) -> None:
    """Hold the card's preprocessing against what this code can carry out."""
    try:
        spec = PreprocessingSpec.from_json(dict(card.preprocessing))
    except (PreprocessingSpecError, TypeError, ValueError) as error:
        raise CheckpointMismatchError(expected="a preprocessing spec", found=str(error)) from error
    if spec.to_json() != card.preprocessing or spec.grid_size != GRID_SIZE:
        raise CheckpointMismatchError(
            expected=f"a complete preprocessing spec on a grid of {GRID_SIZE}",
            found=f"a grid of {spec.grid_size!r}, or missing fields",
        )


def _expected_shapes(card: ModelCard) -> dict[str, torch.Size]:
    # On the meta device a model costs no memory, whatever the card claims.
    with torch.device("meta"):
        model = RestNetwork(card) if card.method == "network" else _build_other(card)
    return {name: t.shape for name, t in model.state_dict().items() if not name.endswith(_NOT_STORED)}


def _build_other(card: ModelCard) -> ScanModel:
    spec = PreprocessingSpec.from_json(dict(card.preprocessing))
    n_regions = 0 if card.regions is None else card.regions.n_regions
    return build_method(card.method, grid_size=spec.grid_size, n_regions=n_regions)


def _is_normalisation(name: str, tensor: Tensor) -> bool:
    # Convolutions have no bias, so what is one-dimensional before the recurrent layer belongs to a BatchNorm.
    return name.startswith(("encoder.", "feature_norm.")) and tensor.ndim == 1


def _with_batch_counts(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    counts = {
        name.replace("running_var", _NOT_STORED): torch.tensor(0)
        for name in weights
        if name.endswith("running_var")
    }
    return {**weights, **counts}
