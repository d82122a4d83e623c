"""What whoever handed a scan over said of how it was taken, as its row has it."""

from dataclasses import dataclass
from typing import Any, Self

from imaging.native.sidecar import Sidecar
from imaging.native.sources import Asked
from service.db.rows import ScanRow


@dataclass(frozen=True, kw_only=True)
class Said:
    """Plain values, so that they reach an enclosed child.

    Attributes
    ----------
    slice_times_s : list of float or None
    tr_s : float or None
    slice_order, run : str or None
        As :class:`imaging.native.sources.Asked` has them.
    sidecar : dict or None
        The fields of :class:`imaging.native.sidecar.Sidecar`.
    """

    slice_times_s: list[float] | None = None
    tr_s: float | None = None
    slice_order: str | None = None
    run: str | None = None
    sidecar: dict[str, Any] | None = None

    @classmethod
    def of(cls, scan: ScanRow) -> Self:
        """Gather what was said of a scan."""
        return cls(
            slice_times_s=scan.slice_times_s,
            tr_s=scan.tr_s,
            slice_order=scan.slice_order,
            run=scan.run,
            sidecar=scan.sidecar,
        )

    def asked(self) -> Asked:
        """Return what is asked of the run before it is normalised."""
        return Asked(
            sidecar=None if self.sidecar is None else Sidecar(**self.sidecar),
            tr_s=self.tr_s,
            slice_order=self.slice_order,
            slice_times_s=None if self.slice_times_s is None else tuple(self.slice_times_s),
            run=self.run,
        )
