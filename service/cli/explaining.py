"""``restnet explain``: what of a scan drove the answer, as a map that lies over the template."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service.cli.acquisition import (
    HANDED_OVER,
    RepetitionTime,
    SidecarFile,
    SliceOrder,
    WhichRun,
    asked_of,
    require_scan,
)
from service.cli.output import print_json, progress_bar, say
from service.cli.scans import load_predictor, what_was_done
from service.cli.usage import AsJson, named_path

_ENDINGS = (".nii", ".nii.gz")


def explain(
    scan: Annotated[Path, typer.Argument(help=HANDED_OVER)],
    *,
    out: Annotated[
        Path,
        typer.Option(help="The map to write, .nii or .nii.gz.", parser=named_path, metavar="<path>"),
    ],
    method: Annotated[
        Literal["integrated-gradients", "grad-cam"],
        typer.Option(help="Integrated gradients take seconds; Grad-CAM is quicker, and coarse."),
    ] = "integrated-gradients",
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint; the demonstration model if none is named.")
    ] = None,
    sidecar: SidecarFile = None,
    tr: RepetitionTime = None,
    slice_order: SliceOrder = None,
    run: WhichRun = None,
    as_json: AsJson = False,
) -> None:
    """Map which voxels drove the network's logit. It tells what the model did, and nothing about a brain.

    A scan in the scanner's space is brought into template space first; the map lies there.
    """
    from imaging.native.preparing import prepare_any
    from model.explanation import explain as explain_input
    from model.explanation import peaks, require_explainable, to_template

    if not out.name.endswith(_ENDINGS):
        raise typer.BadParameter(f"--out takes a name that ends in .nii or .nii.gz, found {out.name}")
    if out.exists():
        raise typer.BadParameter(f"--out takes the name of a new file, found one that is there: {out}")
    require_scan(scan)
    asked = asked_of(sidecar=sidecar, tr=tr, slice_order=slice_order, run=run)
    # Before the seconds of work: a folder that is not there is said at once.
    out.touch()
    try:
        predictor = load_predictor(checkpoint)
        require_explainable(predictor)
        with progress_bar(scan.name, shown=not as_json) as report:
            prepared = prepare_any(scan, predictor.spec, asked=asked, progress=report)
        found = explain_input(
            predictor,
            prepared.network_input,
            method="integrated_gradients" if method == "integrated-gradients" else "grad_cam",
        )
        to_template(found.map).to_filename(out)
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    # Only the finer map has places to tell apart.
    places = peaks(found.map) if found.method == "integrated_gradients" else ()
    answer = {
        "scan": prepared.scan,
        "space": prepared.space,
        "normalisation": prepared.normalisation,
        "model": {"name": predictor.card.name, "version": predictor.card.version},
        "method": found.method,
        "map": str(out),
        "logit": found.logit,
        "baseline_logit": found.baseline_logit,
        "completeness_error": found.completeness_error,
        "start_frames": list(found.start_frames),
        "members": found.members,
        "steps": found.steps,
        "peaks": [asdict(place) for place in places],
    }
    if as_json:
        print_json(answer)
    else:
        _show(answer)


def _show(answer: dict[str, Any]) -> None:
    say(f"{answer['map']}: what drove the logit, by {answer['method'].replace('_', ' ')}", bold=True)
    say(
        f"  logit {answer['logit']:+.2f} over {len(answer['start_frames'])} windows and "
        f"{answer['members']} members; {answer['baseline_logit']:+.2f} for a scan of zeros"
    )
    if answer["normalisation"] is not None:
        say(f"  {what_was_done(answer['normalisation'])}")
    if answer["completeness_error"] is not None:
        say(f"  the map's sum misses their difference by {answer['completeness_error']:+.2f}")
    for place in answer["peaks"]:
        x, y, z = place["mni_mm"]
        say(
            f"  {place['value']:+.4f} at {x:+.0f} {y:+.0f} {z:+.0f} mm, "
            f"{place['distance_mm']:.0f} mm from {place['nearest_region']} ({place['nearest_network']})"
        )
    say("  A map tells what this model computed from this scan, not that a region is altered.")
