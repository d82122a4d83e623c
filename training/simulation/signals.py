"""Band-limited signals on brain networks, as coefficients of a few Fourier components instead of frames.

A filtered scan holds only some dozens of independent numbers a voxel. Drawing those, shaping and smoothing
them in space, and only then turning them into frames gives the same scan as working on frames, several
times faster.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32, Float64
from numpy.random import Generator

from imaging.template import template_brain
from training.simulation.brain_networks import NODE_NETWORK, NetworkTraits

BAND_HZ = (0.009, 0.08)
# Athena's real files hold 92 % of their power in the band: the filter's skirts reach this far.
SKIRT_HZ = (0.002, 0.09)
POWER_IN_BAND = 0.92

ATHENA_SHAPE = (49, 58, 47)
ATHENA_AFFINE = np.array([[-4.0, 0, 0, 96], [0, 4, 0, -132], [0, 0, 4, -70], [0, 0, 0, 1]])

_SMOOTHING_FWHM_MM = 6.0
_VOXEL_MM = 4.0
_SMOOTHING_REACH = (
    1  # voxels; 1 % of the kernel lies further out, over as many voxels again outside the brain
)
_NODE_SIGMA_MM = 8.0
_NETWORK_AMPLITUDE = 2.0
_AMPLITUDE_SPREAD = 0.18  # standard deviation of log amplitude between people, a network
_NODE_SPREAD = 0.15  # and a node within it
_CENTRE_JITTER_MM = 3.0


def fourier_basis(*, n_frames: int, tr_s: float) -> Float32[np.ndarray, "K T"]:
    """Give cosines and sines over a scan: unit white coefficients of them make a signal of unit variance.

    Parameters
    ----------
    n_frames : int
    tr_s : float

    Returns
    -------
    (K, T) float32
        Every row has mean zero over the scan: its frequencies are whole cycles.
    """
    frequency_hz = np.arange(1, n_frames // 2) / (n_frames * tr_s)
    frequency_hz = frequency_hz[(frequency_hz >= SKIRT_HZ[0]) & (frequency_hz <= SKIRT_HZ[1])]
    in_band = (frequency_hz >= BAND_HZ[0]) & (frequency_hz <= BAND_HZ[1])
    power = np.where(
        in_band, POWER_IN_BAND / in_band.sum(), (1 - POWER_IN_BAND) / max(int((~in_band).sum()), 1)
    )
    phase = 2 * np.pi * frequency_hz[:, None] * np.arange(n_frames) * tr_s
    amplitude = np.sqrt(power)[:, None]
    return np.concatenate([amplitude * np.cos(phase), amplitude * np.sin(phase)]).astype(np.float32)


def node_coefficients(
    traits: NetworkTraits, *, n_components: int, generator: Generator
) -> Float32[np.ndarray, "S K"]:
    """Draw the nodes' time courses for one person, as coefficients of the basis.

    Parameters
    ----------
    traits : NetworkTraits
    n_components : int
    generator : numpy.random.Generator

    Returns
    -------
    (S, K) float32
        One row a node, with the person's own amplitudes.
    """
    n_networks, n_nodes = len(traits.log_amplitude), len(NODE_NETWORK)
    common = np.linalg.cholesky(traits.coupling) @ generator.standard_normal((n_networks, n_components))
    own = generator.standard_normal((n_nodes, n_components))
    log_amplitude = traits.log_amplitude + _AMPLITUDE_SPREAD * generator.standard_normal(n_networks)
    node_log_amplitude = log_amplitude[NODE_NETWORK] + _NODE_SPREAD * generator.standard_normal(n_nodes)
    shared = traits.coherence[NODE_NETWORK][:, None]
    courses = np.sqrt(shared) * common[NODE_NETWORK] + np.sqrt(1 - shared) * own
    return np.asarray(_NETWORK_AMPLITUDE * np.exp(node_log_amplitude)[:, None] * courses, dtype=np.float32)


def node_maps(node_mm: Float64[np.ndarray, "S 3"], *, generator: Generator) -> Float32[np.ndarray, "N S"]:
    """Draw where a person's nodes lie: blobs in grey matter, centred a little off the published places.

    Returns
    -------
    (N, S) float32
        One column a node, about 1 at its centre, over the template's brain voxels.
    """
    centres = node_mm + _CENTRE_JITTER_MM * generator.standard_normal(node_mm.shape)
    voxels_mm, grey, _ = _brain()
    squared_mm = ((voxels_mm[:, None, :] - centres.astype(np.float32)) ** 2).sum(axis=2)
    return np.asarray(np.exp(-squared_mm / (2 * _NODE_SIGMA_MM**2)) * grey[:, None])


def brain_noise(*, n_components: int, generator: Generator) -> Float32[np.ndarray, "N K"]:
    """Draw what is not network: independent voxels, stronger in grey matter, smoothed later with the rest."""
    _, grey, gain = _brain()
    noise = generator.standard_normal((len(grey), n_components), dtype=np.float32)
    return np.asarray(noise * (gain * (0.4 + 0.6 * grey))[:, None])


def smooth_gain(slope: Float64[np.ndarray, "3"]) -> Float32[np.ndarray, " N"]:
    """Give a gain that changes evenly across the brain, like a receive coil's; 1 in the middle."""
    voxels_mm, _, _ = _brain()
    centred = (voxels_mm - voxels_mm.mean(axis=0)) / voxels_mm.std(axis=0)
    return np.asarray(np.exp(centred @ slope), dtype=np.float32)


