"""Scan file -> checked, lazily decoded scan -> the network's input, with figures about its quality."""

from imaging.check import ScanReport, check_scan, scan_identity
from imaging.cube import BrainCube, brain_cube
from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.network_input import NetworkInput, window_starts
from imaging.pipeline import STAGES, Progress, preprocess
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
    "PreprocessingSpec",
    "PreprocessingSpecError",
    "Progress",
    "QualityReport",
    "ScanError",
    "ScanReport",
    "ScanWarning",
    "brain_cube",
    "check_scan",
    "open_scan",
    "preprocess",
    "scan_identity",
    "window_starts",
]
