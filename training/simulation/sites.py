"""The ADHD-200 sites that a simulated cohort imitates: repetition times, lengths and class counts.

Facts of the public training release (776 subjects), from its phenotype table and the ADHD-200 pages.
Brown is left out: all its diagnoses are pending.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """One scanner site.

    Attributes
    ----------
    name : str
        Folder name.
    code : int
        In the table's column ``Site``.
    tr_s : float
    frames : (shortest, longest)
        After the first four are dropped.
    n_control, n_adhd : int
        In the training release; a simulated cohort keeps the proportions.
    mean_age_years, sd_age_years : float
    short_ids : bool
        Its ScanDir IDs have five digits, zero-padded to seven in file names only.
    """

    name: str
    code: int
    tr_s: float
    frames: tuple[int, int]
    n_control: int
    n_adhd: int
    mean_age_years: float
    sd_age_years: float
    short_ids: bool = False


SITES = (
    Site("Peking", 1, 2.0, (228, 232), 116, 78, 11.7, 2.0),
    Site("KKI", 3, 2.5, (116, 124), 61, 22, 10.2, 1.3),
    Site("NeuroIMAGE", 4, 1.96, (257, 257), 23, 25, 17.6, 3.0),
    Site("NYU", 5, 2.0, (172, 172), 99, 123, 11.5, 2.9),
    Site("OHSU", 6, 2.5, (74, 74), 42, 37, 9.1, 1.2),
    Site("Pittsburgh", 7, 1.5, (190, 194), 89, 0, 15.1, 2.9, short_ids=True),
    Site("WashU", 8, 2.5, (127, 131), 61, 0, 11.5, 3.5, short_ids=True),
)


def site_and_label(index: int) -> tuple[Site, int]:
    """Say from which site and class subject `index` of any cohort is.

    Smooth weighted round robin over the cells (site, class): every beginning of the sequence has each cell
    within about one subject of its share, so a cohort of any size has the release's proportions, and a
    subject's place does not depend on how many come after.

    Parameters
    ----------
    index : int
        From 0.

    Returns
    -------
    site : Site
    label : int
        0 control, 1 ADHD.
    """
    cells = [(site, label) for site in SITES for label in (0, 1) if (site.n_control, site.n_adhd)[label] > 0]
    weights = [(site.n_control, site.n_adhd)[label] for site, label in cells]
    credit = [0] * len(cells)
    chosen = 0
    for _ in range(index % sum(weights) + 1):
        credit = [c + w for c, w in zip(credit, weights, strict=True)]
        chosen = max(range(len(cells)), key=credit.__getitem__)
        credit[chosen] -= sum(weights)
    return cells[chosen]
