"""One scan file in, the published answer out: the same object for the command line and for the worker."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

from imaging import PreparedScan, QualityReport, ScanWarning
from imaging.native.preparing import prepare_any
from imaging.native.sources import NOTHING_ASKED, Asked
from model.card import ModelCard
from model.predictor import Classification, Predictor

Progress = Callable[[str, float], None]

DEMONSTRATION_WARNING = ScanWarning(
    code="demonstration_model",
    message="A demonstration model, trained on simulated scans: its probability says nothing about a person.",
)


@dataclass(frozen=True)
class ScanPrediction:
    """A scan, the model that read it, and its answer.

    Attributes
    ----------
    scan : dict
        Name, sha256, shape, voxel size, repetition time and number of frames.
    space : "template" or "native"
        Where the scan lay as it was given.
    normalisation : dict or None
        How it was brought into template space, where it was.
    card : ModelCard
    classification : Classification
    quality : QualityReport
    warnings : tuple of ScanWarning
    computed_with : dict of str
        ``device``, and ``backend``: "openvino", "torch" or "numpy".
    timing_ms : dict of float
        ``read``, ``preprocess``, ``classify`` and ``total``, wall-clock milliseconds; ``normalise`` where the
        scan had to be brought into template space.
    """

    scan: dict[str, object]
    space: Literal["template", "native"]
    normalisation: dict[str, object] | None
    card: ModelCard
    classification: Classification
    quality: QualityReport
    warnings: tuple[ScanWarning, ...]
    computed_with: dict[str, str]
    timing_ms: dict[str, float]

    def to_json(self) -> dict[str, object]:
        """Give exactly one object of ``restnet predict --json``."""
        answer, card = self.classification, self.card
        interval = answer.interval
        return {
            "scan": self.scan,
            "space": self.space,
            "normalisation": self.normalisation,
            "model": {
                "name": card.name,
                "version": card.version,
                "method": card.method,
                "network": card.network if card.method == "network" else None,
                "rnn": card.rnn if card.method == "network" else None,
                "members": card.members,
                "trained_on": card.trained_on,
                "intended_use": card.intended_use,
            },
            "adhd_probability": answer.adhd_probability,
            "interval": {"level": interval.level, "low": interval.low, "high": interval.high},
            "decision": answer.decision,
            "decision_rule": self.card.decision_rule,
            "threshold": answer.threshold,
            "windows": [
                {"start_frame": window.start_frame, "probability": window.probability}
                for window in answer.windows
            ],
            "quality": self.quality.to_json(),
            "warnings": [{"code": warning.code, "message": warning.message} for warning in self.warnings],
            "computed_with": self.computed_with,
            "timing_ms": self.timing_ms,
        }


def predict_scan(
    path: Path,
    predictor: Predictor,
    *,
    display_name: str | None = None,
    asked: Asked = NOTHING_ASKED,
    progress: Progress | None = None,
) -> ScanPrediction:
    """Read, prepare and classify one scan, brought into template space first where it is not there.

    Parameters
    ----------
    path : Path
        NIfTI-1/2 file, plain or gzipped; a zip or folder of DICOM images or a BIDS subject.
    predictor : Predictor
    display_name : str, optional
        The name to show instead of the file's own.
    asked : Asked
        What is known of it beside; see :func:`imaging.native.preparing.prepare_any`.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` with the stages "preprocessing", "normalising" where the scan
        is not in template space, and "classifying", fraction 0 to 1 within the stage; what it raises stops
        the work and passes through.

    Raises
    ------
    ScanError
        If the scan is refused.
    """
    prepared = prepare_any(
        path,
        predictor.spec,
        asked=asked,
        display_name=display_name,
        maps=predictor.needs_maps,
        progress=progress,
    )
    return classify_prepared(prepared, predictor, progress=progress)


def classify_prepared(
    prepared: PreparedScan, predictor: Predictor, *, progress: Progress | None = None
) -> ScanPrediction:
    """Classify a scan that was prepared, in whatever process.

    Parameters
    ----------
    prepared : PreparedScan
        With the predictor's own spec.
    predictor : Predictor
    progress : callable, optional
        Called as in :func:`predict_scan`, with the stage "classifying".

    Raises
    ------
    PreprocessingMismatchError
        If it was prepared in another way.
    """
    began = perf_counter()
    network_input = prepared.network_input
    classification = predictor.classify(
        network_input, seed=bootstrap_seed(str(prepared.scan["sha256"])), progress=progress
    )
    timing_ms = {**prepared.timing_ms, "classify": round(1000 * (perf_counter() - began), 3)}
    demonstration = (DEMONSTRATION_WARNING,) if predictor.card.intended_use == "demonstration" else ()
    return ScanPrediction(
        scan=prepared.scan,
        space=prepared.space,
        normalisation=prepared.normalisation,
        card=predictor.card,
        classification=classification,
        quality=network_input.quality,
        warnings=(*network_input.warnings, *demonstration),
        computed_with={"device": predictor.device.type, "backend": predictor.backend},
        timing_ms={**timing_ms, "total": round(sum(timing_ms.values()), 3)},
    )


def bootstrap_seed(sha256: str) -> int:
    """Derive the seed of the interval from the scan's bytes: the same scan always gets the same interval."""
    return int(sha256[:16], 16)
