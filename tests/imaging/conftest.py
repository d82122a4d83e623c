"""Scans made from formulas, to be sampled on any grid, and files written field by field."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from imaging.template import template_brain

Grid = tuple[tuple[int, int, int], np.ndarray]

GRIDS: dict[str, Grid] = {
    "athena": ((49, 58, 47), np.array([[-4, 0, 0, 96], [0, 4, 0, -132], [0, 0, 4, -70], [0, 0, 0, 1.0]])),
    "3mm": ((61, 73, 61), np.array([[-3, 0, 0, 90], [0, 3, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1.0]])),
    "2mm": ((91, 109, 91), np.array([[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1.0]])),
}

SMOOTHNESS_MM = 12.0
"""FWHM of the simulated signal; Athena's 6 mm blur on 4 mm data is about as smooth."""


@pytest.fixture(scope="session")
def grids() -> dict[str, Grid]:
    """The three template-space grids that users bring."""
    return GRIDS


def simulated_bold(
    shape: tuple[int, int, int],
    affine: np.ndarray,
    *,
    n_frames: int = 40,
    tr_s: float = 2.0,
    mean: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """A band-limited signal in the MNI brain, defined in millimetres and so the same on any grid."""
    rng = np.random.default_rng(seed)
    template = template_brain()
    voxels = np.indices(shape, dtype=np.float64).reshape(3, -1)
    mm = affine[:3, :3] @ voxels + affine[:3, 3:]
    in_template = np.linalg.inv(template.affine) @ np.vstack([mm, np.ones(mm.shape[1])])
    envelope = map_coordinates(0.5 * template.mask + 0.5 * template.t1, in_template[:3], order=1)
    # Plane waves whose wave vectors are drawn from a Gaussian: white noise blurred by a Gaussian kernel.
    waves = rng.normal(0, 1 / (np.sqrt(2) * SMOOTHNESS_MM / 2.355), (150, 3))
    shifts = rng.uniform(0, 2 * np.pi, 150)
    seconds = (np.arange(n_frames) + 0.5) * tr_s
    frequencies, phases = rng.uniform(0.012, 0.075, (4, 150, 1)), rng.uniform(0, 2 * np.pi, (4, 150, 1))
    courses = np.sin(2 * np.pi * frequencies * seconds + phases).sum(axis=0).astype(np.float32)
    courses /= np.float32(np.sqrt(150))
    bold = np.zeros((mm.shape[1], n_frames), dtype=np.float32)
    for some in np.array_split(np.flatnonzero(envelope > 0), 20):
        field = np.cos(waves @ mm[:, some] + shifts[:, None]).astype(np.float32).T @ courses
        bold[some] = (field + np.float32(mean)) * envelope[some, None].astype(np.float32)
    return bold.reshape(*shape, n_frames)


@pytest.fixture(scope="session")
def simulate() -> Callable[..., np.ndarray]:
    """Return :func:`simulated_bold`."""
    return simulated_bold


@pytest.fixture(scope="session")
def athena_bold() -> np.ndarray:
    """40 band-limited frames on the Athena grid; not to be written to."""
    bold = simulated_bold(*GRIDS["athena"])
    bold.setflags(write=False)
    return bold


NiftiWriter = Callable[..., Path]


@pytest.fixture
def write_nifti(tmp_path: Path) -> NiftiWriter:
    """Write an array as nibabel would, then change header fields or bytes as the test says."""

    def write(
        bold: np.ndarray,
        *,
        affine: np.ndarray | None = None,
        name: str = "scan.nii",
        nifti2: bool = False,
        byte_order: str = "<",
        data: bytes | None = None,
        tr: float = 2.0,
        extension: bytes = b"",
        **fields: Any,
    ) -> Path:
        kind = nib.Nifti2Header if nifti2 else nib.Nifti1Header
        header = kind(endianness=byte_order)
        stored = bold.astype(bold.dtype.newbyteorder(byte_order))
        header.set_data_dtype(stored.dtype)
        header.set_data_shape(stored.shape)
        if stored.ndim == 4:
            header.set_zooms((1, 1, 1, tr))
        header.set_xyzt_units("mm", "sec")
        header.set_sform(np.diag([4.0, 4, 4, 1]) if affine is None else affine, code=4)
        header["magic"] = b"n+2" if nifti2 else b"n+1"
        size = 540 if nifti2 else 348
        header["vox_offset"] = size + 4 + len(extension)
        for field, value in fields.items():
            header[field] = value
        head = bytearray(header.binaryblock)
        if nifti2:
            head[4:12] = b"n+2\0\r\n\x1a\n"
        flag = b"\1\0\0\0" if extension else b"\0\0\0\0"
        samples = stored.tobytes(order="F") if data is None else data
        content = bytes(head) + flag + extension + samples
        path = tmp_path / name
        path.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
        return path

    return write


@pytest.fixture
def small_bold() -> np.ndarray:
    """30 frames that vary, too few voxels to be a brain."""
    return np.random.default_rng(1).integers(-500, 500, (5, 6, 7, 30)).astype(np.int16)
