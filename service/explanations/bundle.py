"""The members of an explanation's file, and how they get in and out: a ZIP that compresses nothing."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import ClassVar
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from service.errors import ServiceError

ATTRIBUTION = "attribution.nii.gz"
GRAD_CAM = "grad_cam.nii.gz"
# In template space: two maps, and what they can be laid over. A scan without a mean of its own has no "mean".
VOLUMES = (ATTRIBUTION, GRAD_CAM, "mean.nii.gz", "temporal_sd.nii.gz")
PICTURES = ("attribution.png", "carpet.png", "mean.png", "temporal_sd.png", "tsnr.png")
# The largest member has a few million voxels.
MAX_MEMBER_BYTES = 1 << 28


class ExplanationFileError(ServiceError):
    """Storage holds something else under an explanation's name."""

    code: ClassVar[str] = "explanation_file_damaged"

    def __init__(self) -> None:
        super().__init__("expected the explanation's file as it was stored, found another: make it again")


def pack(members: Mapping[str, bytes]) -> bytes:
    """Put the members, each compressed already, into one file; equal members give equal bytes.

    Parameters
    ----------
    members : mapping of str to bytes
        By names of :data:`VOLUMES` and :data:`PICTURES`.
    """
    file = BytesIO()
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for name, content in members.items():
            # Without a date, which would be that of the attempt.
            archive.writestr(ZipInfo(name), content)
    return file.getvalue()


def read_member(path: Path, name: str) -> bytes | None:
    """Read one member; None where this explanation has none of that name.

    Raises
    ------
    ExplanationFileError
        If the file is none that :func:`pack` wrote.
    """
    try:
        with ZipFile(path) as archive:
            try:
                found = archive.getinfo(name)
            except KeyError:
                return None
            if found.file_size > MAX_MEMBER_BYTES:
                raise ExplanationFileError
            return archive.read(found)
    except BadZipFile as error:
        raise ExplanationFileError from error