def to_frames(
    coefficients: Float32[np.ndarray, "N K"], basis: Float32[np.ndarray, "K T"]
) -> Float32[np.ndarray, "49 58 47 T"]:
    """Smooth voxels in space and turn them into frames on the Athena grid.

    Smoothing comes after masking, as in the real files: small values leak some voxels out of the brain.

    Parameters
    ----------
    coefficients : (N, K) float32
        Over the template's brain voxels.
    basis : (K, T) float32

    Returns
    -------
    (49, 58, 47, T) float32
        LAS like the Athena files; affine ``ATHENA_AFFINE``.
    """
    template_mask = template_brain().mask
    volume = np.zeros((*template_mask.shape, coefficients.shape[1]), dtype=np.float32)
    volume[template_mask] = coefficients
    for axis, matrix in enumerate(_smoothing_matrices()):
        # Rows of the axis first, everything else in one long line: a plain matrix product an axis.
        rows = np.moveaxis(volume, axis, 0)
        smoothed = matrix @ rows.reshape(len(matrix), -1)
        volume = np.moveaxis(smoothed.reshape(rows.shape), 0, axis)
    # The template is stored RAS+, the Athena files run from right to left; frames lie as on disk.
    by_column = np.ascontiguousarray(volume[::-1].transpose(2, 1, 0, 3)).reshape(-1, len(basis))
    support = np.flatnonzero(by_column.any(axis=1))
    frames = np.zeros((basis.shape[1], len(by_column)), dtype=np.float32)
    frames[:, support] = basis.T @ by_column[support].T
    return frames.reshape(-1, *ATHENA_SHAPE[::-1]).T


@lru_cache(maxsize=1)
def _brain() -> tuple[Float32[np.ndarray, "N 3"], Float32[np.ndarray, " N"], float]:
    """Voxel positions (mm), grey matter (0 to 1), and the gain that undoes smoothing of white noise."""
    template = template_brain()
    indices = np.argwhere(template.mask)
    voxels_mm = indices @ template.affine[:3, :3].T + template.affine[:3, 3]
    grey = template.grey_matter[template.mask]
    gain = 1.0
    for matrix in _smoothing_matrices():
        gain /= float(np.sqrt((matrix[matrix.shape[0] // 2] ** 2).sum()))
    return voxels_mm.astype(np.float32), (grey / grey.max()).astype(np.float32), gain


@lru_cache(maxsize=1)
def _smoothing_matrices() -> tuple[Float32[np.ndarray, "n n"], ...]:
    sigma = _SMOOTHING_FWHM_MM / np.sqrt(8 * np.log(2)) / _VOXEL_MM
    matrices = []
    for edge in ATHENA_SHAPE:
        distance = np.abs(np.subtract.outer(np.arange(edge), np.arange(edge)))
        kernel = np.exp(-(distance**2) / (2 * sigma**2)) * (distance <= _SMOOTHING_REACH)
        matrices.append((kernel / kernel[edge // 2].sum()).astype(np.float32))
    return tuple(matrices)
