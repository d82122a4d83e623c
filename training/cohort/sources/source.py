"""Where scans come from: every source lists its scans, and each scan prepares itself in a worker process."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from jaxtyping import Float, Float32
from pydantic import JsonValue

from imaging import BoldScan, PreprocessingSpec, preprocess, scan_identity
from imaging.derived.tissue_maps import tissue_maps
from imaging.native.tissues import Tissues
from training.cohort.store.index import Variant
from training.errors import CohortError


@dataclass(frozen=True, kw_only=True)
class SourceFinding:
    """Something of a source that was left out, or is odd; ``name`` says of what, never a whole path."""

    code: str
    name: str
    message: str
    subject_id: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedSeries:
    """A scan as it will be stored.

    Attributes
    ----------
    series : (T, N) float
        The cube's brain voxels, of unit variance.
    tr_s, n_frames
        As acquired.
    dvars_mean, spikes : float or None, int or None
    quality : dict
        Plain JSON values.
    warnings : tuple of str
        Codes.
    source_sha256 : str
        Of the bytes that it was made from.
    shape, zooms_mm : tuple of 3 or None
        The scan's own grid; None for series without one.
    maps : (M, N) float32 or None
        `imaging.derived.maps.DERIVED_MAPS`; None for series without voxels of their own.
    tissues : (3, K) float32 or None
        `imaging.derived.tissue_maps.TISSUE_MAPS`; None where no T1-weighted image served.
    """

    series: Float[np.ndarray, "T N"]
    tr_s: float
    n_frames: int
    dvars_mean: float | None
    spikes: int | None
    quality: dict[str, Any]
    warnings: tuple[str, ...]
    source_sha256: str
    shape: tuple[int, int, int] | None = None
    zooms_mm: tuple[float, float, float] | None = None
    maps: Float32[np.ndarray, "M N"] | None = None
    tissues: Float32[np.ndarray, "3 K"] | None = None


@dataclass(frozen=True, kw_only=True)
class ScanEntry(ABC):
    """One scan of a source, before anything of it has been read; small, and sent to a worker process.

    Attributes
    ----------
    subject_id, session, run : str
        Never zero-padded.
    variant : str
    source_name : str
        For people; never a whole path.
    place : str
        Where inside the source it stands, if it is a file.
    has_maps : bool
        Of the class: whether derived maps come with the series.
    """

    has_maps: ClassVar[bool] = False

    subject_id: str
    session: str
    run: str
    variant: Variant
    source_name: str
    place: str = ""

    @property
    def has_t1w(self) -> bool | None:
        """Whether a T1-weighted image comes with it; None where its source is not asked for any."""
        return None

    @abstractmethod
    def stamp(self) -> str:
        """Tell, without reading it, this source from a changed one.

        Raises
        ------
        OSError
        """

    @abstractmethod
    def prepare(self, spec: PreprocessingSpec, *, workspace: Path) -> PreparedSeries:
        """Read and preprocess the scan.

        Parameters
        ----------
        spec : PreprocessingSpec
        workspace : Path
            A folder for temporary files, which are gone when this returns.

        Raises
        ------
        ScanError
            If the scan is not fit to be used.
        OSError
            If it cannot be read.
        """


class ScanSource(Protocol):
    """A folder, an archive or a simulator."""

    @property
    def name(self) -> str:
        """For people; never a whole path."""
        ...

    @property
    def kind(self) -> str:
        """Give the source's kind: athena, bids, parcels or simulated."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether the source says that these people do not exist; their scans may say so themselves."""
        ...

    @property
    def findings(self) -> Sequence[SourceFinding]:
        """What was not understood; complete once the entries have been listed."""
        ...

    def entries(self) -> Sequence[ScanEntry]:
        """List the scans, in an order that depends on their names alone."""
        ...

    def provenance(self) -> dict[str, JsonValue]:
        """Say what else the series depend on, for the cohort's record."""
        ...


@dataclass(frozen=True)
class OpenedScan:
    """A scan whose samples can be read, and the digest of what it is read from.

    Attributes
    ----------
    scan : BoldScan
    sha256 : str
    tissues : Tissues or None
        Of the same person, in the template's space.
    """

    scan: BoldScan
    sha256: str
    tissues: Tissues | None = None


@dataclass(frozen=True, kw_only=True)
class BoldEntry(ScanEntry):
    """A scan that goes through the one preprocessing path."""

    has_maps: ClassVar[bool] = True

    @abstractmethod
    def open_source(self, workspace: Path) -> AbstractContextManager[OpenedScan]:
        """Open the scan; what was unpacked for it is removed at the end of the context."""

    def prepare(self, spec: PreprocessingSpec, *, workspace: Path) -> PreparedSeries:
        """Preprocess the scan as prediction does, and compute its derived maps and those of its tissues."""
        with self.open_source(workspace) as opened:
            network_input = preprocess(opened.scan, spec, maps=True)
        own = opened.tissues
        tissues = (
            None if own is None else tissue_maps(own.shares, affine=own.affine, grid_size=spec.grid_size)
        )
        quality = network_input.quality
        known = scan_identity(opened.scan, name=self.source_name, sha256=opened.sha256)
        return PreparedSeries(
            series=np.ascontiguousarray(network_input.series.T),
            tr_s=quality.tr_s,
            n_frames=quality.n_frames,
            dvars_mean=quality.dvars_mean,
            spikes=quality.spikes,
            quality=quality.to_json(),
            warnings=tuple(warning.code for warning in network_input.warnings),
            source_sha256=opened.sha256,
            shape=tuple(known["shape"][:3]),
            zooms_mm=tuple(known["zooms_mm"]),
            maps=network_input.maps,
            tissues=tissues,
        )


class DuplicateScanError(CohortError):
    """Two files that claim to be the same run of the same person."""

    code: ClassVar[str] = "duplicate_scan"

    def __init__(
        self, *, subject_id: str, session: str, run: str, variant: str, names: Sequence[str]
    ) -> None:
        self.subject_id = subject_id
        self.session = session
        self.run = run
        self.variant = variant
        self.names = list(names)
        super().__init__(
            f"expected one {variant} file of subject {subject_id}, session {session}, run {run}, "
            f"found {' and '.join(self.names)}"
        )


class OptionWithoutEffectError(CohortError):
    """An option that this source has no use for: whoever gives it expects something of it."""

    code: ClassVar[str] = "cohort_option_without_effect"

    def __init__(self, *, option: str, expected: str, found: str) -> None:
        self.option = option
        self.expected = expected
        self.found = found
        super().__init__(f"{option}: expected {expected}, found {found}")


def require_different(entries: Sequence[ScanEntry]) -> None:
    """Refuse two entries for the same run and variant: nobody can say which one counts.

    Raises
    ------
    DuplicateScanError
    """
    seen: dict[tuple[str, str, str, str], ScanEntry] = {}
    for entry in entries:
        key = (entry.subject_id, entry.session, entry.run, entry.variant)
        if key in seen:
            names = [one.place or one.source_name for one in (seen[key], entry)]
            subject_id, session, run, variant = key
            raise DuplicateScanError(
                subject_id=subject_id, session=session, run=run, variant=variant, names=names
            )
        seen[key] = entry


def file_stamp(path: Path) -> str:
    """Tell a file from a changed one by its size and time.

    Raises
    ------
    OSError
    """
    facts = path.stat()
    return f"{facts.st_size} bytes at {facts.st_mtime_ns}"


def file_sha256(path: Path) -> str:
    """Hash a file's bytes.

    Raises
    ------
    OSError
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
