"""A cohort as training reads it: every scan preprocessed, held small, with where it came from.

::

    COHORT/
      cohort.json      what it is, how it was made, and what was left out     (CohortRecord)
      subjects.tsv     every subject with a scan, labelled or not             (Subject)
      scans.jsonl      every scan: its quality, its source, its digest        (StoredScan)
      series/<subject>_<session>_<run>_<variant>.npy
      maps/<the same>.npy          derived maps, where the source has voxels
      tissues/<the same>.npy       tissue maps, where a T1-weighted image of the person served

A series holds the voxels of ``brain_cube(spec.grid_size).mask`` in C order and nothing else: outside that
mask the network's input is zero by construction, so the series and the cube are the same information, at a
third of the size. Half precision keeps 3 digits of a signal of unit variance. Scans are kept at full length;
windows are cut when they are needed. Maps are kept in single precision: five numbers a voxel, some 250 KB a
scan, in the order of `imaging.derived.maps.DERIVED_MAPS`. Tissue maps are three numbers a voxel of a cube
twice as fine, some 1.2 MB a scan, in the order of `imaging.derived.tissue_maps.TISSUE_MAPS`.

``cohort.json`` is written last and holds the digests of the two tables: where they match, all is whole.
"""

import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from jaxtyping import Float16, Float32

from imaging import PreprocessingSpec
from imaging.derived.maps import DERIVED_MAPS
from imaging.derived.tissue_maps import FINER, TISSUE_MAPS
from model.methods.building import count_voxels
from training.cohort.paths import real_path
from training.cohort.store.index import RAW_BIDS, CohortRecord, StoredScan, WithoutTissues, read_index
from training.cohort.subjects import Subject
from training.errors import CohortError

_INGESTED_WITHOUT_MAPS = "a scan that was ingested without maps: the cohort must be ingested again"
_WITHOUT_MAPS: Mapping[str, str] = MappingProxyType(
    {
        "parcels": "parcel series, which have no voxels",
        "uploaded": "a reviewed scan, which is prepared without maps",
    }
)

_WHY_WITHOUT_TISSUES: Mapping[WithoutTissues, str] = MappingProxyType(
    {
        "no_t1w": "a person without a T1-weighted image",
        "t1w_not_used": "a T1-weighted image that did not serve: unreadable, of no head, or of another",
    }
)
_INGESTED_WITHOUT_TISSUES = "one that was ingested without: the cohort must be ingested again"
_NO_IMAGE_ASKED_FOR = "one of a source without T1-weighted images: they are read in raw BIDS data sets alone"


class SeriesDamagedError(CohortError):
    """A stored series, or a file of maps or tissues, that is gone or is not the one that was stored.

    ``series_file`` names it.
    """

    code: ClassVar[str] = "cohort_series_damaged"

    def __init__(self, *, name: str, series_file: str, expected: str, found: str) -> None:
        self.name = name
        self.series_file = series_file
        self.expected = expected
        self.found = found
        super().__init__(f"cohort {name!r}, {series_file}: expected {expected}, found {found}")


class MapsNotStoredError(CohortError):
    """A scan without derived maps; ``found`` says why there are none."""

    code: ClassVar[str] = "cohort_without_maps"

    def __init__(self, *, name: str, series_file: str, found: str) -> None:
        self.name = name
        self.series_file = series_file
        self.found = found
        super().__init__(
            f"cohort {name!r}, {series_file}: expected derived maps beside the series, found {found}"
        )


class TissuesNotStoredError(CohortError):
    """A scan without tissue maps; ``found`` says why there are none."""

    code: ClassVar[str] = "cohort_without_tissues"

    def __init__(self, *, name: str, series_file: str, found: str) -> None:
        self.name = name
        self.series_file = series_file
        self.found = found
        super().__init__(
            f"cohort {name!r}, {series_file}: expected tissue maps beside the series, found {found}"
        )


