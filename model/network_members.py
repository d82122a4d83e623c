"""An ensemble of RestNet's own networks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from imaging import PreprocessingSpec, brain_cube, window_starts
from model.backends import Backend, BackendName, choose_backend
from model.full_float32 import full_float32
from model.members import CLASSIFYING, Progress, Reading
from model.methods.scan_view import ScanView
from model.networks import RestNetwork

# What fits a processor's cache is several times faster than what does not.
FRAMES_PER_CHUNK = {"cpu": 4, "cuda": 64}


class NetworkMembers:
    """Networks that share the work of encoding a scan's frames, for one thread at a time.

    Parameters
    ----------
    networks : sequence of RestNetwork
        In evaluation mode, of one architecture.
    spec : PreprocessingSpec
    device : torch.device
    backend : "auto", "openvino" or "torch"

    Attributes
    ----------
    backend : "openvino" or "torch"
        What was taken.

    Raises
    ------
    BackendUnavailableError, BackendParityError
        As :func:`model.backends.choose_backend`.
    """

    needs_maps = False

    def __init__(
        self,
        networks: Sequence[RestNetwork],
        *,
        spec: PreprocessingSpec,
        device: torch.device,
        backend: Backend,
    ) -> None:
        self.networks = tuple(network.to(device) for network in networks)
        self.device = device
        self.backend: BackendName
        self.backend, self._encode = choose_backend(
            [network.encoder for network in self.networks], backend=backend
        )
        self._spec = spec

    def read(self, scan: ScanView, *, progress: Progress | None) -> Reading:
        """Give each network's logit for each planned window."""
        starts = window_starts(len(scan.series), spec=self._spec)
        return self.read_windows(scan.series, starts, progress=progress)

    @torch.inference_mode()
    @full_float32()
    def read_windows(
        self,
        series: Float[np.ndarray, "T N"],
        starts: Int[np.ndarray, " W"],
        *,
        progress: Progress | None = None,
    ) -> Reading:
        """Give each network's logit for each window; frames that windows share are encoded once.

        Parameters
        ----------
        series : (T, N) float
            The cube's brain voxels over time.
        starts : (W,) int
            First frame of each window of ``spec.window_frames`` frames.
        progress : callable, optional
            As :meth:`read` calls it, after each chunk of frames.
        """
        windows = starts[:, None] + np.arange(self._spec.window_frames)
        distinct, position = np.unique(windows, return_inverse=True)
        order = torch.from_numpy(position.reshape(windows.shape)).to(self.device)
        n_chunks = -(-len(distinct) // FRAMES_PER_CHUNK[self.device.type])
        frames, encoded = frames_of(series, grid_size=self._spec.grid_size), []
        for done, chunk in enumerate(np.array_split(distinct, n_chunks), start=1):
            batch = torch.from_numpy(np.ascontiguousarray(frames[chunk])).unsqueeze(1).to(self.device)
            encoded.append(self._encode(batch))
            if progress is not None:
                progress(CLASSIFYING, done / n_chunks)
        features = torch.cat(encoded, dim=1)
        read = _read_beside if self.backend == "openvino" else _read_in_turn
        logits = read(self.networks, [own[order] for own in features])
        return Reading(
            logits=torch.stack(logits).cpu().to(torch.float64).numpy(),
            starts=starts,
            features=features.mean(dim=(0, 1)).cpu().double().numpy(),
        )


def frames_of(series: Float[np.ndarray, "T N"], *, grid_size: int) -> Float32[np.ndarray, "T G G G"]:
    """Put a series of the brain's voxels in its place, 0 outside."""
    frames = np.zeros((len(series), grid_size, grid_size, grid_size), dtype=np.float32)
    frames[:, brain_cube(grid_size).mask] = series
    return frames


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
