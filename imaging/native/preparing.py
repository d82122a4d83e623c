"""Whatever was handed over made ready for the network: by way of a file in template space."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from imaging.check import scan_identity
from imaging.digest import sha256_beside
from imaging.findings import ScanWarning
from imaging.native.normalise import STAGES, Normalised, normalise
from imaging.native.output import summary_of, warnings_of, write_nifti
from imaging.native.sidecar import NO_SIDECAR
from imaging.native.sources import NOTHING_ASKED, Asked, NativeRun, is_one_file, take_in
from imaging.native.sources import STAGES as SOURCE_STAGES
from imaging.native.sources.nifti import settle_nifti
from imaging.native.sources.run import Progress, RunNotFoundError
from imaging.prepared import PreparedScan, prepare_scan
from imaging.private_folder import private_folder
from imaging.scan import open_scan
from imaging.spec import PreprocessingSpec
from imaging.template_space import MIN_FIT, NotInTemplateSpaceError

PREPROCESSING = "preprocessing"
NORMALISING = "normalising"

# How much better the template must fit back to front or upside down, for a header to be wrong and not a brain
# to be alike from both sides.
_TURNED_ROUND = 0.02
# What of the work is done when the run is in template space.
_NORMALISED = 0.9
_T1W_OF_NO_USE = ScanWarning(
    code="t1w_not_used",
    message="expected a run in the scanner's space beside the T1-weighted image, found one that lies in "
    "template space already: the image was not used",
)


def may_be_normalised(*, fit: float, flip_gain: float) -> bool:
    """Tell from the scores of a scan that is not in template space whether it may be brought there.

    A brain that lies back to front or upside down by its own header would be laid over the template as it
    is not: such a header is to be mended.

    Parameters
    ----------
    fit, flip_gain : float
        As in :class:`imaging.NotInTemplateSpaceError`.
    """
    return not (fit >= MIN_FIT and flip_gain > _TURNED_ROUND)


def prepare_any(
    path: Path,
    spec: PreprocessingSpec,
    *,
    asked: Asked = NOTHING_ASKED,
    display_name: str | None = None,
    maps: bool = False,
    progress: Progress | None = None,
) -> PreparedScan:
    """Read and preprocess whatever was handed over, brought into template space first where it is not there.

    Parameters
    ----------
    path : Path
        As :func:`imaging.native.sources.take_in` takes it. Of a NIfTI file in template space nothing that is
        asked counts but the repetition time.
    spec : PreprocessingSpec
    asked : Asked
    display_name : str, optional
        The name to show instead of its own.
    maps : bool
        Whether to compute the derived maps too, as :func:`imaging.preprocess` does.
    progress : callable, optional
        Called as ``progress(stage, fraction)`` with the stages "preprocessing", and "normalising" where the
        scan is not in template space; what it raises stops the work and passes through.

    Raises
    ------
    ScanError
        If it is refused.
    OSError
        If it cannot be read, or there is no room for the one in template space.
    """
    report = progress or _silent
    if is_one_file(path):
        try:
            with stated(path, asked) as found:
                prepared = prepare_scan(
                    found.path,
                    spec,
                    display_name=display_name or path.name,
                    maps=maps,
                    progress=lambda done: report(PREPROCESSING, done),
                )
                return found.remarked(prepared)
        except NotInTemplateSpaceError as elsewhere:
            if not may_be_normalised(fit=elsewhere.fit, flip_gain=elsewhere.flip_gain):
                raise
    return prepare_native(
        path,
        spec,
        asked=asked,
        display_name=display_name,
        maps=maps,
        progress=lambda done: report(NORMALISING, done),
    )


def prepare_native(
    path: Path,
    spec: PreprocessingSpec,
    *,
    asked: Asked = NOTHING_ASKED,
    display_name: str | None = None,
    maps: bool = False,
    progress: Callable[[float], None] | None = None,
) -> PreparedScan:
    """Bring a run into template space, then read and preprocess what came of it.

    Parameters
    ----------
    path : Path
        As :func:`imaging.native.sources.take_in` takes it, in the scanner's space.
    spec : PreprocessingSpec
    asked : Asked
    display_name : str, optional
    maps : bool
        As :func:`prepare_any` takes it.
    progress : callable, optional
        Called with 0 to 1; what it raises stops the work and passes through.

    Raises
    ------
    ScanError
        If it is refused.
    OSError
        If it cannot be read, or there is no room for the one in template space.
    """

    def report(stage: str, done: float) -> None:
        if progress is not None:
            progress(_NORMALISED * (stages.index(stage) + done) / len(stages))

    began = perf_counter()
    stages = (*SOURCE_STAGES, *STAGES)
    with private_folder() as folder:
        work = folder / "work"
        work.mkdir()
        kept = folder / "normalised.nii.gz"
        run = take_in(path, work, asked=asked, progress=report)
        scan = open_scan(run.path)
        # A folder has no digest of its own: that of what was made of it.
        with sha256_beside(run.path if path.is_dir() else path) as digest:
            found = normalise(
                scan,
                slice_times_s=run.facts.slice_times_s,
                discarded_before=run.facts.discarded_volumes,
                t1w=run.t1w,
                progress=report,
            )
            with kept.open("wb") as file:
                write_nifti(found.scan, file)
        identity = scan_identity(scan, name=display_name or path.name, sha256=digest.result())
        summary, took_ms = summary_with_run(found, run), round(1000 * (perf_counter() - began), 3)
        del found
        prepared = prepare_scan(
            kept,
            spec,
            maps=maps,
            progress=None
            if progress is None
            else lambda done: progress(_NORMALISED + (1 - _NORMALISED) * done),
        )
    return as_native(prepared, scan=identity, summary=summary, took_ms=took_ms)


@dataclass(frozen=True)
class Stated:
    """A NIfTI file whose header states the repetition time that counts.

    Attributes
    ----------
    path : Path
        What was handed over, or a copy with another repetition time.
    sha256 : str or None
        Of what was handed over, where ``path`` is a copy.
    warnings : tuple of ScanWarning
    """

    path: Path
    sha256: str | None = None
    warnings: tuple[ScanWarning, ...] = ()

    def remarked(self, prepared: PreparedScan) -> PreparedScan:
        """Say of a scan that was prepared from it which scan it is, and what there is to know of its time."""
        network_input = prepared.network_input
        return replace(
            prepared,
            scan=prepared.scan if self.sha256 is None else {**prepared.scan, "sha256": self.sha256},
            network_input=replace(network_input, warnings=(*self.warnings, *network_input.warnings)),
        )

    def told(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Say the same in what :func:`imaging.check_scan` gives as JSON values."""
        scan = answer["scan"] if self.sha256 is None else {**answer["scan"], "sha256": self.sha256}
        warnings = [{"code": warning.code, "message": warning.message} for warning in self.warnings]
        return {**answer, "scan": scan, "warnings": [*warnings, *answer["warnings"]]}


