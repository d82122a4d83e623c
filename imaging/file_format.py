"""What kind of file this is, from its first bytes; only a single-file NIfTI goes on."""

from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import ClassVar, Literal

from imaging.errors import ScanError

NIFTI1_BYTES = 348
NIFTI2_BYTES = 540

_MAGIC_OFFSET = {1: 344, 2: 4}
_SINGLE_FILE = {1: b"n+1\0", 2: b"n+2\0\r\n\x1a\n"}
_PAIR = {1: b"ni1\0", 2: b"ni2\0\r\n\x1a\n"}

# (offset, signature, name); public file signatures, enough to tell a person what they picked by mistake.
_SIGNATURES = (
    (128, b"DICM", "a DICOM file"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x1f\x8b", "a file compressed twice"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (0, b"\x89HDF", "an HDF5 file (MINC 2 or MATLAB)"),
    (0, b"CDF", "a netCDF file (MINC 1)"),
    (0, b"NRRD", "an NRRD image"),
    (0, b"MATLAB", "a MATLAB file"),
    (0, b"%PDF", "a PDF document"),
)
_MGH_TYPES = frozenset({0, 1, 3, 4, 10})


class NotNiftiError(ScanError):
    """Another kind of file."""

    code: ClassVar[str] = "not_nifti"

    def __init__(self, *, found: str) -> None:
        super().__init__(f"expected a single-file NIfTI image (.nii or .nii.gz), found {found}")
        self.found = found


class AnalyzeFormatError(ScanError):
    """An Analyze 7.5 header: NIfTI's ancestor, which does not say which side is left."""

    code: ClassVar[str] = "analyze_format"

    def __init__(self) -> None:
        super().__init__(
            "expected a single-file NIfTI image (.nii or .nii.gz), found an Analyze 7.5 header, "
            "which carries no orientation"
        )


class NiftiPairError(ScanError):
    """The header half of a .hdr/.img pair; the samples are in another file."""

    code: ClassVar[str] = "nifti_pair"

    def __init__(self) -> None:
        super().__init__(
            "expected header and samples in one file (.nii or .nii.gz), found the header half of a .hdr/.img "
            "pair; convert the pair to one .nii file"
        )


@dataclass(frozen=True)
class NiftiFormat:
    """Which of the four NIfTI layouts a header has.

    Attributes
    ----------
    version : {1, 2}
    byte_order : {"little", "big"}
    """

    version: Literal[1, 2]
    byte_order: Literal["little", "big"]

    @property
    def header_bytes(self) -> int:
        """Length of the fixed part of the header."""
        return NIFTI1_BYTES if self.version == 1 else NIFTI2_BYTES


def recognise(first: bytes) -> NiftiFormat:
    """Tell the NIfTI layout from the first 348 bytes of the decompressed file (or fewer, if that is all).

    Raises
    ------
    NotNiftiError, AnalyzeFormatError, NiftiPairError
        If it is not a single-file NIfTI image.
    """
    layout = _layout(first)
    if layout is None:
        raise NotNiftiError(found=_describe(first))
    start = _MAGIC_OFFSET[layout.version]
    magic = first[start : start + len(_SINGLE_FILE[layout.version])]
    if magic == _PAIR[layout.version]:
        raise NiftiPairError
    if layout.version == 1 and magic == b"\0\0\0\0":
        raise AnalyzeFormatError
    # A header that is cut short of its magic is a truncated file, which the caller reports as such.
    if len(first) >= NIFTI1_BYTES and magic != _SINGLE_FILE[layout.version]:
        raise NotNiftiError(found=f"a header with the magic {magic!r}")
    return layout


def _layout(first: bytes) -> NiftiFormat | None:
    # sizeof_hdr, which only reads as 348 or 540 in the byte order that the file was written in.
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for byte_order in orders:
        size = int.from_bytes(first[:4], byte_order)
        if size == NIFTI1_BYTES:
            return NiftiFormat(version=1, byte_order=byte_order)
        if size == NIFTI2_BYTES:
            return NiftiFormat(version=2, byte_order=byte_order)
    return None


def _describe(first: bytes) -> str:
    for offset, signature, name in _SIGNATURES:
        if first[offset : offset + len(signature)] == signature:
            return name
    version, kind = int.from_bytes(first[:4], "big"), int.from_bytes(first[20:24], "big")
    if len(first) >= 24 and version == 1 and kind in _MGH_TYPES:
        return "a FreeSurfer MGH/MGZ image"
    if _is_text(first):
        return "text"
    return "bytes without a header that we know, such as the .img half of a .hdr/.img pair"


def _is_text(first: bytes) -> bool:
    try:
        # Incremental, because the bytes that we have may end inside a character.
        text = getincrementaldecoder("utf-8")().decode(first)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)
