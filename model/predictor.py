"""A loaded ensemble that answers for one prepared scan at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from imaging import NetworkInput, PreprocessingSpec
from model.backends import Backend, BackendName
from model.card import ModelCard, require_served
from model.checkpoint import Checkpoint, load_checkpoint
from model.decision import Decision, Interval, bootstrap_interval, calibrated_probability, decide
from model.embedding import Projection
from model.errors import CheckpointMismatchError, DeviceUnavailableError, PreprocessingMismatchError
from model.members import Progress, Reading
from model.methods.catalogue import METHODS
from model.methods.scan_view import ScanView
from model.network_members import NetworkMembers
from model.networks import RestNetwork
from model.scan_members import ScanMembers
from model.shapes import MemberLogits

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class WindowProbability:
    """What the ensemble makes of one window; of the whole scan, from frame 0, where it reads that at once."""

    start_frame: int
    probability: float


@dataclass(frozen=True)
class Classification:
    """The ensemble's answer for one scan.

    Attributes
    ----------
    adhd_probability : float
        Calibrated; of the mean logit over members and windows.
    interval : Interval
    decision : "adhd", "control" or "uncertain"
    threshold : float
    windows : tuple of WindowProbability
        In the order of time.
    member_logits : (M, W) float64
    embedding : tuple of 16 floats
        See :mod:`model.embedding`; of this checkpoint alone, and no part of what is published.
    """

    adhd_probability: float
    interval: Interval
    decision: Decision
    threshold: float
    windows: tuple[WindowProbability, ...]
    member_logits: MemberLogits
    embedding: tuple[float, ...]


class Predictor:
    """An ensemble in evaluation mode on one device, for one thread at a time.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of any method.
    device : "auto", "cpu" or "cuda"
        "auto" takes a CUDA device where there is one.
    backend : "auto", "openvino" or "torch"
        What computes the residual networks; "auto" takes the fastest that agrees with them. Other methods
        have one way to be computed, whatever is asked for.

    Raises
    ------
    MethodNeedsT1wError
        If its method reads what no scan to be classified brings.
    DeviceUnavailableError
        If "cuda" is asked for and there is none.
    BackendUnavailableError, BackendParityError
        If the backend does not run here, or gives other numbers than the networks.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: Device = "auto", backend: Backend = "auto") -> None:
        require_served(checkpoint.card)
        self.card: ModelCard = checkpoint.card
        self.sha256 = checkpoint.sha256
        self.spec = PreprocessingSpec.from_json(dict(checkpoint.card.preprocessing))
        self._members = _members_of(checkpoint, spec=self.spec, device=choose_device(device), backend=backend)
        self._projection = Projection(checkpoint.sha256)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: Device = "auto",
        backend: Backend = "auto",
        expected_sha256: str | None = None,
    ) -> "Predictor":
        """Load and verify a checkpoint file.

        Raises
        ------
        CheckpointError
            If the file is not an intact checkpoint, or not the expected one.
        ModelError
            As the constructor does.
        """
        checkpoint = load_checkpoint(path, expected_sha256=expected_sha256)
        return cls(checkpoint, device=device, backend=backend)

    @property
    def device(self) -> torch.device:
        """Where the ensemble computes."""
        return self._members.device

    @property
    def backend(self) -> BackendName:
        """What computes it: the backend that was taken for networks, "torch" or "numpy" for other methods."""
        return self._members.backend

    @property
    def needs_maps(self) -> bool:
        """Whether scans have to come with derived maps."""
        return self._members.needs_maps

    @property
    def members(self) -> tuple[RestNetwork, ...]:
        """The ensemble's networks, in evaluation mode on :attr:`device`, not to be changed; else none."""
        return self._members.networks if isinstance(self._members, NetworkMembers) else ()

    def classify(
        self, network_input: NetworkInput, *, seed: int, progress: Progress | None = None
    ) -> Classification:
        """Give the calibrated probability of ADHD, its interval and the decision.

        Parameters
        ----------
        network_input : NetworkInput
            Prepared with this card's preprocessing.
        seed : int
            Of the bootstrap; derived from the scan's bytes, so that the same scan gives the same interval.
        progress : callable, optional
            Called as ``progress("classifying", fraction)`` after every chunk of frames, or every member of
            another method; what it raises stops the work and passes through.

        Raises
        ------
        PreprocessingMismatchError
            If the scan was prepared in another way than the model was trained with.
        CheckpointMismatchError
            If its weights are so large that a logit is not finite.
        """
        return self.classify_view(ScanView.of(network_input), seed=seed, progress=progress)

    def classify_view(self, scan: ScanView, *, seed: int, progress: Progress | None = None) -> Classification:
        """Classify a scan that is kept prepared, as :meth:`classify` does.

        Parameters
        ----------
        scan : ScanView
        seed, progress
            As for :meth:`classify`.

        Raises
        ------
        PreprocessingMismatchError, CheckpointMismatchError
            As :meth:`classify`.
        """
        reading = self._read(scan, progress=progress)
        logits = reading.logits
        temperature, threshold = self.card.temperature, self.card.threshold
        probability = calibrated_probability(logits.mean(keepdims=True), temperature=temperature).item()
        interval = bootstrap_interval(logits, temperature=temperature, seed=seed)
        per_window = calibrated_probability(logits.mean(axis=0), temperature=temperature)
        return Classification(
            adhd_probability=probability,
            interval=interval,
            decision=decide(
                probability,
                interval,
                threshold=threshold,
                rule=self.card.decision_rule,
                conformal_quantiles=self.card.conformal_quantiles,
            ),
            threshold=threshold,
            windows=tuple(
                WindowProbability(start_frame=int(start), probability=float(p))
                for start, p in zip(reading.starts, per_window, strict=True)
            ),
            member_logits=logits,
            embedding=self._projection.of(reading.features),
        )

    def member_logits(self, scan: ScanView, *, progress: Progress | None = None) -> MemberLogits:
        """Give each member's logit for each window that it reads.

        Parameters
        ----------
        scan : ScanView
        progress : callable, optional

        Returns
        -------
        (M, W) float64

        Raises
        ------
        PreprocessingMismatchError, CheckpointMismatchError
            As :meth:`classify`.
        """
        return self._read(scan, progress=progress).logits

    def _read(self, scan: ScanView, *, progress: Progress | None) -> Reading:
        """Let every member read a scan that was prepared as they were trained."""
        if scan.spec != self.spec:
            raise PreprocessingMismatchError(expected=self.spec.to_json(), found=scan.spec.to_json())
        reading = self._members.read(scan, progress=progress)
        # Weights that are finite one by one may still add up to what is not, and its mean would be no answer.
        with np.errstate(over="ignore"):
            calibrated = reading.logits / self.card.temperature
        if not np.isfinite(calibrated).all():
            raise CheckpointMismatchError(
                expected="weights that give finite logits", found="NaN or infinite logits"
            )
        return reading


def _members_of(
    checkpoint: Checkpoint, *, spec: PreprocessingSpec, device: torch.device, backend: Backend
) -> NetworkMembers | ScanMembers:
    method = METHODS[checkpoint.card.method]
    if method.name == "network":
        return NetworkMembers(checkpoint.networks(), spec=spec, device=device, backend=backend)
    return ScanMembers(checkpoint.models(), method=method, device=device)


def choose_device(device: Device) -> torch.device:
    """Name the device that a choice comes to on this machine.

    Raises
    ------
    DeviceUnavailableError
        If "cuda" is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise DeviceUnavailableError(expected=device)
    return torch.device("cuda" if available and device != "cpu" else "cpu")
