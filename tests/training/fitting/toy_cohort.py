"""Subjects that anybody could tell apart, small enough to train on in seconds."""

import numpy as np

from imaging import PreprocessingSpec, brain_cube
from training.fitting.prepared import TrainingSubject

SPEC = PreprocessingSpec(window_frames=3, n_windows=2)


def toy_subjects(n, *, seed=0, frames=8, scans=1, turned=False):
    """Cases: the front half of the brain fluctuates more strongly, controls: the back half."""
    generator = np.random.default_rng(seed)
    voxels = brain_cube(34).brain_voxels
    front = voxels[:, 1] > np.median(voxels[:, 1])
    subjects = []
    for i in range(n):
        case = i % 2 == 1
        gain = np.where(front == case, 2.0, 0.5)
        series = tuple(
            (generator.standard_normal((frames + scan, len(voxels))) * gain).astype(np.float16)
            for scan in range(scans)
        )
        subjects.append(TrainingSubject(f"s{seed}-{i}", "here", int(case != turned), series, SPEC))
    return subjects
