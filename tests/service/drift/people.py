"""Made-up scans: values of a population, or of one that was measured otherwise."""

import numpy as np

from service.drift.scans import Scan, SeenScan


def draw(
    generator: np.random.Generator, n: int, *, noise: float = 0.0, tr_s: float = 2.0, apart: float = 0.0
) -> list[Scan]:
    return [
        Scan(
            figures={
                "n_frames": 172.0,
                "duration_s": 172.0 * tr_s,
                "tr_s": tr_s,
                "dvars_mean": float(generator.normal(1.0 + noise, 0.05)),
                "dvars_max": float(generator.gamma(4.0, 0.5)),
                "spike_share": float(generator.beta(2, 40)),
                "template_coverage": float(generator.beta(60, 2)),
            },
            embedding=(generator.normal(size=16) * np.arange(1, 17) + apart).tolist(),
            probability=float(generator.beta(3, 3)),
            decision=str(generator.choice(["adhd", "control", "uncertain"])),
        )
        for _ in range(n)
    ]


def seen(scans: list[Scan], *, week: str = "2026-W48", site: str = "nyu") -> list[SeenScan]:
    return [SeenScan(**{**vars(scan), "week": week, "site": site}) for scan in scans]
