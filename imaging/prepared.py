"""A scan file made ready for the network: what it is, the network's input, and what that took."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from imaging.check import scan_identity
from imaging.digest import sha256_beside
from imaging.network_input import NetworkInput
from imaging.pipeline import STAGES, preprocess
from imaging.reading import BrainSignal
from imaging.scan import BoldScan, open_scan
from imaging.spec import PreprocessingSpec


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedScan:
    """A scan that was read and preprocessed, here or in another process.

    Attributes
    ----------
    scan : dict
        As :func:`imaging.scan_identity` gives it.
    network_input : NetworkInput
    timing_ms : dict of float
        ``read`` and ``preprocess``, wall-clock milliseconds; ``normalise`` where it had to be.
    space : "template" or "native"
        Where the scan lay as it was given.
    normalisation : dict or None
        How it was brought into template space, where it was: see :func:`imaging.native.output.summary_of`.
    """

    scan: dict[str, Any]
    network_input: NetworkInput
    timing_ms: dict[str, float]
    space: Literal["template", "native"] = "template"
    normalisation: dict[str, Any] | None = None


def prepare_scan(
    path: Path,
    spec: PreprocessingSpec,
    *,
    display_name: str | None = None,
    sha256: str | None = None,
    progress: Callable[[float], None] | None = None,
    look: Callable[[BoldScan, BrainSignal], None] | None = None,
    maps: bool = False,
) -> PreparedScan:
    """Read and preprocess one scan file.

    Parameters
    ----------
    path : Path
        NIfTI-1/2 file, plain or gzipped.
    spec : PreprocessingSpec
    display_name, sha256 : str, optional
        What the scan is called and known by; the file's own name and digest if not given.
    progress : callable, optional
        Called with 0 to 1; what it raises stops the work and passes through.
    look : callable, optional
        Called once, with the scan and its signal before it is filtered.
    maps : bool
        Whether to compute the derived maps too, as :func:`imaging.preprocess` does.

    Raises
    ------
    ScanError
        If the scan is refused.
    OSError
        If the file cannot be read.
    """

    def report(stage: str, fraction: float) -> None:
        if progress is not None:
            progress((STAGES.index(stage) + fraction) / len(STAGES))

    began = perf_counter()
    scan = open_scan(path)
    opened = perf_counter()
    look_at = None if look is None else partial(look, scan)
    if sha256 is None:
        with sha256_beside(path) as own:
            network_input = preprocess(scan, spec, progress=report, look=look_at, maps=maps)
        sha256 = own.result()
    else:
        network_input = preprocess(scan, spec, progress=report, look=look_at, maps=maps)
    prepared = perf_counter()
    return PreparedScan(
        scan=scan_identity(scan, name=display_name or path.name, sha256=sha256),
        network_input=network_input,
        timing_ms={
            "read": round(1000 * (opened - began), 3),
            "preprocess": round(1000 * (prepared - opened), 3),
        },
    )
