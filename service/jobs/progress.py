"""From a stage and its own fraction to the one figure that people watch."""

from service.db.rows import PredictionState

# Where each stage begins and ends; reading and preprocessing a scan costs about as much as classifying it.
_SPANS = {PredictionState.PREPROCESSING: (0.0, 0.5), PredictionState.CLASSIFYING: (0.5, 1.0)}


def overall_progress(stage: PredictionState, fraction: float) -> float:
    """Return the progress of the whole job, 0 to 1.

    Parameters
    ----------
    stage : PredictionState
        ``PREPROCESSING`` or ``CLASSIFYING``.
    fraction : float
        How much of the stage is done; held within 0 and 1.
    """
    start, end = _SPANS[stage]
    return start + (end - start) * min(max(fraction, 0.0), 1.0)