@contextmanager
def stated(path: Path, asked: Asked) -> Iterator[Stated]:
    """Give a NIfTI file with the repetition time that is asked for or that its sidecar says.

    Raises
    ------
    RunNotFoundError
        If a run is asked for: the file's one run has neither a name nor a number.
    ScanError
        As :func:`imaging.native.sources.nifti.settle_nifti`.
    """
    if asked.run is not None:
        raise RunNotFoundError(found=1)
    of_no_use = () if asked.t1w is None else (_T1W_OF_NO_USE,)
    if asked.tr_s is None and asked.sidecar is None:
        yield Stated(path, warnings=of_no_use)
        return
    facts = asked.sidecar or NO_SIDECAR
    with private_folder() as work, sha256_beside(path) as digest:
        run = settle_nifti(path, work, facts=facts, asked=asked, check=lambda: None)
        yield Stated(run.path, None if run.path == path else digest.result(), (*run.warnings, *of_no_use))


def summary_with_run(found: Normalised, run: NativeRun) -> dict[str, Any]:
    """Say what was done to a run, with where it and its times came from."""
    summary = summary_of(found)
    of_run = [{"code": warning.code, "message": warning.message} for warning in run.warnings]
    return summary | {"input": run.to_json(), "warnings": [*of_run, *summary["warnings"]]}


def as_native(
    prepared: PreparedScan, *, scan: dict[str, Any], summary: dict[str, Any], took_ms: float
) -> PreparedScan:
    """Say of a scan that was prepared from its file in template space which scan it is, and how it got there.

    Parameters
    ----------
    prepared : PreparedScan
    scan : dict
        Of the run as its owner has it, as :func:`imaging.scan_identity` gives it.
    summary : dict
        Of :func:`imaging.native.output.summary_of`.
    took_ms : float
        To bring it into template space, wall-clock milliseconds.
    """
    network_input = replace(
        prepared.network_input, warnings=(*warnings_of(summary), *prepared.network_input.warnings)
    )
    told = {name: value for name, value in summary.items() if name != "warnings"}
    return replace(
        prepared,
        scan=scan,
        network_input=network_input,
        space="native",
        normalisation=told,
        timing_ms={"normalise": took_ms, **prepared.timing_ms},
    )


def _silent(stage: str, fraction: float) -> None:
    """Nobody is watching."""
