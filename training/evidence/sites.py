"""Whether a result is about people or about where they were scanned."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from imaging.words import counted
from training.evidence import bootstrap
from training.evidence.comparison import auc_estimate
from training.evidence.estimates import Estimate, area_estimate
from training.evidence.metrics import N_DRAWS
from training.evidence.shapes import Labels, Scores

LEAST_COMPARABLE = 10

SiteFinding = Literal[
    "one_site", "chance", "inseparable", "site_explains", "not_shown_within_sites", "beyond_site"
]


@dataclass(frozen=True)
class SiteVerdict:
    """What site has to do with a result.

    Attributes
    ----------
    finding : str
        "one_site": there is one site only. "chance": nothing above chance that site could explain.
        "inseparable": fewer than ten subjects of a class are at sites that have both. "site_explains": site
        predicts the diagnosis, and within sites the scores are at chance. "not_shown_within_sites": within
        sites it is not shown to be above chance, though site predicts nothing either. "beyond_site": above
        chance within sites.
    sentence : str
        The finding with its figures, in words.
    auc : Estimate
        Of what was trained, over all pairs.
    within_site : Estimate or None
        Over pairs from one site; None where no site has both classes.
    site_alone : Estimate
        Of the baseline that knows the site only.
    """

    finding: SiteFinding
    sentence: str
    auc: Estimate
    within_site: Estimate | None
    site_alone: Estimate

    @property
    def may_explain(self) -> bool:
        """Whether the result may be about sites alone: it is, or these people cannot tell."""
        return self.finding in {"inseparable", "site_explains"}


def within_site_auc(
    labels: Labels,
    scores: Scores,
    sites: Sequence[str],
    *,
    seed: int,
    n_draws: int = N_DRAWS,
) -> Estimate | None:
    """Give the share of pairs in the right order among the pairs of a case and a control of one site.

    A classifier that knows the site and nothing else is at 0.5 here, whatever its AUC over all pairs. Any
    other grouping may take the place of sites, folds for example.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 case.
    scores : (S,) float64
    sites : sequence of str
        One a subject.
    seed : int
    n_draws : int
        Of the bootstrap, within each class but across sites: most of the sites of a small cohort have too few
        subjects of a class to draw from. A draw without any pair counts as 0.5.

    Returns
    -------
    Estimate or None
        None where no site has both classes. Large sites weigh more: they have more pairs.
    """
    _, place = np.unique(np.asarray(sites), return_inverse=True)
    drawn = bootstrap.draw_counts(labels, n_draws=n_draws, seed=seed)
    sample = bootstrap.once_each(len(labels))
    right, pairs, all_right, all_pairs = 0.0, 0.0, np.zeros(n_draws), np.zeros(n_draws)
    separate = 0
    for site in range(int(place.max()) + 1):
        here = place == site
        once, again = (
            bootstrap.ordered_pairs(counts[:, here], labels[here], scores[here]) for counts in (sample, drawn)
        )
        right, pairs = right + float(once[0][0]), pairs + float(once[1][0])
        all_right, all_pairs = all_right + again[0], all_pairs + again[1]
        separate += min(int((labels[here] == label).sum()) for label in (0, 1))
    if not pairs:
        return None
    shares = np.divide(all_right, all_pairs, out=np.full(n_draws, 0.5), where=all_pairs > 0)
    return area_estimate(right / pairs, shares, n_separate_pairs=separate)


def site_verdict(
    labels: Labels,
    scores: Scores,
    sites: Sequence[str],
    site_scores: Scores,
    *,
    noun: str = "network",
    seed: int,
    n_draws: int = N_DRAWS,
) -> SiteVerdict:
    """Say in words whether site explains a result.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 case; both present.
    scores : (S,) float64
        Of what was trained, out of fold; anything that rises with being a case.
    sites : sequence of str
        One a subject.
    site_scores : (S,) float64
        Of the baseline "site" on the same folds.
    noun : str
        What the sentence calls whatever gave the scores.
    seed : int
    n_draws : int

    Returns
    -------
    SiteVerdict

    Raises
    ------
    ClassMissingError
        If a class is missing.
    """
    auc = auc_estimate(labels, scores, seed=seed, n_draws=n_draws)
    site_alone = auc_estimate(labels, site_scores, seed=seed, n_draws=n_draws)
    within = within_site_auc(labels, scores, sites, seed=seed, n_draws=n_draws)
    comparable = _comparable(labels, sites)
    finding = _finding(auc, within, site_alone, n_sites=len(set(sites)), comparable=comparable)
    return SiteVerdict(
        finding=finding,
        sentence=_sentence(finding, auc, within, site_alone, comparable=comparable, noun=noun),
        auc=auc,
        within_site=within,
        site_alone=site_alone,
    )


def _comparable(labels: Labels, sites: Sequence[str]) -> tuple[int, int]:
    """Count the cases and the controls at sites that have both."""
    place = np.asarray(sites)
    mixed = set(place[labels == 1]) & set(place[labels == 0])
    here = labels[np.isin(place, list(mixed))]
    return int((here == 1).sum()), int((here == 0).sum())


def _finding(
    auc: Estimate,
    within: Estimate | None,
    site_alone: Estimate,
    *,
    n_sites: int,
    comparable: tuple[int, int],
) -> SiteFinding:
    if n_sites == 1:
        return "one_site"
    if auc.low <= 0.5:
        return "chance"
    if within is None or min(comparable) < LEAST_COMPARABLE:
        return "inseparable"
    if within.low > 0.5:
        return "beyond_site"
    return "site_explains" if site_alone.low > 0.5 else "not_shown_within_sites"


def _sentence(
    finding: SiteFinding,
    auc: Estimate,
    within: Estimate | None,
    site_alone: Estimate,
    *,
    comparable: tuple[int, int],
    noun: str,
) -> str:
    cases, controls = comparable
    overall, alone = f"AUC {_words(auc)}", f"AUC {_words(site_alone)}"
    inside = "" if within is None else f"AUC {_words(within)}"
    as_good = "; knowing the site alone does as well over all pairs" if site_alone.value >= auc.value else ""
    sentences: dict[SiteFinding, str] = {
        "one_site": f"All subjects come from one site, so site cannot explain the {noun}'s {overall}.",
        "chance": (
            f"The {noun} is not shown to be above chance ({overall}), so there is nothing for site to "
            "explain."
        ),
        "inseparable": (
            f"Sites that have both classes hold {counted(cases, 'case')} and {counted(controls, 'control')}, "
            f"too few to compare within sites: the {noun}'s {overall} may be about sites alone, and these "
            "data cannot tell."
        ),
        "site_explains": (
            f"Site explains the result: the site alone predicts the diagnosis ({alone}), and among subjects "
            f"of one site the {noun} is at chance ({inside}), whatever its {overall} over all pairs "
            "suggests."
        ),
        "not_shown_within_sites": (
            f"Among subjects of one site the {noun} is not shown to be above chance ({inside}). The site "
            f"alone predicts nothing either ({alone}), so the {overall} over all pairs may be chance or "
            "something else that differs between sites."
        ),
        "beyond_site": (
            f"Site alone does not explain the result: among subjects of one site the {noun} has {inside}, "
            f"over all pairs {overall}, and the site alone {alone}{as_good}."
        ),
    }
    return sentences[finding]


def _words(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
