"""What a report says of one run: every figure with its interval, before anything is drawn or worded."""

from dataclasses import dataclass

from training.evidence.baselines import CONNECTIVITY
from training.evidence.comparison import PhenotypeGain
from training.evidence.conformal import Coverage
from training.evidence.estimates import Estimate
from training.evidence.groups import GroupEvaluation
from training.evidence.metrics import Evaluation
from training.evidence.report.reading import RunData
from training.evidence.sites import SiteVerdict

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
_PHENOTYPE_OF_A_NEW_SITE = "age, sex, handedness and IQ; no model knows the site"


@dataclass(frozen=True, kw_only=True)
class BaselineReport:
    """A baseline on the run's own folds, beside the network.

    Attributes
    ----------
    name : str
        Of `BASELINE_WORDS`.
    evaluation : Evaluation
        At a threshold of 0.5.
    difference : Estimate
        AUC of the network minus that of the baseline, on the same drawn subjects.
    """

    name: str
    evaluation: Evaluation
    difference: Estimate

    @property
    def sees_brains(self) -> bool:
        """Whether it looks at what the network looks at."""
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
    def network(self) -> str:
        """Letter of the residual network."""
        return str(self.data.record.settings.get("network", "?"))

    @property
    def rnn(self) -> str:
        """Name of the recurrent network as people write it."""
        return f"Bi-{str(self.data.record.settings.get('rnn', '?')).upper()}"

    @property
    def title(self) -> str:
        """What the run is called on the page."""
        return f"{self.network} + {self.rnn}"

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
    def people(self) -> str:
        """What a subject is called."""
        return self.data.record.people
