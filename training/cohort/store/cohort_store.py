"""A cohort as training reads it: every scan preprocessed, held small, with where it came from.

::

    COHORT/
      cohort.json      what it is, how it was made, and what was left out     (CohortRecord)
      subjects.tsv     every subject with a scan, labelled or not             (Subject)
      scans.jsonl      every scan: its quality, its source, its digest        (StoredScan)
      series/<subject>_<session>_<run>_<variant>.npy

A series holds the voxels of ``brain_cube(spec.grid_size).mask`` in C order and nothing else: outside that
mask the network's input is zero by construction, so the series and the cube are the same information, at a
third of the size. Half precision keeps 3 digits of a signal of unit variance. Scans are kept at full length;
windows are cut when they are needed.

``cohort.json`` is written last and holds the digests of the two tables: where they match, all is whole.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float16

from imaging import PreprocessingSpec, brain_cube
from training.cohort.paths import real_path
from training.cohort.store.index import CohortRecord, StoredScan, read_index
from training.cohort.subjects import Subject
from training.errors import CohortError


class SeriesDamagedError(CohortError):
    """A stored series that is gone, or is not the one that was stored."""

    code: ClassVar[str] = "cohort_series_damaged"

    def __init__(self, *, name: str, series_file: str, expected: str, found: str) -> None:
        self.name = name
        self.series_file = series_file
        self.expected = expected
        self.found = found
        super().__init__(f"cohort {name!r}, {series_file}: expected {expected}, found {found}")


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
        """Read the index, and see that every series is there in full length.

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
        try:
            series: Float16[np.ndarray, "T N"] = np.load(self.folder / scan.series_file, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise self._damaged(scan, "a readable .npy file", "another") from error
        return series

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

    def verify(self, *, progress: Callable[[str, float], None] | None = None) -> None:
        """Read every series again and compare its digest.

        Raises
        ------
        SeriesDamagedError
            At the first that is not what was stored.
        """
        for number, scan in enumerate(self.scans, start=1):
            self.require_size(scan)
            with (self.folder / scan.series_file).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != scan.series_sha256:
                raise self._damaged(scan, f"sha256 {scan.series_sha256[:12]}...", f"{found[:12]}...")
            if progress is not None:
                progress("verifying", number / len(self.scans))

    def require_size(self, scan: StoredScan) -> None:
        """See that a scan's series is there in full length.

        Raises
        ------
        SeriesDamagedError
        """
        expected = series_bytes(scan.n_stored_frames, grid_size=self.spec.grid_size)
        try:
            found = (self.folder / scan.series_file).stat().st_size
        except OSError as error:
            raise self._damaged(scan, f"a file of {expected:,} bytes", "none that can be read") from error
        if found != expected:
            raise self._damaged(scan, f"{expected:,} bytes", f"{found:,}")

    def _damaged(self, scan: StoredScan, expected: str, found: str) -> SeriesDamagedError:
        return SeriesDamagedError(
            name=self.folder.name, series_file=scan.series_file, expected=expected, found=found
        )


@lru_cache(maxsize=1024)
def series_bytes(n_frames: int, *, grid_size: int) -> int:
    """Say how long the ``.npy`` file of a series is."""
    n_voxels = _count_voxels(grid_size)
    header = io.BytesIO()
    fields = {"descr": "<f2", "fortran_order": False, "shape": (n_frames, n_voxels)}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.tell() + 2 * n_frames * n_voxels


@lru_cache(maxsize=8)
def _count_voxels(grid_size: int) -> int:
    return int(brain_cube(grid_size).mask.sum())
