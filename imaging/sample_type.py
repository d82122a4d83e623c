"""How one sample is stored: its type, and the scale that turns it into scanner units."""

from typing import ClassVar

import numpy as np

from imaging.errors import ScanError

# NIfTI-1 standard, "DATATYPE codes" (nifti1.h); 128-bit floats are left out: no scanner writes them, and
# their layout depends on the machine.
_REAL = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
MINIMUM_SLOPE, MAXIMUM_SLOPE = 1e-9, 1e9
MAXIMUM_INTERCEPT = 1e12

_COMPLEX = {32: "complex64", 1792: "complex128", 2048: "complex256"}
_COLOUR = {128: "RGB24", 2304: "RGBA32"}


class ComplexDataError(ScanError):
    """Real and imaginary parts, not magnitudes."""

    code: ClassVar[str] = "complex_data"

    def __init__(self, *, found: str) -> None:
        super().__init__(f"expected real numbers, found complex data ({found})")
        self.found = found


class ColourDataError(ScanError):
    """A colour picture."""

    code: ClassVar[str] = "colour_data"

    def __init__(self, *, found: str) -> None:
        super().__init__(f"expected real numbers, found colour data ({found})")
        self.found = found


class UnknownDataTypeError(ScanError):
    """A data type code that the standard does not define, or one that no scan uses."""

    code: ClassVar[str] = "unknown_data_type"

    def __init__(self, *, found: str) -> None:
        super().__init__(f"expected 8- to 64-bit integers or 32- or 64-bit floats, found {found}")
        self.found = found


class BadScalingError(ScanError):
    """A slope or intercept that is not a plausible number, or values that show it."""

    code: ClassVar[str] = "bad_scaling"

    def __init__(self, *, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


def sample_type(datatype: int, *, byte_order: str) -> np.dtype[np.generic]:
    """Return the numpy type of a stored sample.

    Raises
    ------
    ComplexDataError, ColourDataError, UnknownDataTypeError
        If a sample is not one real number.
    """
    if datatype in _COMPLEX:
        raise ComplexDataError(found=_COMPLEX[datatype])
    if datatype in _COLOUR:
        raise ColourDataError(found=_COLOUR[datatype])
    if datatype not in _REAL:
        raise UnknownDataTypeError(found=f"data type code {datatype}")
    return np.dtype(byte_order + _REAL[datatype])


def require_real(dtype: np.dtype[np.generic]) -> None:
    """Refuse an array type that no file could have.

    Raises
    ------
    ComplexDataError, UnknownDataTypeError
    """
    if dtype.kind == "c":
        raise ComplexDataError(found=dtype.name)
    if dtype.kind + str(dtype.itemsize) not in _REAL.values():
        raise UnknownDataTypeError(found=dtype.name)


def scaling(slope: float, intercept: float) -> tuple[float, float]:
    """Return (slope, intercept) with the standard's rule that slope 0 means "not scaled".

    Raises
    ------
    BadScalingError
        If either is not finite, or beyond what any scanner or pipeline writes.
    """
    plausible = slope == 0 or MINIMUM_SLOPE <= abs(slope) <= MAXIMUM_SLOPE
    # Written so that NaN fails.
    if not (plausible and abs(intercept) <= MAXIMUM_INTERCEPT):
        raise BadScalingError(
            expected=f"a scl_slope of 0 or of size {MINIMUM_SLOPE:g} to {MAXIMUM_SLOPE:g}, and a scl_inter "
            f"within {MAXIMUM_INTERCEPT:g}",
            found=f"{slope:g} and {intercept:g}",
        )
    return (1.0, 0.0) if slope == 0 else (slope, intercept)
