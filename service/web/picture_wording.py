"""What the page says of the pictures of a scan: by the names that an explanation gives its files."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """What a picture is called, shows to who cannot see it, and tells to who looks at it."""

    title: str
    alt: str
    caption: str


VOLUMES = {"mean.nii.gz": "the mean of this scan", "temporal_sd.nii.gz": "the variation in this scan"}
PICTURES = {
    "mean.png": Picture(
        "Mean over time",
        "Axial slices of the mean image of the scan from below to above",
        "The brain should be whole and its folds visible. Bright and dark bands, a ghost beside the brain, "
        "or a brain cut off at the top or the bottom are faults of the recording.",
    ),
    "tsnr.png": Picture(
        "Temporal signal-to-noise ratio",
        "Axial slices of the ratio of mean to variation from below to above",
        "Even and bright over the cortex in a good scan. Dark patches at the base of the forehead and "
        "beside the ears are usual; rings along the edge of the brain are movement.",
    ),
    "temporal_sd.png": Picture(
        "Variation in time",
        "Axial slices of the standard deviation of each voxel over time from below to above",
        "Bright means that a voxel changes much. A bright rim along the edge of the brain is movement; "
        "bright spots at its base are vessels; single bright slices are spikes of the scanner.",
    ),
}
