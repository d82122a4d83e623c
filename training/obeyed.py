"""Which settings of a training a method obeys: the rest of a run's record is about networks of the eight.

Training refuses what has no effect by these names, and a report leaves out what had none.
"""

from model.methods.catalogue import Method

BY_ALL = frozenset(
    {"method", "protocol", "folds", "seed", "inner_calibration", "threshold_rule", "conformal_level"}
)
IN_EPOCHS = frozenset(
    {
        "watch",
        "inner_stopping",
        "epochs",
        "patience",
        "batch_size",
        "micro_batch",
        "windows_per_subject",
        "learning_rate",
        "schedule",
        "weight_decay",
    }
)


def obeyed_by_other(method: Method) -> frozenset[str]:
    """Name the settings that a method obeys which is no network of the eight."""
    return BY_ALL | IN_EPOCHS if method.learns_in_epochs else BY_ALL
