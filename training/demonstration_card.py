"""Say in the demonstration's card who it was trained on, without training it again.

``python -m training.demonstration_card --checkpoint FILE`` simulates and ingests the same people from the
same seeds and writes their figures into the card, as a fresh training does. Whether they are still the same
is asked of the model itself: on new simulated people of the same seeds it has to answer as its card says. The
cohort's fingerprint cannot be asked for, as it hangs on the last places of every series, which differ
between processors and with the order of a sum. The weights stay as they are, byte for byte, or nothing is
written.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from model.card import ModelCard
from model.checkpoint import load_checkpoint, save_checkpoint
from model.errors import CheckpointMismatchError
from model.files import replace_file
from training.cohort.population import describe_population
from training.cohort.selecting.selection import select
from training.demonstration import Plan, ingest_cohort, measure_on_new_people


def describe_demonstration(checkpoint: Path, *, plan: Plan | None = None, processes: int = 2) -> ModelCard:
    """Write the figures of the people that the demonstration was trained on into its card.

    Parameters
    ----------
    checkpoint : Path
        Replaced in one step.
    plan : Plan, optional
        That it was made by; the committed checkpoint's, if not given.
    processes : int
        That share the work.

    Returns
    -------
    ModelCard
        Of the file written.

    Raises
    ------
    CheckpointMismatchError
        If the model answers otherwise than its card says, or its weights would change.
    """
    plan = plan or Plan()
    trained = load_checkpoint(checkpoint)
    measured = measure_on_new_people(checkpoint, plan=plan, processes=processes)
    said = {name: trained.card.metrics.get(name) for name in measured}
    if measured != said:
        raise CheckpointMismatchError(expected=f"on new people {said}", found=str(measured))
    with TemporaryDirectory(prefix="restnet-demonstration-") as scratch:
        store = ingest_cohort(Path(scratch) / "simulated", plan=plan, processes=processes)
        population = describe_population(store, select(store.subjects))
        card = trained.card.model_copy(update={"population": population})
        written = Path(scratch) / "checkpoint.safetensors"
        save_checkpoint(
            written, members=trained.members, card=card, weights_dtype=plan.settings.weights_dtype
        )
        content = written.read_bytes()
    if _weights(content) != _weights(checkpoint.read_bytes()):
        raise CheckpointMismatchError(expected="the same weights, byte for byte", found="others")
    replace_file(checkpoint, content)
    return card


def _weights(content: bytes) -> bytes:
    """Return what follows the header of a safetensors file: its tensors."""
    return content[8 + int.from_bytes(content[:8], "little") :]


def main() -> None:
    """Read the command line and describe the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, required=True, help="file to rewrite")
    parser.add_argument(
        "--processes", type=int, default=2, help="that share the work; the result is the same"
    )
    arguments = parser.parse_args()
    describe_demonstration(arguments.checkpoint, processes=arguments.processes)


if __name__ == "__main__":
    main()
