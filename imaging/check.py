"""The answer to "what is this file, and can it be used?"."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from imaging.digest import sha256_beside
from imaging.findings import ScanWarning
from imaging.pipeline import Progress, preprocess
from imaging.quality import QualityReport
from imaging.scan import BoldScan, open_scan


@dataclass(frozen=True)
class ScanReport:
    """An accepted scan; a refused one is a :class:`imaging.ScanError`.

    Attributes
    ----------
    scan : dict
        As :func:`scan_identity` gives it.
    space : "template"
    quality : QualityReport
    warnings : tuple of ScanWarning
    """

    scan: dict[str, Any]
    space: Literal["template"]
    quality: QualityReport
    warnings: tuple[ScanWarning, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``restnet check --json`` prints."""
        return {
            "scan": self.scan,
            "accepted": True,
            "space": self.space,
            "quality": self.quality.to_json(),
            "warnings": [{"code": warning.code, "message": warning.message} for warning in self.warnings],
        }


def check_scan(
    path: Path, *, display_name: str | None = None, progress: Progress | None = None
) -> ScanReport:
    """Read a whole scan as a prediction would, and report on it.

    Parameters
    ----------
    path : Path
    display_name : str, optional
        The name that its owner knows it by; the file's own if not given.
    progress : callable, optional
        As in :func:`imaging.preprocess`.

    Raises
    ------
    ScanError
        If it is refused.
    OSError
        If the file cannot be read.
    """
    scan = open_scan(path)
    with sha256_beside(path) as sha256:
        prepared = preprocess(scan, progress=progress)
    return ScanReport(
        scan=scan_identity(scan, name=display_name or path.name, sha256=sha256.result()),
        space=prepared.space,
        quality=prepared.quality,
        warnings=prepared.warnings,
    )


def scan_identity(scan: BoldScan, *, name: str, sha256: str) -> dict[str, Any]:
    """Say which scan this is, as JSON values.

    Parameters
    ----------
    scan : BoldScan
    name : str
        What the scan is called; of a path, its last part is kept.
    sha256 : str
        Of the file as its owner has it; a copy stands for the file that it was made from.

    Returns
    -------
    dict
        ``name`` (never a folder), ``sha256``, ``shape``, ``zooms_mm``, ``tr_s``, ``n_frames``.
    """
    return {
        "name": Path(name).name,
        "sha256": sha256,
        "shape": list(scan.shape),
        "zooms_mm": [round(zoom, 4) for zoom in scan.zooms_mm],
        "tr_s": scan.tr_s,
        "n_frames": scan.n_frames,
    }
