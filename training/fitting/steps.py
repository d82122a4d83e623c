"""One step of the optimiser: a batch through the network and back, in pieces where memory asks for it."""

from math import cos, isfinite, pi
from typing import ClassVar

import torch
from jaxtyping import Float16
from torch import Tensor
from torch.nn import functional

from imaging import PreprocessingSpec
from model.networks import RestNetwork
from model.shapes import Features
from training.errors import CohortError
from training.fitting.batches import PackedBatch
from training.fitting.brain_stem import BrainStem
from training.fitting.precision import Used, choose_precision, encoding_in
from training.fitting.settings import TrainingSettings
from training.fitting.wide_stem import WideStem


class TrainingDivergedError(CohortError):
    """A loss that is no longer a number."""

    code: ClassVar[str] = "training_diverged"

    def __init__(self, *, epoch: int, loss: str, found: float) -> None:
        self.epoch = epoch
        self.loss = loss
        self.found = str(found)
        super().__init__(
            f"epoch {epoch}: expected a finite {loss} loss, found {found}; a lower learning_rate may help"
        )


class Stepper:
    """A network with its optimiser, its buffer and the numbers that it computes in.

    Parameters
    ----------
    network : RestNetwork
        On the device.
    settings : TrainingSettings
    spec : PreprocessingSpec
        Of the windows.
    device : torch.device
    begun_in : "float32" or "bfloat16", optional
        The precision of a training that is gone on with, which it keeps; chosen anew where there is none.
    """

    def __init__(
        self,
        network: RestNetwork,
        *,
        settings: TrainingSettings,
        spec: PreprocessingSpec,
        device: torch.device,
        begun_in: Used | None = None,
    ) -> None:
        self._frozen = settings.encoder == "frozen"
        # What is read of a frozen residual network is features, which nothing convolves any more.
        asked = "float32" if self._frozen else settings.precision
        self.precision: Used = begun_in or choose_precision(asked, device=device)
        # Without decay AdamW is Adam. Fused: one pass over the weights, which A has forty million of.
        self.optimiser = torch.optim.AdamW(
            [
                parameter
                for name, parameter in network.named_parameters()
                if not (self._frozen and name.startswith("encoder."))
            ],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._network, self._settings, self._device = network, settings, device
        self._at_once = min(settings.micro_batch or settings.batch_size, settings.batch_size)
        self._dtype: torch.dtype = getattr(torch, self.precision)
        self._stem: BrainStem | WideStem | None = None
        if not self._frozen:
            self._stem = (
                BrainStem(spec.grid_size)
                if device.type == "cpu"
                else WideStem(spec.grid_size, device=device, dtype=self._dtype)
            )

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return float(self.optimiser.param_groups[0]["lr"])

    def step(self, batch: PackedBatch, *, epoch: int, share_done: float) -> float:
        """Take one step.

        Parameters
        ----------
        batch : PackedBatch
            Of features where the residual network is frozen, of voxels otherwise.
        epoch : int
            From 1; for the message if it fails.
        share_done : float
            Of the whole training, 0 to 1, which the schedule follows.

        Returns
        -------
        float
            Sum of the windows' losses, before the step.

        Raises
        ------
        TrainingDivergedError
            If the loss is not finite; no weight is changed by it.
        """
        self.optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for first in range(0, len(batch.labels), self._at_once):
            labels = batch.labels[first : first + self._at_once]
            frames = batch.frames[first : first + self._at_once]
            features = self._encode(frames.flatten(0, 1))
            logits = self._network.read(features.float().reshape(*frames.shape[:2], -1))
            loss = functional.binary_cross_entropy_with_logits(
                logits, labels.to(self._device), reduction="sum"
            )
            (loss / len(batch.labels)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        require_finite(total, loss="training", epoch=epoch)
        self._set_learning_rate(share_done)
        self.optimiser.step()
        return total

    def _encode(self, frames: Float16[Tensor, "n N"]) -> Features:
        frames = frames.to(self._device, non_blocking=True)
        if self._stem is None:
            return frames  # encoded before
        # One float32 map would make every sum with a shortcut float32 too.
        pooled = self._stem(self._network.encoder, frames).to(self._dtype)
        with encoding_in(self.precision, device=self._device):
            return self._network.encoder.after_stem(pooled)

    def _set_learning_rate(self, share_done: float) -> None:
        rate = self._settings.learning_rate
        if self._settings.schedule == "cosine":
            rate *= (1 + cos(pi * share_done)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = rate


def require_finite(value: float, *, loss: str, epoch: int) -> None:
    """Refuse to go on from a loss that is not a number.

    Raises
    ------
    TrainingDivergedError
    """
    if not isfinite(value):
        raise TrainingDivergedError(epoch=epoch, loss=loss, found=value)
