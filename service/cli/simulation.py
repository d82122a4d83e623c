"""``restnet simulate``: an ADHD-200-shaped folder to try everything with."""

from pathlib import Path
from typing import Annotated

import typer

from imaging.words import counted
from service.cli.output import STOPPED, print_json, progress_bar, say
from service.cli.usage import AsJson, named_path


def simulate(
    out: Annotated[
        Path, typer.Argument(help="The folder to write; it must be new or empty.", parser=named_path)
    ],
    *,
    subjects: Annotated[int, typer.Option(help="How many subjects.", min=1)],
    effect_size: Annotated[
        float, typer.Option(help="How far the ADHD group differs; 0 plants nothing.")
    ] = 1.0,
    site_effect: Annotated[float, typer.Option(help="A difference between sites alone.")] = 0.0,
    seed: Annotated[int, typer.Option(help="One seed writes one folder, on one kind of processor.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write simulated scans and their phenotype table, named and laid out as ADHD-200 is."""
    from training.simulation.phenotypes import TABLE_NAME
    from training.simulation.simulator import simulate_cohort

    try:
        with progress_bar("simulating", shown=not as_json) as report:
            profiles = simulate_cohort(
                out,
                n_subjects=subjects,
                effect_size=effect_size,
                site_effect=site_effect,
                seed=seed,
                progress=report,
            )
    except KeyboardInterrupt:
        say("Stopped. Nothing is left of the scans: a part of a cohort looks like a whole one.", err=True)
        raise typer.Exit(STOPPED) from None
    if as_json:
        print_json(
            {
                "n_subjects": len(profiles),
                "n_adhd": sum(profile.label for profile in profiles),
                "seed": seed,
                "effect_size": effect_size,
                "site_effect": site_effect,
                "phenotypes": TABLE_NAME,
                "scans": [str(profile.file_path) for profile in profiles],
            }
        )
    else:
        say(f"{counted(len(profiles), 'simulated subject')} written; their table is {TABLE_NAME}")
