"""Challengers beside the model that answers: on whom they are compared, and who asks for it when.

A set is added and chosen (:mod:`service.evaluations.sets`), an evaluation asked for, stopped and finished
(:mod:`service.evaluations.requests`). What its rules mean for a promotion is the registry's business
(:mod:`service.registry.comparison`); the figures are computed by a worker. Nothing here knows of HTTP.
"""

from service.evaluations.errors import (
    EvaluationCohortTooSmallError,
    EvaluationFilterError,
    EvaluationNotFoundError,
    EvaluationOriginAwayError,
    EvaluationOverError,
    EvaluationSetComparedError,
    EvaluationSetNameTakenError,
    EvaluationSetNotFoundError,
    NoEvaluationSetError,
)
from service.evaluations.reading import (
    is_current,
    newest_of,
    read_evaluation,
    sets_with_cohorts,
    with_names,
)
from service.evaluations.requests import (
    cancel_evaluation,
    finish_evaluation,
    request_after_training,
    request_evaluation,
    unannounced,
)
from service.evaluations.sets import (
    FEWEST_OF_A_CLASS,
    add_set,
    compared_sets,
    find_set,
    lock_people,
    remove_set,
    use_set,
)

__all__ = [
    "FEWEST_OF_A_CLASS",
    "EvaluationCohortTooSmallError",
    "EvaluationFilterError",
    "EvaluationNotFoundError",
    "EvaluationOriginAwayError",
    "EvaluationOverError",
    "EvaluationSetComparedError",
    "EvaluationSetNameTakenError",
    "EvaluationSetNotFoundError",
    "NoEvaluationSetError",
    "add_set",
    "cancel_evaluation",
    "compared_sets",
    "find_set",
    "finish_evaluation",
    "is_current",
    "lock_people",
    "newest_of",
    "read_evaluation",
    "remove_set",
    "request_after_training",
    "request_evaluation",
    "sets_with_cohorts",
    "unannounced",
    "use_set",
    "with_names",
]
