"""What may be handed over as a run in the scanner's space, and how one NIfTI file with its times comes of it.

taking            told by content: a NIfTI file, or a folder or zip with one of
  dicom             images: `dicom_tags` and `dicom_image` read them, `dicom_series` chooses one series,
                    `converter` starts dcm2niix
  bids              a subject
tree, zips        files with names and sizes, wherever they lie
repetition_time, slice_order
                  what is known, what is asked, nothing guessed
"""

from imaging.native.sources.run import STAGES, Asked, NativeRun
from imaging.native.sources.slice_order import ORDERS
from imaging.native.sources.taking import NOTHING_ASKED, is_one_file, take_in, take_nifti

__all__ = [
    "NOTHING_ASKED",
    "ORDERS",
    "STAGES",
    "Asked",
    "NativeRun",
    "is_one_file",
    "take_in",
    "take_nifti",
]
