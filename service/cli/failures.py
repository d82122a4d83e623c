"""How a command goes on when one of several things fails, and how it ends once all of them are over."""

import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn

import typer

from service.cli.output import OUR_FAULT, REFUSED, output_fault, refusal_of, say, show_refusal
from service.errors import ServiceError

if TYPE_CHECKING:
    from service.cli.training_watch import FailedFold

INTERNAL_ERROR = "internal_error"


class SystemsFailedError(ServiceError):
    """Systems of several that were not trained; each has a code of its own.

    Attributes
    ----------
    failed : list of dict
        The run's folder (``run``), and ``code``, ``message`` and the rest as of one system alone.
    folds : list of dict
        Of the other systems, folds that workers could not finish: as those of ``folds_failed``.
    """

    code: ClassVar[str] = "systems_failed"

    def __init__(self, failed: Sequence[Mapping[str, object]], *, folds: "Sequence[FailedFold]" = ()) -> None:
        self.failed = [dict(one) for one in failed]
        self.folds = [asdict(one) for one in folds]
        found = [f"{Path(str(one['run'])).name} ({one['code']})" for one in failed]
        found += [f"{Path(one.run).name} fold {one.fold + 1} ({one.code})" for one in folds]
        super().__init__(
            f"expected every system to be trained, found failures of {', '.join(found)}; "
            "the same command tries them again"
        )


def fault_of_ours(error: Exception) -> dict[str, object]:
    """Describe an error that no user can mend, as `service.cli.output.refusal_of` does the others."""
    return {
        "code": INTERNAL_ERROR,
        "message": f"RestNet failed ({type(error).__name__}). This is our fault, not your file's. "
        "Run the same command as `restnet --debug ...` to see where.",
    }


def tell_failure(run: Path, error: Exception, *, quiet: bool) -> dict[str, object]:
    """Tell why one system of several was not trained, before the next one is.

    Parameters
    ----------
    run : Path
        The system's folder.
    error : Exception
        Raised again where it says that nobody reads what is told.
    quiet : bool
        Whether it is told at the end alone, as ``--json`` asks for.

    Returns
    -------
    dict
        What `SystemsFailedError` takes.
    """
    if isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and output_fault() is not None):
        raise error
    refusal = refusal_of(error)
    if refusal is None and "--debug" in sys.argv:
        traceback.print_exception(error)
    failure = refusal or fault_of_ours(error)
    if not quiet:
        say(f"{run.name} failed: {failure['message']}  [{failure['code']}]", fg="red", err=True)
    return {**failure, "run": str(run)}


def end_with_failures(
    systems: Sequence[Mapping[str, object]], folds: "Sequence[FailedFold]", *, as_json: bool
) -> NoReturn:
    """End with what failed, each with its own code; exit 1 where the fault is ours.

    Parameters
    ----------
    systems : sequence of mapping
        As :func:`tell_failure` gives them.
    folds : sequence of FailedFold
        That workers could not finish.
    as_json : bool

    Raises
    ------
    typer.Exit
    """
    error: ServiceError
    if systems:
        error = SystemsFailedError(systems, folds=folds)
    else:
        from service.cli.distributed_training import FoldsFailedError

        error = FoldsFailedError(folds)
    show_refusal(refusal_of(error) or {}, as_json=as_json)
    codes = [*(one["code"] for one in systems), *(one.code for one in folds)]
    raise typer.Exit(OUR_FAULT if INTERNAL_ERROR in codes else REFUSED)
