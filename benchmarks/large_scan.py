"""A simulated scan of the size that ADHD-200's preprocessed release has for NYU: 172 frames, about 33 MB."""

from pathlib import Path

import nibabel as nib
import numpy as np
from file_to_probability import simulated_scan
from scipy.ndimage import binary_dilation

# Of the brain's own spread.
FRINGE = 0.05


def large_scan(folder: Path) -> Path:
    """Write the scan; the simulator's own is 26 MB, because nothing but zeros lies around its brain.

    In the release smoothing comes after the brain mask, so that a fringe of small values surrounds the brain
    and has to be compressed too: here it is two voxels wide, and noise.
    """
    path = simulated_scan(folder)
    image = nib.load(path)
    bold = np.asarray(image.dataobj, dtype=np.float32)
    brain = bold.any(axis=3)
    fringe = binary_dilation(brain, iterations=2) & ~brain
    noise = np.random.default_rng(1).normal(size=(fringe.sum(), bold.shape[3]))
    bold[fringe] = FRINGE * bold[brain].std() * noise
    nib.save(nib.Nifti1Image(bold, image.affine, image.header), path)
    return path
