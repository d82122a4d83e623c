"""Training runs by their ids as people type them: in full, or the beginning that no other run has."""

from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from service.errors import ServiceError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db.rows import TrainingRunRow

SHORTEST = 6
"""Characters of an id that have to be given."""

RunId = Annotated[
    str,
    typer.Argument(help=f"As `restnet training list` gives it, or its first {SHORTEST} characters or more."),
]


class TrainingRunAmbiguousError(ServiceError):
    """The beginning of an id that several runs have."""

    code: ClassVar[str] = "training_run_ambiguous"

    def __init__(self, *, found: int) -> None:
        self.found = found
        super().__init__(
            f"expected the beginning of one training run's id, found {found} that begin so: give more of it"
        )


def find_run(session: "Session", named: str) -> "TrainingRunRow":
    """Return the run of an id or of its beginning.

    Raises
    ------
    typer.BadParameter
        If less of an id is given than `SHORTEST`.
    TrainingRunNotFoundError
        If no run's id begins so.
    TrainingRunAmbiguousError
        If several do.
    """
    from sqlalchemy import select

    from service import jobs
    from service.db.rows import TrainingRunRow

    if len(named) < SHORTEST:
        raise typer.BadParameter(
            f"expected the id of a training run, or {SHORTEST} characters of it or more, found {named!r}"
        )
    begins_so = TrainingRunRow.id.startswith(named.lower(), autoescape=True)
    found = session.scalars(select(TrainingRunRow).where(begins_so)).all()
    if not found:
        raise jobs.TrainingRunNotFoundError
    if len(found) > 1:
        raise TrainingRunAmbiguousError(found=len(found))
    return found[0]
