"""Small DICOM series, written tag by tag: what scanners write, and what goes wrong with it."""

from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from tests.imaging.native.heads import GRID, RUN_TR_S, short_run

ROWS, COLUMNS, N_SLICES, N_FRAMES, TR_S = 12, 10, 4, 24, 2.0
SPACING_MM = 4.0

Change = Callable[[FileDataset, int, int], None]


def write_series(
    folder: Path,
    *,
    number: int = 5,
    n_frames: int = N_FRAMES,
    n_slices: int = N_SLICES,
    tr_s: float | None = TR_S,
    change: Change | None = None,
    skip: Callable[[int, int], bool] = lambda _frame, _slice: False,
    samples: np.ndarray | None = None,
    spacing_mm: tuple[float, float] = (SPACING_MM, SPACING_MM),
    corner_mm: tuple[float, float, float] = (-20.0, -24.0, 0.0),
) -> Path:
    """Write one file a slice and frame.

    Parameters
    ----------
    samples : (T, Z, rows, columns) uint16, optional
        Noise by default.
    spacing_mm : (float, float)
        Of voxels within a slice, and of slices.
    corner_mm : (float, float, float)
        Where the first voxel of the first slice lies: to the left, back and top.
    change : callable
        Called with each image, its frame and its slice before it is written.
    skip : callable
        Whether the image of a frame and slice is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, study, place = generate_uid(), generate_uid(), generate_uid()
    samples = volumes(n_frames, n_slices) if samples is None else samples
    n_frames, n_slices = samples.shape[:2]
    for frame in range(n_frames):
        for slice_ in range(n_slices):
            if skip(frame, slice_):
                continue
            image = _image(samples[frame, slice_], series=series, study=study, place=place)
            image.SeriesNumber = number
            image.InstanceNumber = frame * n_slices + slice_ + 1
            image.TemporalPositionIdentifier = frame + 1
            image.NumberOfTemporalPositions = n_frames
            image.PixelSpacing = [spacing_mm[0]] * 2
            image.SliceThickness = image.SpacingBetweenSlices = spacing_mm[1]
            left, back, up = corner_mm
            image.ImagePositionPatient = [left, back, up + spacing_mm[1] * slice_]
            image.SliceLocation = spacing_mm[1] * slice_
            if tr_s is not None:
                image.RepetitionTime = 1000 * tr_s
                image.AcquisitionTime = clock(frame * tr_s)
            if change is not None:
                change(image, frame, slice_)
            image.save_as(folder / f"{number}_{frame:03d}_{slice_:02d}", enforce_file_format=True)
    return folder


def write_head(folder: Path, *, change: Change | None = None) -> Path:
    """Write a series of a whole head, which comes into template space."""
    run = short_run()
    across, along, up = (float(GRID[axis, axis]) for axis in range(3))
    # A slice's rows go from the front to the back, its columns from right to left.
    samples = np.clip(run[:, ::-1], 0, None).astype(np.uint16).transpose(3, 2, 1, 0)
    back = -float(GRID[1, 3]) - along * (run.shape[1] - 1)
    return write_series(
        folder,
        samples=samples,
        tr_s=RUN_TR_S,
        spacing_mm=(-across, up),
        corner_mm=(-float(GRID[0, 3]), back, float(GRID[2, 3])),
        change=change,
    )


def volumes(n_frames: int, n_slices: int) -> np.ndarray:
    """(T, Z, rows, columns) uint16: every image different from all others."""
    generator = np.random.default_rng(7)
    return generator.integers(100, 1000, (n_frames, n_slices, ROWS, COLUMNS), dtype=np.uint16)


def clock(seconds: float) -> str:
    """Time of the day, that long after ten."""
    return f"10{int(seconds // 60):02d}{seconds % 60:09.6f}"


def zipped(folder: Path, target: Path) -> Path:
    """Pack a folder, with its files below one of its name."""
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
    return target


def _image(samples: np.ndarray, *, series: str, study: str, place: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID = meta.MediaStorageSOPClassUID
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    image.Modality = "MR"
    image.Manufacturer = "Philips Medical Systems"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, place
    image.ScanningSequence, image.SequenceVariant = "EP", "SK"
    image.MRAcquisitionType = "2D"
    image.EchoTime = 30
    image.FlipAngle = 80
    image.PatientPosition = "HFS"
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.Rows, image.Columns = samples.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.PixelData = samples.tobytes()
    return image
