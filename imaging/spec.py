"""How a scan becomes the network's input: the settings, which travel inside every checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

WindowPlan = Literal["single", "spread"]
SPEC_VERSION = 1


class PreprocessingSpecError(ValueError):
    """A preprocessing spec that this version cannot carry out; no fault of any scan."""

    code: ClassVar[str] = "bad_preprocessing_spec"

    def __init__(self, *, field: str, expected: str, found: str) -> None:
        super().__init__(f"preprocessing spec: expected {field} to be {expected}, found {found}")
        self.field = field
        self.expected = expected
        self.found = found


@dataclass(frozen=True, kw_only=True)
class PreprocessingSpec:
    """Settings of :func:`imaging.preprocess`; training and serving share them through the checkpoint.

    Attributes
    ----------
    version : int
        Meaning of the fields below; this code carries out version 1.
    grid_size : int
        Voxels along each edge of the network's cube.
    band_hz : (low, high) or None
        Pass band; None keeps every frequency and the trend.
    tr_s : float or None
        Common repetition time that every scan is resampled to, because a site's own TR would tell the site;
        None keeps the scan's.
    window_frames : int
        Frames in one window.
    window_plan : {"spread", "single"}
        Windows evenly across the scan, or only the middle one.
    n_windows : int
        How many for "spread"; a scan without that many distinct starts gives fewer.

    Raises
    ------
    PreprocessingSpecError
        If a value has no meaning.
    """

    version: int = SPEC_VERSION
    grid_size: int = 34
    band_hz: tuple[float, float] | None = (0.009, 0.08)
    tr_s: float | None = 2.0
    window_frames: int = 20
    window_plan: WindowPlan = "spread"
    n_windows: int = 8

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        self._require("version", f"{SPEC_VERSION}", holds=self.version == SPEC_VERSION)
        self._require("grid_size", "4 to 128", holds=4 <= self.grid_size <= 128)
        band = self.band_hz
        self._require("band_hz", "0 <= low < high", holds=band is None or 0 <= band[0] < band[1])
        self._require("tr_s", "0.1 to 10 s or null", holds=self.tr_s is None or 0.1 <= self.tr_s <= 10)
        self._require("window_frames", "at least 2", holds=self.window_frames >= 2)
        self._require("n_windows", "at least 1", holds=self.n_windows >= 1)

    def _require(self, field: str, expected: str, *, holds: bool) -> None:
        if not holds:
            raise PreprocessingSpecError(field=field, expected=expected, found=repr(getattr(self, field)))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the inverse of :meth:`from_json`."""
        return asdict(self) | {"band_hz": None if self.band_hz is None else list(self.band_hz)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "PreprocessingSpec":
        """Read a spec back, for example from a checkpoint's card.

        Raises
        ------
        PreprocessingSpecError
            If a field is unknown or has no meaning: a spec from a newer version is not half obeyed.
        """
        unknown = set(fields) - set(cls.__dataclass_fields__)
        if unknown:
            raise PreprocessingSpecError(field=min(unknown), expected="absent", found="present")
        plan, plans = fields.get("window_plan", cls.window_plan), get_args(WindowPlan)
        if plan not in plans:
            raise PreprocessingSpecError(field="window_plan", expected=" or ".join(plans), found=repr(plan))
        band, tr_s = fields.get("band_hz", cls.band_hz), fields.get("tr_s", cls.tr_s)
        # JSON writes a pair as a list, and may write 2.0 as 2.
        numbers = {
            "band_hz": None if band is None else (float(band[0]), float(band[1])),
            "tr_s": None if tr_s is None else float(tr_s),
        }
        return cls(**{**fields, **numbers})
