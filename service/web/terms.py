"""Words for what the service and its cards name by a value, to be said in the language of the page."""

from collections.abc import Mapping

from service.web.language import _, marked

ROLES = {
    "clinician": marked("clinician"),
    "integrator": marked("integrator"),
    "researcher": marked("researcher"),
    "administrator": marked("administrator"),
}

SEXES = {"female": marked("female"), "male": marked("male"), "other": marked("other")}

INTENDED_USES = {"demonstration": marked("demonstration"), "research": marked("research")}

# What the demonstration's card says of itself. Other cards say what their makers wrote, in any language.
DEMONSTRATION = (
    marked("RestNet demonstration"),
    marked("400 simulated subjects (seed 20110, effect size 0.5); no person's scan"),
    marked("400 simulated subjects, each by the one model that was trained without their fold"),
)

# The networks and regions of Dosenbach et al. 2010 (model/assets/dosenbach_2010.tsv); abbreviations stay.
PUBLISHED_POINTS = (
    marked("cerebellum"),
    marked("cingulo-opercular"),
    marked("default"),
    marked("fronto-parietal"),
    marked("sensorimotor"),
    marked("angular gyrus"),
    marked("ant insula"),
    marked("basal ganglia"),
    marked("frontal"),
    marked("fusiform"),
    marked("inf cerebellum"),
    marked("inf temporal"),
    marked("lat cerebellum"),
    marked("med cerebellum"),
    marked("mid insula"),
    marked("occipital"),
    marked("parietal"),
    marked("post cingulate"),
    marked("post insula"),
    marked("post occipital"),
    marked("post parietal"),
    marked("precentral gyrus"),
    marked("precuneus"),
    marked("sup frontal"),
    marked("sup parietal"),
    marked("sup temporal"),
    marked("temporal"),
    marked("thalamus"),
    marked("vent aPFC"),
)


def sex(name: str) -> str:
    """Say a sex; one that no scan of ours can have is what a card's maker wrote."""
    return _(SEXES.get(name, name))


def sexes(numbers: Mapping[str, int]) -> list[str]:
    """Say how many there are of each sex."""
    return [_("%(number)s %(sex)s", number=number, sex=sex(name)) for name, number in numbers.items()]


def browser(name: str | None) -> str:
    """Say which browser a login is used in, by the English that is kept of it."""
    if name is None:
        return _("Unknown browser")
    program, on, system = name.partition(" on ")
    return _("%(program)s on %(system)s", program=program, system=system) if on else name
