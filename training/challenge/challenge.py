"""From two checkpoints and a locked evaluation set to the figures of both and the verdict of the gate."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.backends import Backend
from model.card import ModelCard, require_served
from model.checkpoint import Checkpoint, load_checkpoint
from model.errors import (
    BackendParityError,
    BackendUnavailableError,
    CheckpointCorruptError,
    CheckpointDigestError,
    CheckpointError,
    CheckpointFormatError,
    CheckpointMethodError,
    CheckpointMismatchError,
)
from model.predictor import Device
from training.added_people import added_index
from training.challenge.answers import Answers, ask
from training.challenge.leaks import Overlap, find_overlap, overlap_by_fingerprint
from training.challenge.people import EvaluationSet
from training.challenge.rules import Margins, Rule, backends_agree, failed, judge
from training.challenge.side_by_side import SideBySide, set_side_by_side
from training.cohort.store.cohort_store import CohortStore
from training.run_files import read_rows
from training.runs import SUBJECTS_FILE, RunSubject, read_run

ReportStage = Callable[[str, float], None]


@dataclass(frozen=True)
class Origin:
    """Where a challenger comes from: its run and the cohort that was trained on.

    Attributes
    ----------
    run, cohort : Path
        Folders.
    """

    run: Path
    cohort: Path


@dataclass(frozen=True)
class Challenge:
    """What became of a challenger.

    Attributes
    ----------
    evaluation : dict
        Who the people are, without naming anybody.
    rules : tuple of Rule
        All of them, or the first ones where the challenger could not be measured.
    together : SideBySide or None
        None where it could not be measured.
    """

    evaluation: dict[str, Any]
    rules: tuple[Rule, ...]
    together: SideBySide | None

    @property
    def passed(self) -> bool:
        """Whether it may take the champion's place as it is."""
        return self.together is not None and not failed(self.rules)

    def to_json(self) -> dict[str, Any]:
        """Give everything."""
        return {
            "passed": self.passed,
            "evaluation_set": self.evaluation,
            "rules": [rule.to_json() for rule in self.rules],
            "together": None if self.together is None else self.together.to_json(),
        }


def challenge(
    champion: Path,
    challenger: Path,
    evaluation: EvaluationSet,
    *,
    origin: Origin | None,
    margins: Margins | None = None,
    challenger_sha256: str | None = None,
    seed: int = 0,
    device: Device = "auto",
    backend: Backend = "auto",
    progress: ReportStage | None = None,
) -> Challenge:
    """Set a challenger beside the champion and judge it.

    Parameters
    ----------
    champion, challenger : Path
        Checkpoint files.
    evaluation : EvaluationSet
    origin : Origin or None
        Of the challenger; without it, or with another's, nobody can say whom it was trained on, unless its
        card names these very people; either way the gate does not open.
    margins : Margins, optional
    challenger_sha256 : str, optional
        What its file was when it was registered.
    seed : int
        Of the bootstrap.
    device : "auto", "cpu" or "cuda"
    backend : "auto", "openvino" or "torch"
        What both are computed by, as where they serve.
    progress : callable, optional
        Called as ``progress(stage, share)`` with the stages "champion" and "challenger" and the share of the
        whole work; what it raises stops it.

    Returns
    -------
    Challenge
        Also of a challenger that is damaged, prepares scans in another way or does not run on the backend:
        the rules then say so.

    Raises
    ------
    ModelError
        If the champion itself does not answer, or the challenger is of a method that cannot be served.
    CohortError
        If the origin's folders do not read.
    """
    said = evaluation.to_json()
    opened = _open(challenger, evaluation, sha256=challenger_sha256)
    if isinstance(opened, Rule):
        return Challenge(evaluation=said, rules=(opened,), together=None)
    old = load_checkpoint(champion)

    def answers_of(checkpoint: Checkpoint, stage: str, *, begun: float) -> Answers:
        report = None if progress is None else _of_stage(progress, stage, begun=begun)
        return ask(checkpoint, evaluation, device=device, backend=backend, progress=report)

    of_champion = answers_of(old, "champion", begun=0.0)
    try:
        of_challenger = answers_of(opened, "challenger", begun=0.5)
    except (BackendParityError, BackendUnavailableError) as error:
        # The champion has just answered here: it is the challenger's networks that the backend gets wrong.
        return Challenge(evaluation=said, rules=(backends_agree(str(error), passed=False),), together=None)
    together = set_side_by_side(
        (of_champion, old.card),
        (of_challenger, opened.card),
        labels=evaluation.labels,
        sites=evaluation.sites,
        seed=seed,
    )
    overlap = None if origin is None else _overlap(evaluation, origin, opened.card)
    if overlap is None:
        overlap = overlap_by_fingerprint(
            evaluation.store,
            [person.subject_id for person in evaluation.people],
            trained_on=opened.card.cohort_fingerprint,
        )
    rules = judge(together, opened.card, overlap=overlap, margins=margins)
    return Challenge(evaluation=said, rules=rules, together=together)


def _open(path: Path, evaluation: EvaluationSet, *, sha256: str | None) -> Checkpoint | Rule:
    """Load the challenger, or say why it cannot even be measured."""
    try:
        checkpoint = load_checkpoint(path, expected_sha256=sha256)
    except CheckpointError as error:
        expected = "the intact file that was registered"
        return Rule("intact", passed=False, expected=expected, found=_wrong_with(error), overridable=False)
    require_served(checkpoint.card)
    # Both in full: a checkpoint whose card leaves something out does not load.
    wanted, there = checkpoint.card.preprocessing, evaluation.store.spec.to_json()
    other = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
    if other:
        return Rule(
            "same_preprocessing",
            passed=False,
            expected=_fields(there, other),
            found=_fields(wanted, other),
            overridable=False,
        )
    return checkpoint


def _wrong_with(error: CheckpointError) -> str:
    """Say what was found instead of an intact file, as the end of a sentence that has begun."""
    match error:
        case CheckpointMismatchError():
            return f"{error.found} where there should be {error.expected}"
        case CheckpointDigestError():
            return f"one with sha256 {error.found}"
        case CheckpointCorruptError():
            return error.found
        case CheckpointFormatError():
            return f"one of format version {error.found}"
        case CheckpointMethodError():
            return f"one of the method {error.found}, which this version does not know"
        case _:
            return "no file that can be read"


def _fields(spec: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name} {spec.get(name, 'not given')}" for name in names)


def _overlap(evaluation: EvaluationSet, origin: Origin, card: ModelCard) -> Overlap | None:
    """Look for the same people; None where the origin is not the challenger's, by the card's fingerprint."""
    record, store = read_run(origin.run), CohortStore.open(origin.cohort)
    trained_on = [person.subject_id for person in read_rows(origin.run, SUBJECTS_FILE, RunSubject)]
    in_the_cohort = store.fingerprint_of(trained_on) == record.cohort_fingerprint
    if not in_the_cohort or record.trained_fingerprint != card.cohort_fingerprint:
        return None
    added = added_index(origin.run, record)
    return find_overlap(evaluation, trained_on=trained_on, training_store=store, added=added)


def _of_stage(progress: ReportStage, stage: str, *, begun: float) -> Callable[[float], None]:
    return lambda share: progress(stage, begun + share / 2)
