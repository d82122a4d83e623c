"""DICOM series with bytes changed, cut off, put in and left out, each by a number of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from imaging import ScanError
from imaging.native.sources import take_in
from tests.imaging.native.sources.series import write_series

PLANTED = ("Zaphodson", "Beeblebroxia", "19521103", "Magratheahosp", "H2G2-4242")
ACCEPTED = "accepted"
LIMIT_S = 60.0

Damage = Callable[[bytearray, np.random.Generator], bytearray]


class Finding(AssertionError):  # noqa: N818  (what a search for faults calls it)
    """Something that damage must not lead to."""


def planted_series(folder: Path) -> Path:
    """Write a small series that names a person in every image."""

    def name(image: FileDataset, frame: int, slice_: int) -> None:
        # Not by chance: their lengths decide which byte a damage meets.
        image.StudyInstanceUID = image.FrameOfReferenceUID = generate_uid(entropy_srcs=["study"])
        image.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
        image.SOPInstanceUID = generate_uid(entropy_srcs=["image", str(frame), str(slice_)])
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PatientName = f"{PLANTED[0]}^{PLANTED[1]}"
        image.PatientID = image.AccessionNumber = PLANTED[4]
        image.PatientBirthDate = image.StudyDate = PLANTED[2]
        image.InstitutionName = image.StationName = PLANTED[3]
        image.SeriesDescription = image.ProtocolName = f"rest {PLANTED[0]}"

    return write_series(folder, n_frames=20, change=name)


def damaged(series: Path, target: Path, *, number: int) -> Path:
    """Copy a series (a folder) with the damage of that number, as a folder or, one time in four, as a zip."""
    generator = np.random.default_rng([7, number])
    shutil.copytree(series, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    # One file, some, or all: what a bad copy and what a bad program does.
    count = int(generator.choice([1, 1, 3, len(files)]))
    kind = _KINDS[number % len(_KINDS)]
    same = generator.integers(2**32)
    for place in generator.choice(len(files), min(count, len(files)), replace=False):
        # All of them alike, or each in its own way.
        own = np.random.default_rng(same) if count == len(files) else generator
        files[place].write_bytes(kind(bytearray(files[place].read_bytes()), own))
    if number % 4:
        return target
    packed = target.with_suffix(".zip")
    with ZipFile(packed, "w", ZIP_STORED) as archive:
        for path in files:
            archive.write(path, path.relative_to(target.parent))
    if number % 8 == 0:
        content = bytearray(packed.read_bytes())
        packed.write_bytes(_flip_anywhere(content, generator))
    return packed


def outcome(source: Path, work: Path, *, words: tuple[str, ...] = PLANTED) -> tuple[str, float]:
    """Take something in: the code it is refused with, or that it is accepted, and the seconds.

    Raises
    ------
    Finding
        If it takes too long, ends with anything but a refusal, names the person, or leaves something behind.
    """
    work.mkdir()
    began = monotonic()
    try:
        run = take_in(source, work)
    except ScanError as refusal:
        code, told, kept = refusal.code, f"{refusal} {refusal.details()}", list(work.iterdir())
        if kept:
            raise Finding("something is left in the work folder") from None
    except Exception as error:
        raise Finding(f"{type(error).__name__} instead of a refusal") from error
    else:
        code, told = ACCEPTED, str(run.warnings)
        if [path.name for path in work.iterdir()] != ["bold.nii"]:
            raise Finding("more than the run is left in the work folder")
        told += run.path.read_bytes()[:352].decode("latin-1")
    seconds = monotonic() - began
    for word in words:
        # A part of a name is one too, where a byte of it was changed.
        if any(word[start : start + 5].lower() in told.lower() for start in range(max(1, len(word) - 4))):
            raise Finding("a word of the person's tags is told")
    if seconds > LIMIT_S:
        raise Finding(f"{seconds:.0f} s")
    shutil.rmtree(work)
    return code, seconds


def _flip_in_head(content: bytearray, generator: np.random.Generator) -> bytearray:
    for place in generator.integers(132, min(len(content), 1200), int(generator.integers(1, 9))):
        content[place] = generator.integers(256)
    return content


def _flip_anywhere(content: bytearray, generator: np.random.Generator) -> bytearray:
    for place in generator.integers(0, len(content), int(generator.integers(1, 30))):
        content[place] ^= 1 << int(generator.integers(8))
    return content


def _cut(content: bytearray, generator: np.random.Generator) -> bytearray:
    return content[: int(generator.integers(0, len(content)))]


def _insert(content: bytearray, generator: np.random.Generator) -> bytearray:
    place = int(generator.integers(132, len(content)))
    return content[:place] + generator.bytes(int(generator.integers(1, 64))) + content[place:]


def _leave_out(content: bytearray, generator: np.random.Generator) -> bytearray:
    place = int(generator.integers(132, len(content)))
    return content[:place] + content[place + int(generator.integers(1, 64)) :]


def _great_numbers(content: bytearray, generator: np.random.Generator) -> bytearray:
    """Write the greatest number where a length or a size may stand."""
    for _ in range(int(generator.integers(1, 4))):
        place = int(generator.integers(132, min(len(content), 1200)))
        content[place : place + 2] = generator.choice([b"\xff\xff", b"\x00\x00", b"\xff\x7f"])
    return content


def _other_number(content: bytearray, generator: np.random.Generator) -> bytearray:
    """Exchange a value in words for another of the same length: a digit, a sign, nothing."""
    digits = [place for place in range(132, min(len(content), 1200)) if chr(content[place]).isdigit()]
    for place in generator.choice(digits, 3):
        content[place] = int(generator.choice(list(b"0123456789-.\\e \xff")))
    return content


_KINDS: tuple[Damage, ...] = (
    _flip_in_head,
    _cut,
    _great_numbers,
    _flip_anywhere,
    _other_number,
    _insert,
    _leave_out,
)
