"""The file of one explanation: a map, volumes to lay it over, and pictures, all in one place of storage.

One file, so that it comes whole or not at all and goes with its scan. What stands in it in numbers is in the
row's ``facts``; :mod:`service.worker.explanation` makes both.
"""

from service.explanations.bundle import (
    ATTRIBUTION,
    GRAD_CAM,
    PICTURES,
    VOLUMES,
    ExplanationFileError,
    pack,
    read_member,
)

__all__ = [
    "ATTRIBUTION",
    "GRAD_CAM",
    "PICTURES",
    "VOLUMES",
    "ExplanationFileError",
    "pack",
    "read_member",
]
