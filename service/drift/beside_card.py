"""Without a reference: how many scans lie outside of what a model's card says of its training subjects."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from service.drift.outcomes import described_share
from service.drift.scans import ALL_SITES, SeenScan
from service.drift.variables import OF_THE_SCAN, REPETITION_TIME
from service.population import Place, compare_figure


def outside_card(scans: Iterable[SeenScan], card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Count by week, site and figure the scans beyond the 1st and the 99th percentile of the card.

    Returns
    -------
    list of dict
        ``week``, ``site``, ``variable``, and ``outside``: a share with its interval. Two in a hundred are to
        be expected. Empty where the card has no figures.
    """
    figures = (card.get("population") or {}).get("figures") or {}
    counts: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for scan in scans:
        for name in (*OF_THE_SCAN, REPETITION_TIME):
            value = scan.figures.get(name)
            if value is None:
                continue
            place = compare_figure(figures, name, value).place
            if place != Place.UNKNOWN:
                for site in (ALL_SITES, scan.site):
                    counts[scan.week, site, name].append(place == Place.OUTSIDE)
    return [
        {"week": week, "site": site, "variable": name, "outside": described_share(sum(places), len(places))}
        for (week, site, name), places in sorted(counts.items())
    ]
