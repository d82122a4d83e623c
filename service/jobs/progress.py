"""From a stage and its own fraction to the one figure that people watch."""

from service.db.rows import PredictionState

# Where each stage begins and ends; reading and preprocessing a scan costs about as much as classifying it.
_SPANS = {
    PredictionState.PREPROCESSING: (0.0, 0.5),
    PredictionState.NORMALISING: (0.0, 0.9),
    PredictionState.CLASSIFYING: (0.5, 1.0),
}
# Of a scan that was brought into template space, which took nearly all of the time.
_SPANS_AFTER_NORMALISING = {
    PredictionState.PREPROCESSING: (0.9, 0.95),
    PredictionState.CLASSIFYING: (0.95, 1.0),
}


def overall_progress(stage: PredictionState, fraction: float, *, normalised: bool = False) -> float:
    """Return the progress of the whole job, 0 to 1.

    Parameters
    ----------
    stage : PredictionState
        One under a lease.
    fraction : float
        How much of the stage is done; held within 0 and 1.
    normalised : bool
        Whether the scan had to be brought into template space before.
    """
    start, end = (_SPANS_AFTER_NORMALISING if normalised else _SPANS)[stage]
    return start + (end - start) * min(max(fraction, 0.0), 1.0)
