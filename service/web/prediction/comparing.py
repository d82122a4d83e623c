"""What the page says of a person and a scan beside the training subjects, line by line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.api.population_payloads import ComparisonResponse, PopulationResponse
from service.population import Place
from service.web import terms, wording
from service.web.language import _, listed, marked, ngettext, pgettext
from service.web.language.numbers import per_cent
from service.web.prediction.strip import Strip, strip

OF_THE_PERSON = {
    "age_years": marked("Age"),
    "sex": marked("Sex"),
    "site": marked("Site"),
    "tr_s": marked("Repetition time"),
}
NOT_GIVEN = marked("not given")
NOT_KNOWN = marked("not known of the training scans")
_PLACES = {
    ("inside", ""): marked("Inside"),
    ("outside", ""): marked("Outside"),
    ("outside", "above"): marked("Outside, above"),
    ("outside", "below"): marked("Outside, below"),
}

# Quality lines whose figure is compared in another form: a count hangs on the length of the scan.
_COMPARED_AS = {"spikes": "spike_share"}


@dataclass(frozen=True)
class Line:
    """One value beside those of the training subjects.

    Attributes
    ----------
    name, value : str
    place : "inside", "outside" or ""
        Empty where it is not known.
    said : str
        What there is to say of it, with figures.
    strip : Strip or None
    caption : str
        What the figure is, and what an artefact looks like in it.
    side : "above", "below" or ""
        Of what is outside.
    """

    name: str
    value: str
    place: str
    said: str
    strip: Strip | None
    caption: str
    side: str = ""

    @property
    def placed(self) -> str:
        """Say the place, and on which side of the training subjects it lies."""
        return _(_PLACES[self.place, self.side])


def quality_lines(
    quality: dict[str, Any], compared: PopulationResponse | None, population: Mapping[str, Any] | None
) -> list[Line]:
    """Put every figure of the scan into words, with its place among the training scans where it is known.

    Parameters
    ----------
    quality : dict
        Of the result.
    compared : PopulationResponse or None
    population : mapping or None
        Of the card, as it is compared with.
    """
    by_name = _by_name(compared)
    lines = []
    for figure in wording.quality_lines(quality):
        name = _COMPARED_AS.get(figure.key, figure.key)
        if name in OF_THE_PERSON and by_name:
            continue
        one = by_name.get(name)
        share = "" if one is None or name == figure.key else f" ({wording.figure(name, one.value)})"
        lines.append(
            Line(
                figure.name,
                figure.value + (share if one is not None and one.value is not None else ""),
                _place(one),
                _(NOT_KNOWN) if one is None else _among_scans(one),
                _strip(one, population),
                figure.meaning,
                _side(one),
            )
        )
    return lines


def person_lines(compared: PopulationResponse | None, population: Mapping[str, Any] | None) -> list[Line]:
    """Put age, sex, site and repetition time into words; empty where the card describes nobody."""
    if compared is None or population is None:
        return []
    by_name = _by_name(compared)
    return [
        Line(
            _(label),
            _(NOT_GIVEN) if by_name[name].value is None else _written(by_name[name]),
            _place(by_name[name]),
            _among_subjects(by_name[name], population),
            _strip(by_name[name], population),
            "",
            _side(by_name[name]),
        )
        for name, label in OF_THE_PERSON.items()
    ]


def person_sentence(lines: list[Line]) -> str:
    """Say in one sentence in what the person lies outside the training group."""
    outside = [line.name.lower() for line in lines if line.place == "outside"]
    open_ones = [line.name.lower() for line in lines if not line.place]
    if outside:
        return _("Outside the training group in: %(figures)s.", figures=listed(outside))
    if len(open_ones) == len(lines):
        return _("Nothing that could be compared was given with the scan.")
    if open_ones:
        return _(
            "Inside the training group in all that could be compared. Not compared: %(figures)s.",
            figures=listed(open_ones),
        )
    return _("Inside the training group in all that could be compared.")


def _by_name(compared: PopulationResponse | None) -> dict[str, ComparisonResponse]:
    return {} if compared is None else {one.name: one for one in compared.comparisons}


def _written(one: ComparisonResponse) -> str:
    if one.name == "sex":
        return terms.sex(str(one.value))
    return one.value if isinstance(one.value, str) else wording.figure(one.name, one.value)


def _place(one: ComparisonResponse | None) -> str:
    return "" if one is None or one.place == Place.UNKNOWN else one.place.value


def _side(one: ComparisonResponse | None) -> str:
    # A repetition time between two of theirs is outside and on no side.
    if one is None or one.place != Place.OUTSIDE or one.percentile is None or one.name == "tr_s":
        return ""
    return "above" if one.percentile > 50 else "below"


def _strip(one: ComparisonResponse | None, population: Mapping[str, Any] | None) -> Strip | None:
    if one is None or population is None or one.name in {"sex", "site", "tr_s"}:
        return None
    value = one.value if isinstance(one.value, int | float) else None
    return strip(population["figures"].get(one.name), value)


def _among_scans(one: ComparisonResponse) -> str:
    if one.middle_90 is None:
        return _(NOT_KNOWN)
    low, high = (wording.figure(one.name, edge) for edge in (one.middle_90.low, one.middle_90.high))
    return _("nine in ten: %(theirs)s", theirs=low if low == high else wording.between(low, high))


def _among_subjects(one: ComparisonResponse, population: Mapping[str, Any]) -> str:
    if one.name == "age_years":
        return _of_age(one)
    if one.name == "sex":
        return _of_sex(one, population)
    return _of_site(one, population) if one.name == "site" else _of_repetition_time(one, population)


def _of_age(one: ComparisonResponse) -> str:
    if one.middle_90 is None:
        return _("the training subjects' ages are not known")
    edges = wording.between(f"{one.middle_90.low:g}", wording.figure("age_years", one.middle_90.high))
    return _("nine in ten: %(theirs)s", theirs=edges)


def _of_sex(one: ComparisonResponse, population: Mapping[str, Any]) -> str:
    known = sum(population["sex"].values())
    if not known:
        return _("the training subjects' sex is not known")
    if one.subjects is None:
        return pgettext("between two groups", " and ").join(terms.sexes(population["sex"]))
    return _("%(number)s of %(all)s training subjects", number=one.subjects, all=known)


def _of_site(one: ComparisonResponse, population: Mapping[str, Any]) -> str:
    if one.subjects is not None:
        return _("%(number)s of %(all)s training subjects", number=one.subjects, all=population["subjects"])
    sites = ngettext("%(num)s named site", "%(num)s named sites", len(population["sites"]))
    unnamed = population["subjects_at_unnamed_sites"]
    if not unnamed:
        return _("trained at %(sites)s: %(names)s", sites=sites, names=listed(population["sites"]))
    subjects = ngettext("%(num)s subject", "%(num)s subjects", unnamed)
    return _("trained at %(sites)s, and %(subjects)s at others", sites=sites, subjects=subjects)


def _of_repetition_time(one: ComparisonResponse, population: Mapping[str, Any]) -> str:
    seen = listed(f"{time['tr_s']:g}" for time in population["repetition_times"])
    if not seen:
        return _(NOT_KNOWN)
    if one.subjects is None:
        return _("training scans have %(times)s s", times=seen)
    return _(
        "%(number)s of %(all)s training subjects within %(share)s; theirs are %(times)s s",
        number=one.subjects,
        all=population["subjects"],
        share=per_cent(5),
        times=seen,
    )
