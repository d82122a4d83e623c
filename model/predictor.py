"""A loaded ensemble that answers for one prepared scan at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from imaging import NetworkInput, PreprocessingSpec, window_starts
from model.backends import Backend, choose_backend
from model.card import ModelCard
from model.checkpoint import Checkpoint, load_checkpoint
from model.decision import Decision, Interval, bootstrap_interval, calibrated_probability, decide
from model.embedding import Projection
from model.errors import DeviceUnavailableError, PreprocessingMismatchError
from model.full_float32 import full_float32
from model.networks import RestNetwork
from model.shapes import MemberLogits

Device = Literal["auto", "cpu", "cuda"]
Progress = Callable[[str, float], None]

CLASSIFYING = "classifying"
# What fits a processor's cache is several times faster than what does not.
FRAMES_PER_CHUNK = {"cpu": 4, "cuda": 64}


@dataclass(frozen=True)
class WindowProbability:
    """What the ensemble makes of one window."""

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
    device : "auto", "cpu" or "cuda"
        "auto" takes a CUDA device where there is one.
    backend : "auto", "openvino" or "torch"
        What computes the residual networks; "auto" takes the fastest that agrees with them.

    Attributes
    ----------
    backend : "openvino" or "torch"
        What was taken.

    Raises
    ------
    DeviceUnavailableError
        If "cuda" is asked for and there is none.
    BackendUnavailableError, BackendParityError
        If the backend does not run here, or gives other numbers than the networks.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: Device = "auto", backend: Backend = "auto") -> None:
        self.card: ModelCard = checkpoint.card
        self.sha256 = checkpoint.sha256
        self.spec = PreprocessingSpec.from_json(dict(checkpoint.card.preprocessing))
        self.device = choose_device(device)
        self._members: list[RestNetwork] = [network.to(self.device) for network in checkpoint.networks()]
        self.backend, self._encode = choose_backend(
            [member.encoder for member in self._members], backend=backend
        )
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
    def members(self) -> tuple[RestNetwork, ...]:
        """The ensemble's networks, in evaluation mode on :attr:`device`; not to be changed."""
        return tuple(self._members)

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
            Called as ``progress("classifying", fraction)`` after every chunk of frames; what it raises
            stops the work and passes through.

        Raises
        ------
        PreprocessingMismatchError
            If the scan was prepared in another way than the model was trained with.
        """
        if network_input.spec != self.spec:
            raise PreprocessingMismatchError(expected=self.spec.to_json(), found=network_input.spec.to_json())
        return self.classify_frames(network_input.frames, seed=seed, progress=progress)

    def classify_frames(
        self, frames: np.ndarray, *, seed: int, progress: Progress | None = None
    ) -> Classification:
        """Classify frames that were prepared with this card's preprocessing, as :meth:`classify` does.

        Parameters
        ----------
        frames : (T, 34, 34, 34) float32
        seed, progress
            As for :meth:`classify`.
        """
        starts = window_starts(len(frames), spec=self.spec)
        logits, embedding = self._read(frames, starts, progress=progress)
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
                for start, p in zip(starts, per_window, strict=True)
            ),
            member_logits=logits,
            embedding=embedding,
        )

    def member_logits(
        self, frames: np.ndarray, starts: np.ndarray, *, progress: Progress | None = None
    ) -> MemberLogits:
        """Give each member's logit for each window; frames that windows share are encoded once.

        Parameters
        ----------
        frames : (T, 34, 34, 34) float32
        starts : (W,) int
            First frame of each window of ``spec.window_frames`` frames.
        progress : callable, optional

        Returns
        -------
        (M, W) float64
        """
        return self._read(frames, starts, progress=progress)[0]

    @torch.inference_mode()
    @full_float32()
    def _read(
        self, frames: np.ndarray, starts: np.ndarray, *, progress: Progress | None
    ) -> tuple[MemberLogits, tuple[float, ...]]:
        windows = starts[:, None] + np.arange(self.spec.window_frames)
        distinct, position = np.unique(windows, return_inverse=True)
        order = torch.from_numpy(position.reshape(windows.shape)).to(self.device)
        n_chunks = -(-len(distinct) // FRAMES_PER_CHUNK[self.device.type])
        encoded = []
        for done, chunk in enumerate(np.array_split(distinct, n_chunks), start=1):
            batch = torch.from_numpy(np.ascontiguousarray(frames[chunk])).unsqueeze(1).to(self.device)
            encoded.append(self._encode(batch))
            if progress is not None:
                progress(CLASSIFYING, done / n_chunks)
        features = torch.cat(encoded, dim=1)
        read = _read_beside if self.backend == "openvino" else _read_in_turn
        logits = read(self._members, [own[order] for own in features])
        return torch.stack(logits).cpu().to(torch.float64).numpy(), self._projection.of(features)


def _read_in_turn(members: Sequence[RestNetwork], windows: Sequence[Tensor]) -> list[Tensor]:
    return [member.read(own) for member, own in zip(members, windows, strict=True)]


def _read_beside(members: Sequence[RestNetwork], windows: Sequence[Tensor]) -> list[Tensor]:
    """Read with a member a thread, none of which waits for another.

    Beside OpenVINO torch has little else to do, and its own threads would go on spinning for some
    milliseconds, on the cores of the next scan.
    """

    def read(member: RestNetwork, own: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = member.read(own)
        return logits

    n_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            n_threads, "member", initializer=torch.set_num_threads, initargs=(1,)
        ) as beside:
            return list(beside.map(read, members, windows))
    finally:
        # What one thread sets is what later ones begin with.
        torch.set_num_threads(n_threads)


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
