"""What somebody typed into the form for a training, and what is wrong with it, each beside its field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from service.training_request import MAX_RUNS, NotTogetherError, TrainingRequest
from service.web.language import _, marked

# The texts of the form, by what they are read as.
_WHOLE = ("folds", "epochs", "patience", "width", "batch_size", "windows_per_subject")
_NUMBERS = ("learning_rate",)
_CHOICES = ("cohort", "selection", "protocol", "split", "device", "encoder")
_TICK = "reviewed_scans"
# As the form takes them.
_LONGEST = 255
# What one part of the form cannot have beside another: the words of each kind of problem.
_TOGETHER = {
    "without_effect": marked("%(name)s has no effect with %(cause)s: leave it at %(default)s."),
    "too_many_runs": marked("That would be %(found)s runs; at most %(limit)s can be asked for at once."),
    "micro_batch": marked("At most %(limit)s windows at once, as many as the batch has; found %(found)s."),
    "inner_parts": marked("The inner parts leave less than half of a fold to train on."),
}


@dataclass(frozen=True)
class Asked:
    """A form as it was sent.

    Attributes
    ----------
    texts : dict of str to str
        What stands in its fields, as typed.
    networks, rnns : sequence of str
        What is ticked.
    request : TrainingRequest or None
        None where something is wrong.
    problems : dict of str to str
        By field; what is about several stands under ``form``.
    """

    texts: Mapping[str, str]
    networks: Sequence[str]
    rnns: Sequence[str]
    request: TrainingRequest | None = None
    problems: Mapping[str, str] = field(default_factory=dict)


def blank_form(cohort: str = "") -> Asked:
    """Return the form with the defaults in it."""
    fields = TrainingRequest.model_fields
    texts = {name: _typed(fields[name].default) for name in (*_WHOLE, *_NUMBERS, *_CHOICES)}
    return Asked(texts | {"cohort": cohort, "seeds": "0", _TICK: ""}, networks=["C"], rnns=["lstm"])


def form_of_address(query: Mapping[str, str], *, networks: Sequence[str], rnns: Sequence[str]) -> Asked:
    """Return the form with what its own address says stood in it; nothing of that is checked or asked for.

    Parameters
    ----------
    query : mapping of str to str
        By field. One of the whole form has ``seeds``, be it empty; another one may name the cohort alone.
    networks, rnns : sequence of str
        What was ticked.
    """
    blank = blank_form(_fitting(query.get("cohort", "")))
    if "seeds" not in query:
        return blank
    texts = {name: _fitting(query.get(name, "")) for name in blank.texts}
    return Asked(texts, networks=networks, rnns=rnns)


def _fitting(text: str) -> str:
    return text if len(text) <= _LONGEST and text.isprintable() else ""


def read_form(texts: Mapping[str, str], *, networks: Sequence[str], rnns: Sequence[str]) -> Asked:
    """Read a form; a number that is emptied is asked for, and not taken as the default without a word.

    Parameters
    ----------
    texts : mapping of str to str
        By field.
    networks, rnns : sequence of str
    """
    given: dict[str, Any] = {name: texts[name] for name in _CHOICES if texts.get(name, "").strip()}
    problems: dict[str, str] = {}
    for name, read in ((name, int) for name in _WHOLE):
        _take(given, problems, name, texts.get(name, ""), read)
    for name in _NUMBERS:
        _take(given, problems, name, texts.get(name, ""), float)
    try:
        seeds = [int(seed) for seed in texts.get("seeds", "").replace(",", " ").split()]
    except ValueError:
        problems["seeds"] = _expected("seeds")
    else:
        given["seeds"] = seeds
    given |= {"networks": list(networks), "rnns": list(rnns)}
    given[_TICK] = bool(texts.get(_TICK))
    if given.get("split") == "leave_site_out":
        # There is a fold for each institution, whatever stands in a field that cannot be empty.
        given.pop("folds", None)
        problems.pop("folds", None)
    request = None
    try:
        request = TrainingRequest.model_validate({"cohort": "", **given})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            name = str(problem["loc"][0]) if problem["loc"] else "form"
            problems.setdefault(name, _said(name, problem))
    return Asked(
        {name: texts.get(name, "") for name in (*_WHOLE, *_NUMBERS, *_CHOICES, "seeds", _TICK)},
        networks=networks,
        rnns=rnns,
        request=None if problems else request,
        problems=problems,
    )


def _take(
    given: dict[str, Any], problems: dict[str, str], name: str, text: str, read: type[int | float]
) -> None:
    try:
        given[name] = read(text)
    except ValueError:
        problems[name] = _expected(name)


def _said(name: str, problem: Any) -> str:
    rule = problem.get("ctx", {}).get("error")
    if not isinstance(rule, NotTogetherError):
        return _expected(name)
    return _(_TOGETHER[rule.kind], **rule.values)


def _expected(name: str) -> str:
    """Say what may stand in a field."""
    match name:
        case "cohort":
            return _("Choose a cohort.")
        case "networks" | "rnns":
            return _("Choose at least one.")
        case "seeds":
            return _(
                "Whole numbers from 0 to %(high)s, each once, at most %(most)s of them.",
                high=2**32 - 1,
                most=MAX_RUNS,
            )
        case "learning_rate":
            return _("A number above 0, at most 1.")
        case _ if name in _WHOLE:
            low, high = _bounds(name)
            return _("A whole number from %(low)s to %(high)s.", low=low, high=high)
        case _:
            return _("Choose one of those that are offered.")


def _bounds(name: str) -> tuple[int, int]:
    """Give the least and the largest whole number that a field takes."""
    bounds = TrainingRequest.model_fields[name].metadata
    low = next(bound.ge for bound in bounds if hasattr(bound, "ge"))
    high = next(bound.le for bound in bounds if hasattr(bound, "le"))
    return int(low), int(high)


def _typed(value: object) -> str:
    return "" if value is None or not isinstance(value, str | int | float) else str(value)
