"""What a model says of whole people: the mean over the windows of all their scans, as prediction takes it."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64

from model.full_float32 import full_float32
from model.methods.scan_model import ScanModel
from training.fitting.prepared import TrainingSubject


@torch.inference_mode()
@full_float32()
def people_logits(model: ScanModel, subjects: Sequence[TrainingSubject]) -> Float64[np.ndarray, " S"]:
    """Give each subject's logit.

    Parameters
    ----------
    model : ScanModel
        In evaluation mode.
    subjects : sequence of TrainingSubject
    """
    return np.array(
        [
            np.concatenate([model.window_logits(scan) for scan in subject.scans]).mean()
            for subject in subjects
        ],
        dtype=np.float64,
    )
