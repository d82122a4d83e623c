"""An ensemble of any other method: each member reads the scan by itself."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int

from imaging import window_starts
from model.backends import BackendName
from model.full_float32 import full_float32
from model.members import CLASSIFYING, Progress, Reading
from model.methods.catalogue import Method
from model.methods.scan_model import ScanModel
from model.methods.scan_view import ScanView


class ScanMembers:
    """Models of a method that is none of the eight networks, for one thread at a time.

    Parameters
    ----------
    models : sequence of ScanModel
        In evaluation mode, of one method.
    method : Method
    device : torch.device
        Where torch computes; a method that is computed by numpy stays on the processor.

    Attributes
    ----------
    backend : "torch" or "numpy"
    needs_maps : bool
        Whether it reads maps that are derived from the whole scan.
    """

    def __init__(self, models: Sequence[ScanModel], *, method: Method, device: torch.device) -> None:
        self.backend: BackendName = "numpy" if method.is_linear else "torch"
        self.device = torch.device("cpu") if method.is_linear else device
        self.needs_maps = "maps" in method.reads
        self._models = tuple(model.to(self.device) for model in models)
        self._method = method

    @torch.inference_mode()
    @full_float32()
    def read(self, scan: ScanView, *, progress: Progress | None) -> Reading:
        """Give each model's logit for each window that it reads."""
        # All members see the same of a scan, or nearly: the first one's view stands for it.
        features = self._models[0].features_of(scan)
        logits = []
        for done, model in enumerate(self._models, start=1):
            logits.append(model.window_logits(scan))
            if progress is not None:
                progress(CLASSIFYING, done / len(self._models))
        stacked = np.stack(logits)
        return Reading(
            logits=stacked, starts=self._starts(scan, n_windows=stacked.shape[1]), features=features
        )

    def _starts(self, scan: ScanView, *, n_windows: int) -> Int[np.ndarray, " W"]:
        if n_windows == 1 and "frames" not in self._method.reads:
            return np.zeros(1, dtype=np.int64)
        planned = window_starts(len(scan.series), spec=scan.spec)
        if len(planned) != n_windows:
            raise RuntimeError(f"expected a logit for each of {len(planned)} windows, found {n_windows}")
        return planned
