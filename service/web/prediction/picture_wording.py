"""What the page says of the pictures of a scan: by the names that an explanation gives its files."""

from dataclasses import dataclass

from service.web.language import _, marked


@dataclass(frozen=True)
class Picture:
    """What a picture is called, shows to who cannot see it, tells to who looks at it, and in one sentence."""

    title: str
    alt: str
    caption: str
    short: str


VOLUMES = {
    "mean.nii.gz": marked("the mean of this scan"),
    "temporal_sd.nii.gz": marked("the variation in this scan"),
}
PICTURES = {
    "attribution.png": Picture(
        marked("What drove this answer"),
        marked(
            "Slices through the template brain from below to above, coloured where the scan moved the answer"
            " of the model"
        ),
        "",
        marked(
            "Integrated gradients: orange spoke for ADHD, blue against it; left is left. Not where a brain "
            "is altered."
        ),
    ),
    "carpet.png": Picture(
        marked("Carpet plot"),
        marked("Carpet plot: voxels over time, in standard deviations"),
        marked(
            "Each row a voxel, from the fluid of the template at the top over grey to white matter below; "
            "bright above, dark below its own course. Upright stripes through all rows are movements or "
            "breaths; a change of texture from one minute to the next is a change of the person or the "
            "scanner. Even, grainy rows are what a quiet scan looks like."
        ),
        marked("Voxels over the minutes of the run: upright stripes are movements or breaths."),
    ),
    "mean.png": Picture(
        marked("Mean over time"),
        marked("Axial slices of the mean image of the scan from below to above"),
        marked(
            "The brain should be whole and its folds visible. Bright and dark bands, a ghost beside the "
            "brain, or a brain cut off at the top or the bottom are faults of the recording."
        ),
        marked("Axial slices; the brain should be whole, without bands or ghosts."),
    ),
    "tsnr.png": Picture(
        marked("Temporal signal-to-noise ratio"),
        marked("Axial slices of the ratio of mean to variation from below to above"),
        marked(
            "Even and bright over the cortex in a good scan. Dark patches at the base of the forehead and "
            "beside the ears are usual; rings along the edge of the brain are movement."
        ),
        marked("Axial slices; rings along the edge of the brain are movement."),
    ),
    "temporal_sd.png": Picture(
        marked("Variation in time"),
        marked("Axial slices of the standard deviation of each voxel over time from below to above"),
        marked(
            "Bright means that a voxel changes much. A bright rim along the edge of the brain is movement; "
            "bright spots at its base are vessels; single bright slices are spikes of the scanner."
        ),
        marked("Axial slices; a bright rim along the edge of the brain is movement."),
    ),
}


def picture(name: str) -> Picture:
    """Say in the language of the page what a picture is."""
    said = PICTURES[name]
    return Picture(_(said.title), _(said.alt), _(said.caption), _(said.short))
