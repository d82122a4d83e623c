"""Simulated people as a source: drawn in memory by the workers that prepare them, without a file."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import JsonValue

from training.cohort.phenotypes.table import PhenotypeTable, read_phenotypes
from training.cohort.sources.source import BoldEntry, OpenedScan, ScanEntry, SourceFinding
from training.simulation.phenotypes import TABLE_NAME, phenotype_table
from training.simulation.simulator import (
    DEFAULT_EFFECT_SIZE,
    require_settings,
    simulate_subject,
    subject_profile,
)


@dataclass(frozen=True, kw_only=True)
class SimulatedEntry(BoldEntry):
    """One person who does not exist; every setting that the scan depends on."""

    index: int
    seed: int
    effect_size: float
    site_effect: float

    def stamp(self) -> str:
        """Name the settings: the same ones draw the same scan."""
        settings = {
            "index": self.index,
            "seed": self.seed,
            "effect_size": self.effect_size,
            "site_effect": self.site_effect,
        }
        return f"simulated {json.dumps(settings)}"

    @contextmanager
    def open_source(self, workspace: Path) -> Iterator[OpenedScan]:  # noqa: ARG002
        """Draw the scan; what stands for its file's digest is that of its settings."""
        scan = simulate_subject(
            self.index, seed=self.seed, effect_size=self.effect_size, site_effect=self.site_effect
        )
        yield OpenedScan(scan, hashlib.sha256(self.stamp().encode()).hexdigest())


class SimulatedSource:
    """A cohort as `training.simulation.simulator.simulate_cohort` would write it, without writing it.

    Parameters
    ----------
    n_subjects : int
        1 to 9999.
    seed : int
    effect_size, site_effect : float
        As for `simulate_subject`.

    Raises
    ------
    SimulationSettingError
        If a number has no meaning.
    """

    kind = "simulated"
    simulated = True
    findings: Sequence[SourceFinding] = ()

    def __init__(
        self,
        *,
        n_subjects: int,
        seed: int,
        effect_size: float = DEFAULT_EFFECT_SIZE,
        site_effect: float = 0.0,
    ) -> None:
        require_settings(n_subjects=n_subjects, effect_size=effect_size, site_effect=site_effect)
        self.effect_size = effect_size
        self.site_effect = site_effect
        self.profiles = [subject_profile(index, seed=seed) for index in range(n_subjects)]
        self.seed = seed

    @property
    def name(self) -> str:
        """Say that it is simulated, and by which seed."""
        return f"simulated, seed {self.seed}"

    def entries(self) -> list[ScanEntry]:
        """List one scan a person."""
        return [
            SimulatedEntry(
                subject_id=profile.scan_dir_id,
                session="1",
                run="1",
                variant="simulated",
                source_name=f"simulated subject {profile.index}",
                index=profile.index,
                seed=self.seed,
                effect_size=self.effect_size,
                site_effect=self.site_effect,
            )
            for profile in self.profiles
        ]

    def provenance(self) -> dict[str, JsonValue]:
        """Give the simulator's settings."""
        return {
            "n_subjects": len(self.profiles),
            "seed": self.seed,
            "effect_size": self.effect_size,
            "site_effect": self.site_effect,
        }

    def phenotypes(self) -> PhenotypeTable:
        """Read the people's table, as if it had been written."""
        with TemporaryDirectory(prefix="restnet-") as folder:
            path = Path(folder) / TABLE_NAME
            path.write_text(phenotype_table(profile.phenotype for profile in self.profiles))
            return read_phenotypes(path)
