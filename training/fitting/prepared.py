"""What cross-validation trains on: a person with every scan, only the brain's voxels, in half precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from jaxtyping import Float16, Int

from imaging import PreprocessingSpec, brain_cube
from model.methods.scan_view import ScanView
from training.cohort.store.index import StoredScan
from training.cohort.subjects import Subject

Series = Float16[np.ndarray, "T N"]


class SeriesStore(Protocol):
    """What is needed of a `training.cohort.store.cohort_store.CohortStore`."""

    @property
    def spec(self) -> PreprocessingSpec:
        """What every scan was prepared with."""

    def scans_of(self, subject_id: str) -> Sequence[StoredScan]:
        """Return a subject's scans."""

    def series(self, scan: StoredScan) -> Series:
        """Map one scan."""


@dataclass(frozen=True, eq=False)
class TrainingSubject:
    """One person with a label and every scan of theirs, so that no scan can leave its person.

    Attributes
    ----------
    subject_id, site : str
    label : int
        0 control, 1 case.
    series : tuple of (T, N) float16
        One a scan, T at least a window; memory maps stay on disk until a window is cut.
    spec : PreprocessingSpec
    views : tuple of ScanView
        The same scans with what is kept of them beside; empty where nothing is.

    Raises
    ------
    ValueError
        If there is no scan, or one shorter than a window.
    """

    subject_id: str
    site: str
    label: int
    series: tuple[Series, ...]
    spec: PreprocessingSpec
    views: tuple[ScanView, ...] = ()

    @property
    def scans(self) -> tuple[ScanView, ...]:
        """The scans as methods read them that are no network of the eight."""
        return self.views or tuple(ScanView(series=series, spec=self.spec) for series in self.series)

    def __post_init__(self) -> None:
        """Refuse a subject that no window can be cut from."""
        shortest = min((len(series) for series in self.series), default=0)
        if shortest < self.spec.window_frames:
            raise ValueError(f"expected scans of at least {self.spec.window_frames} frames, found {shortest}")

    @classmethod
    def from_store(cls, store: SeriesStore, subject: Subject) -> "TrainingSubject":
        """Map the scans of a labelled subject.

        Raises
        ------
        CohortError
            If a series of the store is damaged.
        ValueError
            If the subject has no label.
        """
        if subject.label is None:
            raise ValueError(f"expected a labelled subject, found {subject.subject_id!r} without")
        series = tuple(store.series(scan) for scan in store.scans_of(subject.subject_id))
        return cls(subject.subject_id, subject.site, subject.label, series, store.spec)


@lru_cache(maxsize=4)
def inside_brain(edge: int) -> Int[np.ndarray, " N"]:
    """Give the flat indices of the cube's voxels that a series holds, in its order."""
    return np.flatnonzero(brain_cube(edge).mask)
