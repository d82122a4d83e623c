"""A scan's header: read under a cap, checked in the order in which a person would ask, before any sample."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from nibabel.nifti1 import header_dtype as nifti1_fields
from nibabel.nifti2 import header_dtype as nifti2_fields

from imaging.dimensions import (
    MINIMUM_FRAMES,
    TooFewFramesError,
    four_dimensional,
    require_size,
    require_volume_size,
    three_dimensional,
)
from imaging.errors import ScanError
from imaging.file_format import NIFTI1_BYTES, NiftiFormat, recognise
from imaging.findings import ScanWarning
from imaging.orientation import read_affine
from imaging.sample_type import sample_type, scaling
from imaging.shapes import Affine
from imaging.simulation_mark import simulation_warnings
from imaging.stream import DataIncompleteError, EmptyFileError, ScanBytes
from imaging.timing import ImplausibleRepetitionTimeError, MissingRepetitionTimeError, repetition_time_s

# Extensions may be long (AFNI and DICOM converters put whole histories there), never this long.
MAXIMUM_HEADER_BYTES = 16 * 2**20

_CIFTI_EXTENSION = 32
_CIFTI_INTENTS = range(3000, 3100)

# NIfTI-1 standard, xyzt_units.
_TIME_BITS, _SECONDS = 0x38, 8


class CiftiError(ScanError):
    """Surface and parcel data in a NIfTI-2 envelope."""

    code: ClassVar[str] = "cifti"

    def __init__(self) -> None:
        super().__init__("expected a volume image, found a CIFTI file (surface vertices and parcels)")


class NonfiniteHeaderError(ScanError):
    """NaN or infinity in a field that matters."""

    code: ClassVar[str] = "nonfinite_header"

    def __init__(self, *, field: str, found: str) -> None:
        super().__init__(f"expected a finite number in the header field {field}, found {found}")
        self.field = field
        self.found = found


class BadDataOffsetError(ScanError):
    """The samples would start inside the header, or at no byte at all."""

    code: ClassVar[str] = "bad_data_offset"

    def __init__(self, *, expected_minimum: int, found: str) -> None:
        super().__init__(f"expected the samples to start at byte {expected_minimum} or later, found {found}")
        self.expected_minimum = expected_minimum
        self.found = found


class HeaderTooLargeError(ScanError):
    """More header than any real file has."""

    code: ClassVar[str] = "header_too_large"

    def __init__(self, *, limit_bytes: int, found_bytes: int) -> None:
        super().__init__(f"expected a header of at most {limit_bytes:,} bytes, found {found_bytes:,}")
        self.limit_bytes = limit_bytes
        self.found_bytes = found_bytes


@dataclass(frozen=True)
class ScanHeader:
    """What the samples of a checked file mean.

    Attributes
    ----------
    shape : (X, Y, Z, T)
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm.
    tr_s : float
    dtype : numpy dtype
        Of a stored sample, with the file's byte order.
    slope, intercept : float
        Scanner units = stored * slope + intercept.
    data_offset : int
        Byte of the decompressed file at which the samples start.
    warnings : tuple of ScanWarning
    """

    shape: tuple[int, int, int, int]
    affine: Affine
    tr_s: float
    dtype: np.dtype[Any]
    slope: float
    intercept: float
    data_offset: int
    warnings: tuple[ScanWarning, ...]

    @property
    def data_bytes(self) -> int:
        """Bytes of samples that the header promises."""
        x, y, z, frames = self.shape
        return x * y * z * frames * self.dtype.itemsize


def read_header(source: ScanBytes, *, otherwise_tr_s: float | None = None) -> ScanHeader:
    """Read and check the header at the start of a file; leaves the file at its first sample.

    The order is format, data type, axes, frames, timing, orientation, scaling, amount and place of the
    samples: a file with one defect is refused for that one.

    Parameters
    ----------
    source : ScanBytes
        At its beginning.
    otherwise_tr_s : float, optional
        The repetition time, where the header states none that can be.

    Raises
    ------
    ScanError
        With the defect's own code.
    """
    layout, raw = read_fixed_part(source)
    fields = np.frombuffer(raw, dtype=fields_of(layout))[0]
    extension_codes = _read_extensions(source, fields, layout)
    if int(fields["intent_code"]) in _CIFTI_INTENTS or _CIFTI_EXTENSION in extension_codes:
        raise CiftiError
    dtype = sample_type(int(fields["datatype"]), byte_order="<" if layout.byte_order == "little" else ">")
    shape = four_dimensional([int(length) for length in fields["dim"]])
    if shape[3] < MINIMUM_FRAMES:
        raise TooFewFramesError(found=shape[3])
    _require_finite(fields)
    tr_s, timing_warnings = _repetition_time_s(fields, otherwise_tr_s)
    affine, orientation_warnings = read_affine(fields, shape=shape)
    slope, intercept = scaling(float(fields["scl_slope"]), float(fields["scl_inter"]))
    require_size(shape, sample_bytes=dtype.itemsize, tr_s=tr_s)
    return ScanHeader(
        shape=shape,
        affine=affine,
        tr_s=tr_s,
        dtype=dtype,
        slope=slope,
        intercept=intercept,
        data_offset=_data_offset(fields, header_bytes=len(raw)),
        warnings=simulation_warnings(fields) + timing_warnings + orientation_warnings,
    )


def with_repetition_time(head: bytes, tr_s: float) -> bytes:
    """Write a repetition time, in seconds, into everything before the first sample; its length stays."""
    layout = recognise(head)
    fields = np.frombuffer(bytearray(head[: layout.header_bytes]), dtype=fields_of(layout))
    fields["pixdim"][0, 4] = tr_s
    fields["xyzt_units"][0] = int(fields["xyzt_units"][0]) & ~_TIME_BITS | _SECONDS
    return fields.tobytes() + head[layout.header_bytes :]


def read_volume_header(source: ScanBytes) -> ScanHeader:
    """Read and check the header of one three-dimensional image, as of a scan of one frame.

    Raises
    ------
    ScanError
        As for a scan, with the defect's own code.
    """
    layout, raw = read_fixed_part(source)
    fields = np.frombuffer(raw, dtype=fields_of(layout))[0]
    _read_extensions(source, fields, layout)
    dtype = sample_type(int(fields["datatype"]), byte_order="<" if layout.byte_order == "little" else ">")
    shape = three_dimensional([int(length) for length in fields["dim"]])
    _require_finite(fields)
    affine, warnings = read_affine(fields, shape=shape)
    slope, intercept = scaling(float(fields["scl_slope"]), float(fields["scl_inter"]))
    require_volume_size(shape, sample_bytes=dtype.itemsize)
    return ScanHeader(
        shape=shape,
        affine=affine,
        tr_s=1.0,
        dtype=dtype,
        slope=slope,
        intercept=intercept,
        data_offset=_data_offset(fields, header_bytes=len(raw)),
        warnings=warnings,
    )


def fields_of(layout: NiftiFormat) -> np.dtype[Any]:
    """Return where each field of a layout's fixed part lies, and its type with the file's byte order."""
    table = nifti1_fields if layout.version == 1 else nifti2_fields
    ordered: np.dtype[Any] = table.newbyteorder("<" if layout.byte_order == "little" else ">")
    return ordered


def read_fixed_part(source: ScanBytes) -> tuple[NiftiFormat, bytes]:
    """Read the part of a header that every file of its layout has, and nothing behind it."""
    buffer = bytearray(NIFTI1_BYTES)
    found = source.fill(memoryview(buffer))
    if found == 0 and not source.cut:
        raise EmptyFileError
    if found == 0:
        raise DataIncompleteError(part="header", expected_bytes=NIFTI1_BYTES, found_bytes=0)
    layout = recognise(bytes(buffer[:found]))
    if found < NIFTI1_BYTES:
        raise DataIncompleteError(part="header", expected_bytes=layout.header_bytes, found_bytes=found)
    rest = bytearray(layout.header_bytes - NIFTI1_BYTES)
    source.require(memoryview(rest), part="header", already=NIFTI1_BYTES, total=layout.header_bytes)
    return layout, bytes(buffer + rest)


def _read_extensions(source: ScanBytes, fields: Any, layout: NiftiFormat) -> frozenset[int]:
    """Read up to the first sample and return the codes of the header extensions on the way.

    An offset that makes no sense is left to :func:`_data_offset`: the data type and the axes come first.
    """
    already, offset = layout.header_bytes, float(fields["vox_offset"])
    if not already <= offset <= MAXIMUM_HEADER_BYTES:
        return frozenset()
    buffer = bytearray(int(offset) - already)
    source.require(memoryview(buffer), part="header", already=already, total=int(offset))
    codes: set[int] = set()
    position = 4 if buffer and buffer[0] else len(buffer)
    while position + 8 <= len(buffer):
        size = int.from_bytes(buffer[position : position + 4], layout.byte_order)
        codes.add(int.from_bytes(buffer[position + 4 : position + 8], layout.byte_order))
        position += max(size, 8)
    return frozenset(codes)


def _repetition_time_s(fields: Any, otherwise_s: float | None) -> tuple[float, tuple[ScanWarning, ...]]:
    try:
        return repetition_time_s(float(fields["pixdim"][4]), xyzt_units=int(fields["xyzt_units"]))
    except (MissingRepetitionTimeError, ImplausibleRepetitionTimeError):
        if otherwise_s is None:
            raise
    return repetition_time_s(otherwise_s, xyzt_units=_SECONDS)


def _require_finite(fields: Any) -> None:
    used = ["pixdim"]  # its last three are not ours
    if fields["sform_code"] > 0:
        used += ["srow_x", "srow_y", "srow_z"]
    elif fields["qform_code"] > 0:
        used += [f"quatern_{name}" for name in "bcd"] + [f"qoffset_{name}" for name in "xyz"]
    for field in used:
        values = np.atleast_1d(fields[field])[:5]
        if not np.isfinite(values).all():
            raise NonfiniteHeaderError(field=field, found=str(values.tolist()))


def _data_offset(fields: Any, *, header_bytes: int) -> int:
    offset = float(fields["vox_offset"])
    # Four bytes of extension flag follow the fixed part in a single-file NIfTI.
    if not (np.isfinite(offset) and offset >= header_bytes + 4 and offset.is_integer()):
        raise BadDataOffsetError(expected_minimum=header_bytes + 4, found=f"{offset:g}")
    if offset > MAXIMUM_HEADER_BYTES:
        raise HeaderTooLargeError(limit_bytes=MAXIMUM_HEADER_BYTES, found_bytes=int(offset))
    return int(offset)
