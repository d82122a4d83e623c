"""What is refused of evaluation sets and evaluations."""

from typing import ClassVar

from service.errors import ServiceError


class EvaluationSetNotFoundError(ServiceError):
    """No evaluation set has this id or name."""

    code: ClassVar[str] = "evaluation_set_not_found"

    def __init__(self) -> None:
        super().__init__("expected the id or the name of an evaluation set, found no such one")


class EvaluationSetNameTakenError(ServiceError):
    """A name that another set has."""

    code: ClassVar[str] = "evaluation_set_name_taken"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(f"expected a name that no other evaluation set has, found {name!r}")


class EvaluationCohortTooSmallError(ServiceError):
    """A cohort that is too small for any evaluation set, whoever is selected."""

    code: ClassVar[str] = "evaluation_cohort_too_small"

    def __init__(self, *, expected: int, n_cases: int, n_controls: int) -> None:
        self.expected = expected
        self.n_cases = n_cases
        self.n_controls = n_controls
        super().__init__(
            f"expected a cohort of at least {expected} cases and {expected} controls to judge models by, "
            f"found {n_cases} and {n_controls}"
        )


class EvaluationFilterError(ServiceError):
    """A filter that cannot be understood, or asks for a site that the cohort does not have.

    Attributes
    ----------
    condition, expected, found : str
    """

    code: ClassVar[str] = "evaluation_filter_not_valid"

    def __init__(self, *, condition: str, expected: str, found: str) -> None:
        self.condition = condition
        self.expected = expected
        self.found = found
        super().__init__(f"filter {condition!r}: expected {expected}, found {found}")


class EvaluationSetComparedError(ServiceError):
    """A set to be removed that models were compared on, or are just now."""

    code: ClassVar[str] = "evaluation_set_compared"

    def __init__(self) -> None:
        super().__init__(
            "expected a set that no model was compared on, found one with comparisons: it stays with them"
        )


class NoEvaluationSetError(ServiceError):
    """Nobody has chosen the set that models are compared on."""

    code: ClassVar[str] = "no_evaluation_set"

    def __init__(self) -> None:
        super().__init__("expected an evaluation set in use, found none: choose one first")


class EvaluationNotFoundError(ServiceError):
    """No evaluation has this id."""

    code: ClassVar[str] = "evaluation_not_found"

    def __init__(self) -> None:
        super().__init__("expected the id of an evaluation, found none with this id")


class EvaluationOriginAwayError(ServiceError):
    """The record of a challenger's training, or the cohort of it, is not where it was."""

    code: ClassVar[str] = "evaluation_origin_away"

    def __init__(self) -> None:
        super().__init__(
            "expected the challenger's run and the cohort that it was trained on to be at hand, to see "
            "whether somebody of the evaluation set took part, found one of the two away"
        )


class EvaluationOverError(ServiceError):
    """An evaluation that is over, so that there is nothing to stop."""

    code: ClassVar[str] = "evaluation_over"

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(f"expected an evaluation that waits or is at work, found one that has {found}")
