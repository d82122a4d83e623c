"""A run in one DICOM file, as enhanced MR objects have it."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.imaging.native.heads import GRID, GRID_SHAPE, RUN_TR_S
from tests.imaging.native.sources.series import SPACING_MM, clock, volumes


def write_multiframe(
    path: Path,
    *,
    samples: np.ndarray | None = None,
    tr_s: float = 2.0,
    number: int = 7,
    corner_mm: tuple[float, float, float] = (-20.0, -24.0, 0.0),
    size_mm: tuple[float, float] = (4.0, SPACING_MM),
) -> Path:
    """Write all images of a run, frame by frame.

    Parameters
    ----------
    samples : (T, Z, rows, columns) uint16, optional
        :func:`volumes` if not given.
    corner_mm : tuple of 3 float
        Of the first slice's first voxel, towards left, back and head.
    size_mm : tuple of 2 float
        Of a voxel, in the slice and across.
    """
    samples = volumes(24, 4) if samples is None else samples
    n_frames, n_slices = samples.shape[:2]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.ImageType = ["ORIGINAL", "PRIMARY", "FMRI", "NONE"]
    image.Modality, image.Manufacturer = "MR", "Philips"
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.SeriesNumber, image.InstanceNumber = number, 1
    image.PatientName, image.PatientBirthDate = "Zaphodson", "19521103"
    image.MRAcquisitionType, image.EchoPlanarPulseSequence = "2D", "YES"
    image.PatientPosition = "HFS"
    image.NumberOfFrames = n_frames * n_slices
    image.Rows, image.Columns = samples.shape[2:]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.DimensionIndexSequence = Sequence([_dimension(0x0020_9057), _dimension(0x0020_9128)])
    image.SharedFunctionalGroupsSequence = Sequence([_shared(tr_s, size_mm)])
    image.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _frame(frame, slice_, corner_mm=(*corner_mm[:2], corner_mm[2] + size_mm[1] * slice_), tr_s=tr_s)
            for frame in range(n_frames)
            for slice_ in range(n_slices)
        ]
    )
    image.PixelData = samples.tobytes()
    image.save_as(path, enforce_file_format=True)
    return path


def write_head(path: Path, bold: np.ndarray, *, tr_s: float = RUN_TR_S, number: int = 7) -> Path:
    """Write a run on the grid of :mod:`tests.imaging.native.heads`, (X, Y, Z, T), as a scanner exports it."""
    # Rows run from the front to the back.
    samples = np.rint(bold).clip(0).astype(np.uint16).transpose(3, 2, 1, 0)[:, :, ::-1]
    front_mm = GRID[1, 3] + GRID[1, 1] * (GRID_SHAPE[1] - 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_multiframe(
        path,
        samples=np.ascontiguousarray(samples),
        tr_s=tr_s,
        number=number,
        corner_mm=(-GRID[0, 3], -front_mm, GRID[2, 3]),
        size_mm=(GRID[1, 1], GRID[2, 2]),
    )


def _dimension(pointer: int) -> Dataset:
    dimension = Dataset()
    dimension.DimensionIndexPointer, dimension.FunctionalGroupPointer = pointer, 0x0020_9111
    return dimension


def _shared(tr_s: float, size_mm: tuple[float, float]) -> Dataset:
    timing, echo, measures, orientation, group = (Dataset() for _ in range(5))
    timing.RepetitionTime, timing.FlipAngle = 1000 * tr_s, 80
    echo.EffectiveEchoTime = 30.0
    measures.SliceThickness = measures.SpacingBetweenSlices = size_mm[1]
    measures.PixelSpacing = [size_mm[0]] * 2
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    group.MRTimingAndRelatedParametersSequence = Sequence([timing])
    group.MREchoSequence = Sequence([echo])
    group.PixelMeasuresSequence = Sequence([measures])
    group.PlaneOrientationSequence = Sequence([orientation])
    return group


def _frame(frame: int, slice_: int, *, corner_mm: tuple[float, ...], tr_s: float) -> Dataset:
    content, position, group = (Dataset() for _ in range(3))
    content.StackID, content.InStackPositionNumber = "1", slice_ + 1
    content.TemporalPositionIndex = frame + 1
    content.DimensionIndexValues = [slice_ + 1, frame + 1]
    content.FrameAcquisitionDateTime = f"20140101{clock(frame * tr_s)}"
    position.ImagePositionPatient = list(corner_mm)
    group.FrameContentSequence = Sequence([content])
    group.PlanePositionSequence = Sequence([position])
    return group