@dataclass(frozen=True, eq=False)
class CohortStore:
    """A cohort on disk; make one with :meth:`open`. The series stay there until they are read.

    Attributes
    ----------
    folder : Path
    record : CohortRecord
    spec : PreprocessingSpec
        What every scan was prepared with.
    subjects : tuple of Subject
        Every subject of the table that has a scan, labelled or not, in the table's order.
    scans : tuple of StoredScan
        In the subjects' order, then by session, run and variant.
    """

    folder: Path
    record: CohortRecord
    spec: PreprocessingSpec
    subjects: tuple[Subject, ...]
    scans: tuple[StoredScan, ...]

    @classmethod
    def open(cls, folder: Path) -> "CohortStore":
        """Read the index, and see that all series, maps and tissues are there in full length.

        Raises
        ------
        CohortNotFoundError, CohortUnfinishedError, CohortFormatError, CohortDamagedError, SeriesDamagedError
        """
        folder = real_path(folder)
        record, spec, subjects, scans = read_index(folder)
        store = cls(folder=folder, record=record, spec=spec, subjects=subjects, scans=scans)
        for scan in scans:
            store.require_size(scan)
        return store

    @property
    def name(self) -> str:
        """The cohort's name, for people."""
        return self.record.name

    @property
    def condition(self) -> str:
        """What label 1 means, for example "ADHD"."""
        return self.record.condition

    @property
    def simulated(self) -> bool:
        """Whether any of these people do not exist."""
        return self.record.simulated

    @property
    def release_unknown(self) -> bool:
        """Whether there may be people of ADHD-200's test release in it, and nobody knows who."""
        counts = self.record.report.get("counts")
        return isinstance(counts, dict) and "release_unknown" in counts

    @property
    def mixed(self) -> bool:
        """Whether some scans carry the simulator's mark and others do not."""
        return 0 < sum(scan.is_marked for scan in self.scans) < len(self.scans)

    def scans_of(self, subject_id: str) -> tuple[StoredScan, ...]:
        """Return a subject's scans, none for a stranger."""
        return tuple(scan for scan in self.scans if scan.subject_id == subject_id)

    def series(self, scan: StoredScan) -> Float16[np.ndarray, "T N"]:
        """Map a scan's series; nothing is read before it is used.

        Returns
        -------
        (T, N) float16
            Read-only; the voxels of ``brain_cube(spec.grid_size).mask`` in C order, of unit variance.

        Raises
        ------
        SeriesDamagedError
            If the file is gone or is not of the promised size.
        """
        self.require_size(scan)
        return self._mapped(scan.series_file)

    def maps(self, scan: StoredScan) -> Float32[np.ndarray, "M N"]:
        """Map a scan's derived maps; nothing is read before it is used.

        Returns
        -------
        (M, N) float32
            Read-only; a row for each of `imaging.derived.maps.DERIVED_MAPS`, not standardised; the voxels of
            ``brain_cube(spec.grid_size).mask`` in C order.

        Raises
        ------
        MapsNotStoredError
            If it was stored without: made of parcels, by an earlier version, or of a reviewed scan.
        SeriesDamagedError
            If the file is gone or is not of the promised size.
        """
        self.require_maps(scan)
        self.require_size(scan)
        return self._mapped(scan.maps_file)

    def tissues(self, scan: StoredScan) -> Float32[np.ndarray, "3 K"]:
        """Map the tissue maps that go with a scan; nothing is read before it is used.

        Returns
        -------
        (3, K) float32
            Read-only; a row for each of `imaging.derived.tissue_maps.TISSUE_MAPS`, not standardised; the
            voxels of ``brain_cube(FINER * spec.grid_size).mask`` in C order.

        Raises
        ------
        TissuesNotStoredError
            If it was stored without.
        SeriesDamagedError
            If the file is gone or is not of the promised size.
        """
        self.require_tissues(scan)
        self.require_size(scan)
        return self._mapped(scan.tissues_file)

    def fingerprint(self, subjects: Iterable[Subject]) -> str:
        """Tell this selection from any other.

        Returns
        -------
        str
            sha256 in hexadecimal over the subjects' ids, their labels and their stored series, whatever the
            order.
        """
        digests: dict[str, list[str]] = {}
        for scan in self.scans:
            digests.setdefault(scan.subject_id, []).append(scan.series_sha256)
        parts = sorted(
            [subject.subject_id, subject.label, sorted(digests.get(subject.subject_id, []))]
            for subject in subjects
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def fingerprint_of(self, subject_ids: Iterable[str]) -> str:
        """Tell the selection of these subjects, as they are stored now, from any other.

        Returns
        -------
        str
            As :meth:`fingerprint`; an id that the store does not know stands for nobody.
        """
        chosen = set(subject_ids)
        return self.fingerprint(subject for subject in self.subjects if subject.subject_id in chosen)

    def maps_fingerprint(self, subject_ids: Iterable[str], *, reads: Collection[str]) -> str | None:
        """Tell the maps that a method reads of these subjects from any others.

        Parameters
        ----------
        subject_ids : iterable of str
        reads : collection of str
            As of `model.methods.catalogue.Method`.

        Returns
        -------
        str or None
            sha256 in hexadecimal over the digests of the files, whatever the order; None where it reads
            neither derived nor tissue maps.
        """
        if not {"maps", "tissues"} & set(reads):
            return None
        chosen = set(subject_ids)
        parts = sorted(
            [
                scan.series_file,
                scan.maps_sha256 if "maps" in reads else None,
                scan.tissues_sha256 if "tissues" in reads else None,
            ]
            for scan in self.scans
            if scan.subject_id in chosen
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def verify(self, *, progress: Callable[[str, float], None] | None = None) -> None:
        """Read every series, all maps and all tissues again and compare their digests.

        Raises
        ------
        SeriesDamagedError
            At the first file that is not what was stored.
        """
        for number, scan in enumerate(self.scans, start=1):
            self.require_size(scan)
            self._require_digest(scan.series_file, scan.series_sha256)
            if scan.maps_sha256 is not None:
                self._require_digest(scan.maps_file, scan.maps_sha256)
            if scan.tissues_sha256 is not None:
                self._require_digest(scan.tissues_file, scan.tissues_sha256)
            if progress is not None:
                progress("verifying", number / len(self.scans))

    def require_maps(self, scan: StoredScan) -> None:
        """See that a scan was stored with derived maps.

        Raises
        ------
        MapsNotStoredError
        """
        if scan.maps_sha256 is None:
            found = _WITHOUT_MAPS.get(scan.variant, _INGESTED_WITHOUT_MAPS)
            raise MapsNotStoredError(name=self.folder.name, series_file=scan.series_file, found=found)

    def require_tissues(self, scan: StoredScan) -> None:
        """See that a scan was stored with tissue maps.

        Raises
        ------
        TissuesNotStoredError
        """
        if scan.tissues_sha256 is None:
            found = self._why_without_tissues(scan)
            raise TissuesNotStoredError(name=self.folder.name, series_file=scan.series_file, found=found)

    def require_size(self, scan: StoredScan) -> None:
        """See that a scan's series, and its maps and tissues if it has them, are there in full length.

        Raises
        ------
        SeriesDamagedError
        """
        for name, expected in stored_files(scan, grid_size=self.spec.grid_size).items():
            try:
                found = (self.folder / name).stat().st_size
            except OSError as error:
                raise self._damaged(name, f"a file of {expected:,} bytes", "none that can be read") from error
            if found != expected:
                raise self._damaged(name, f"{expected:,} bytes", f"{found:,}")

    def _why_without_tissues(self, scan: StoredScan) -> str:
        if scan.without_tissues is not None:
            return _WHY_WITHOUT_TISSUES[scan.without_tissues]
        # People who were added to a run's folder stand there beside the source of those who were reviewed.
        if scan.variant == "uploaded" or self.record.source.get("kind") != RAW_BIDS:
            return _NO_IMAGE_ASKED_FOR
        return _INGESTED_WITHOUT_TISSUES

    def _mapped(self, file: str) -> np.ndarray:
        try:
            mapped: np.ndarray = np.load(self.folder / file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise self._damaged(file, "a readable .npy file", "another") from error
        return mapped

    def _require_digest(self, name: str, expected: str) -> None:
        with (self.folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise self._damaged(name, f"sha256 {expected[:12]}...", f"{found[:12]}...")

    def _damaged(self, file: str, expected: str, found: str) -> SeriesDamagedError:
        return SeriesDamagedError(name=self.folder.name, series_file=file, expected=expected, found=found)


def stored_files(scan: StoredScan, *, grid_size: int) -> dict[str, int]:
    """Name the files that hold a scan, inside the cohort's folder, and say how many bytes each has."""
    files = {scan.series_file: series_bytes(scan.n_stored_frames, grid_size=grid_size)}
    if scan.maps_sha256 is not None:
        files[scan.maps_file] = maps_bytes(grid_size=grid_size)
    if scan.tissues_sha256 is not None:
        files[scan.tissues_file] = tissues_bytes(grid_size=grid_size)
    return files


def series_bytes(n_frames: int, *, grid_size: int) -> int:
    """Say how long the ``.npy`` file of a series is."""
    return _npy_bytes("<f2", n_frames, count_voxels(grid_size))


def maps_bytes(*, grid_size: int) -> int:
    """Say how long the ``.npy`` file of a scan's maps is."""
    return _npy_bytes("<f4", len(DERIVED_MAPS), count_voxels(grid_size))


def tissues_bytes(*, grid_size: int) -> int:
    """Say how long the ``.npy`` file of a scan's tissue maps is."""
    return _npy_bytes("<f4", len(TISSUE_MAPS), count_voxels(FINER * grid_size))


@lru_cache(maxsize=1024)
def _npy_bytes(dtype: str, n_rows: int, n_columns: int) -> int:
    header = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": (n_rows, n_columns)}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.tell() + np.dtype(dtype).itemsize * n_rows * n_columns
