"""The template brain as an image, for people to see maps and scans over."""

from pathlib import Path


def template_file() -> Path:
    """Return the path of the MNI152 nlin sym 09a T1 image: 2 mm, skull-stripped, uint8, RAS+, gzipped."""
    return Path(__file__).parent / "assets" / "mni152_2mm.nii.gz"
