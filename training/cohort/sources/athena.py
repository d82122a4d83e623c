"""ADHD-200 as the Athena pipeline's release is downloaded: site folders, or their tar archives as they are.

::

    <Site>_preproc_filtfix.tar   or   <Site>/
        <ScanDirID>/sfnwmrda<ScanDirID>_session_<s>_rest_<r>.nii.gz      band-passed ("filtered")
        <ScanDirID>/snwmrda<ScanDirID>_session_<s>_rest_<r>.nii.gz       not ("unfiltered")

The prefix letters name the steps from right to left; only these two carry the whole preparation. Ids are
zero-padded to seven digits in names, and nowhere else. How deep the folders lie does not matter.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from training.cohort.paths import real_path
from training.cohort.sources.scan_files import FoundFile, entry_of, find_files
from training.cohort.sources.source import ScanEntry, SourceFinding, require_different
from training.cohort.store.index import Variant
from training.cohort.subjects import plain_id
from training.simulation_marker import MARKER_NAME, is_marked

VariantChoice = Literal["filtered", "unfiltered", "both"]

SCAN_NAME = re.compile(
    r"(?P<steps>sf?nwmrda)(?P<id>\d{4,8})_session_(?P<session>\d+)_rest_(?P<run>\d+)\.nii(\.gz)?"
)
_VARIANTS: dict[str, Variant] = {"sfnwmrda": "filtered", "snwmrda": "unfiltered"}


class AthenaSource:
    """The release's folder, one of its site folders, or one of its archives.

    Parameters
    ----------
    root : Path
    variant : "filtered", "unfiltered" or "both"
        Which file of a run is taken where it has both. A run with only the other one is taken all the same,
        with a finding: preprocessing filters what is not filtered.
    ignored : sequence of Path
        Files and folders that are known to be something else, for example the phenotype table.
    """

    kind = "athena"

    def __init__(
        self, root: Path, *, variant: VariantChoice = "filtered", ignored: Sequence[Path] = ()
    ) -> None:
        self.root = root
        self.variant = variant
        self.findings: Sequence[SourceFinding] = ()
        # A site's folder of a simulated cohort is asked for by itself, too.
        self.simulated = is_marked(real_path(root).parent)
        self._ignored = ignored

    @property
    def name(self) -> str:
        """The folder's or the archive's name."""
        return real_path(self.root).name

    def entries(self) -> list[ScanEntry]:
        """List the chosen scans by subject, session and run; says what else was found.

        Raises
        ------
        ArchiveDamagedError
            If an archive cannot be read to its end.
        DuplicateScanError
            If two files claim to be the same.
        """
        findings: list[SourceFinding] = []
        entries = list(self._scans(findings))
        require_different(entries)
        chosen = choose_variants(entries, preferred=self.variant, findings=findings)
        self.findings = findings
        return sorted(chosen, key=lambda entry: (entry.subject_id, entry.session, entry.run, entry.variant))

    def provenance(self) -> dict[str, JsonValue]:
        """Say which variant was asked for."""
        return {"variant": self.variant}

    def _scans(self, findings: list[SourceFinding]) -> Iterator[ScanEntry]:
        for found in find_files(self.root, ignored=self._ignored):
            if found.path.name == MARKER_NAME:
                self.simulated = True
            elif (match := SCAN_NAME.fullmatch(found.path.name)) is None:
                findings.append(_finding("file_not_understood", found, "its name is not that of a scan"))
            elif found.offset is not None and not found.size:
                findings.append(_finding("file_not_understood", found, "a link or an empty file"))
            elif (folder := found.path.parent.name).isdigit() and plain_id(folder) != plain_id(match["id"]):
                message = f"it lies in the folder of subject {plain_id(folder)}: nobody can say whose it is"
                findings.append(_finding("file_in_wrong_folder", found, message))
            else:
                yield entry_of(
                    found,
                    subject_id=plain_id(match["id"]),
                    session=str(int(match["session"])),
                    run=str(int(match["run"])),
                    variant=_VARIANTS[match["steps"]],
                )


def choose_variants(
    entries: Sequence[ScanEntry], *, preferred: VariantChoice, findings: list[SourceFinding]
) -> list[ScanEntry]:
    """Keep the preferred variant of each run, or the only one there is.

    Parameters
    ----------
    entries : sequence of ScanEntry
    preferred : "filtered", "unfiltered" or "both"
    findings : list of SourceFinding
        Takes a finding for each run that has only the other variant.
    """
    if preferred == "both":
        return list(entries)
    runs: dict[tuple[str, str, str], dict[str, ScanEntry]] = {}
    for entry in entries:
        runs.setdefault((entry.subject_id, entry.session, entry.run), {})[entry.variant] = entry
    chosen = []
    for variants in runs.values():
        entry = variants.get(preferred) or next(iter(variants.values()))
        chosen.append(entry)
        if entry.variant != preferred:
            findings.append(
                SourceFinding(
                    code=f"only_{entry.variant}",
                    name=entry.source_name,
                    message=f"the run has no {preferred} file: the {entry.variant} one was taken",
                    subject_id=entry.subject_id,
                )
            )
    return chosen


def _finding(code: str, found: FoundFile, message: str) -> SourceFinding:
    return SourceFinding(code=code, name=str(found.path), message=message)
