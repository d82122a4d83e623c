"""Scan file -> checked, lazily decoded scan -> the network's input, with figures about its quality.

The public names below load their modules when they are first used: a web process that only asks whether a
file is a scan does not pay for the scientific libraries that resampling needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imaging.check import ScanReport, check_scan, scan_identity
    from imaging.cube import BrainCube, brain_cube
    from imaging.errors import ScanError
    from imaging.findings import ScanWarning
    from imaging.network_input import NetworkInput, window_starts
    from imaging.pictures import ScanPictures, picture_signal
    from imaging.pipeline import STAGES, Progress, preprocess
    from imaging.prepared import PreparedScan, prepare_scan
    from imaging.quality import QualityReport
    from imaging.scan import BoldScan, open_scan
    from imaging.spec import PreprocessingSpec, PreprocessingSpecError
    from imaging.template_space import NotInTemplateSpaceError

__all__ = [
    "STAGES",
    "BoldScan",
    "BrainCube",
    "NetworkInput",
    "NotInTemplateSpaceError",
    "PreparedScan",
    "PreprocessingSpec",
    "PreprocessingSpecError",
    "Progress",
    "QualityReport",
    "ScanError",
    "ScanPictures",
    "ScanReport",
    "ScanWarning",
    "brain_cube",
    "check_scan",
    "open_scan",
    "picture_signal",
    "prepare_scan",
    "preprocess",
    "scan_identity",
    "window_starts",
]

_HOMES = {
    "check": ("ScanReport", "check_scan", "scan_identity"),
    "cube": ("BrainCube", "brain_cube"),
    "errors": ("ScanError",),
    "findings": ("ScanWarning",),
    "network_input": ("NetworkInput", "window_starts"),
    "pictures": ("ScanPictures", "picture_signal"),
    "pipeline": ("STAGES", "Progress", "preprocess"),
    "prepared": ("PreparedScan", "prepare_scan"),
    "quality": ("QualityReport",),
    "scan": ("BoldScan", "open_scan"),
    "spec": ("PreprocessingSpec", "PreprocessingSpecError"),
    "template_space": ("NotInTemplateSpaceError",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'imaging' has no attribute {name!r}")
    return getattr(import_module(f"imaging.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
