"""What a report says of one run: every figure with its interval, before anything is drawn or worded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from model.methods.catalogue import METHODS, Method
from training.evidence.baselines import CONNECTIVITY
from training.evidence.comparison import PhenotypeGain
from training.evidence.conformal import Coverage
from training.evidence.estimates import Difference, Estimate
from training.evidence.groups import GroupEvaluation
from training.evidence.metrics import Evaluation
from training.evidence.report.reading import RunData
from training.evidence.sites import SiteVerdict
from training.obeyed import obeyed_by_other

# What the card calls a case, by what a report does.
CLASS_NAMES = {"control": "control", "adhd": "case"}
METRICS = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc")

BASELINE_WORDS = {
    "majority": "calling everybody the larger class",
    "site": "the site alone",
    "phenotype": "site, age, sex, handedness and IQ",
    "motion": "repetition time, length and motion of the scan",
    CONNECTIVITY: "ridge regression on how regions of the same scans move together",
}
# The method that the baseline on connectivity is, trained as a run of its own.
RIDGE = "ridge-connectivity"

Noun = Literal["network", "method"]

_PHENOTYPE_OF_A_NEW_SITE = "age, sex, handedness and IQ; no model knows the site"


@dataclass(frozen=True, kw_only=True)
class BaselineReport:
    """A baseline on the run's own folds, beside what was trained.

    Attributes
    ----------
    name : str
        Of `BASELINE_WORDS`.
    evaluation : Evaluation
        At a threshold of 0.5.
    difference : Difference
        AUC of the run minus that of the baseline.
    """

    name: str
    evaluation: Evaluation
    difference: Difference

    @property
    def sees_brains(self) -> bool:
        """Whether it looks at the scans that the run looks at."""
        return self.name == CONNECTIVITY


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A run and its figures.

    Attributes
    ----------
    data : RunData
    overall : Evaluation
        Of all reported subjects, each decided by the threshold of its own fold.
    baselines : tuple of BaselineReport
        In the order of `BASELINE_WORDS`; that on connectivity is left out where the run keeps none.
    folds, sites, sexes, age_bands : tuple of GroupEvaluation
    within_fold_auc : Estimate or None
        Over pairs of one fold, so that no two models are compared; None where no fold has both classes.
    coverage : Coverage or None
        None where the protocol calibrates no conformal sets.
    coverage_level : float or None
        As promised.
    site : SiteVerdict
    gain : PhenotypeGain
    """

    data: RunData
    overall: Evaluation
    baselines: tuple[BaselineReport, ...]
    folds: tuple[GroupEvaluation, ...]
    sites: tuple[GroupEvaluation, ...]
    sexes: tuple[GroupEvaluation, ...]
    age_bands: tuple[GroupEvaluation, ...]
    within_fold_auc: Estimate | None
    coverage: Coverage | None
    coverage_level: float | None
    site: SiteVerdict
    gain: PhenotypeGain

    @property
    def method(self) -> Method:
        """What was trained, as the catalogue has it."""
        return METHODS[self.data.record.method]

    @property
    def is_network(self) -> bool:
        """Whether it is one of the eight networks."""
        return self.method.name == "network"

    @property
    def noun(self) -> Noun:
        """What sentences call it."""
        return "network" if self.is_network else "method"

    @property
    def short_name(self) -> str:
        """What figures and rows call it: "network", or the method's own name."""
        return "network" if self.is_network else self.method.name

    @property
    def network(self) -> str | None:
        """Letter of the residual network, of a run of one."""
        return str(self.data.record.settings.get("network", "?")) if self.is_network else None

    @property
    def rnn(self) -> str | None:
        """Name of the recurrent network as people write it, of a run of one."""
        if not self.is_network:
            return None
        return f"Bi-{str(self.data.record.settings.get('rnn', '?')).upper()}"

    @property
    def title(self) -> str:
        """What the run is called on the page."""
        return f"{self.network} + {self.rnn}" if self.is_network else self.method.title

    @property
    def regions(self) -> str | None:
        """Which regions it reads and how many, of a method that reads regions or learns its own."""
        if self.method.n_learned_regions:
            return f"learned ({self.method.n_learned_regions})"
        regions = self.data.record.regions
        return None if regions is None else f"{regions.name} ({regions.n_regions})"

    @property
    def settings_obeyed(self) -> dict[str, JsonValue]:
        """The settings that what was trained obeys; a run's record has those of the networks besides."""
        settings = self.data.record.settings
        if self.is_network:
            return settings
        return {name: value for name, value in settings.items() if name in obeyed_by_other(self.method)}

    @property
    def training_seconds(self) -> float:
        """What its folds took together, one after the other, as far as they are finished."""
        return sum(outcome.epochs_run * outcome.seconds_per_epoch for outcome in self.data.outcomes)

    @property
    def inner_people(self) -> tuple[str, str, str]:
        """People that a fold's model was fitted to, watched by and calibrated on: the fewest to the most."""
        outcomes = self.data.outcomes
        counts = (
            [one.n_training + one.n_added for one in outcomes],
            [one.n_stopping for one in outcomes],
            [one.n_calibration for one in outcomes],
        )
        fitted, watched, calibrated = (_from_to(count) for count in counts)
        return fitted, watched, calibrated

    @property
    def devices(self) -> tuple[str, ...]:
        """What the folds were trained on, each once."""
        named = (" ".join(filter(None, [one.device, one.device_name])) for one in self.data.outcomes)
        return tuple(dict.fromkeys(named))

    @property
    def peak_memory_bytes(self) -> int:
        """The most that any of its folds took."""
        return max(outcome.peak_memory_bytes for outcome in self.data.outcomes)

    @property
    def n(self) -> int:
        """Number of subjects reported."""
        return len(self.data.predictions)

    @property
    def n_cases(self) -> int:
        """Number of them with the condition."""
        return self.overall.tp + self.overall.fn

    @property
    def leave_site_out(self) -> bool:
        """Whether each fold is a site that training has not seen."""
        return self.data.record.split == "leave_site_out"

    @property
    def folds_are_sites(self) -> bool:
        """Whether the folds' figures are those of the sites; an institution may have several of these."""
        return self.leave_site_out and {fold.name for fold in self.folds} == {one.name for one in self.sites}

    def words_for(self, baseline: str) -> str:
        """Say what a baseline stands on; the phenotype leaves out the site where that is a new one."""
        if self.leave_site_out and baseline == "phenotype":
            return _PHENOTYPE_OF_A_NEW_SITE
        return BASELINE_WORDS[baseline]

    @property
    def blind_baselines(self) -> tuple[BaselineReport, ...]:
        """The baselines that never saw a brain."""
        return tuple(baseline for baseline in self.baselines if not baseline.sees_brains)

    @property
    def connectivity(self) -> BaselineReport | None:
        """The baseline that sees the same scans, where it was measured."""
        return next((baseline for baseline in self.baselines if baseline.sees_brains), None)

    @property
    def yardstick(self) -> BaselineReport | None:
        """The baseline that sees the same scans, unless that is what was trained."""
        return None if self.method.name == RIDGE else self.connectivity

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What its AUC is more than those of the baselines, and what imaging adds, where that is known."""
        gain = () if self.gain.gain is None else (self.gain.gain,)
        return (*(baseline.difference for baseline in self.baselines), *gain)

    @property
    def people(self) -> str:
        """What a subject is called."""
        return self.data.record.people


def _from_to(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
