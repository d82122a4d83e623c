"""fMRIPrep's derivatives in the Brain Imaging Data Structure (BIDS), scans in MNI space.

::

    <root>/sub-<label>/[ses-<label>/]func/
        sub-<label>[_ses-<label>]_task-<label>..._space-MNI152..._desc-preproc_bold.nii.gz

Where a run was written at several resolutions (``res-``), the one without that entity is taken, else the
first by name. Different acquisitions or directions are different runs; tasks other than rest are left out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from training.cohort.paths import real_path
from training.cohort.sources.scan_files import FoundFile, entry_of, find_files
from training.cohort.sources.source import ScanEntry, SourceFinding, require_different
from training.cohort.subjects import plain_id

_NAME = re.compile(
    r"(?P<entities>(?:[a-z]+-[A-Za-z0-9]+_)+)(?P<suffix>[A-Za-z0-9]+)(?P<extension>\.[A-Za-z0-9.]+)"
)
# What a run is, besides its subject and session.
_RUN_ENTITIES = ("acq", "ce", "rec", "dir", "run", "echo")
_IMAGES = (".nii", ".nii.gz")
_REST = "rest"


class BidsSource:
    """A folder of derivatives.

    Parameters
    ----------
    root : Path
        Holds folders ``sub-*``.
    ignored : sequence of Path
        Files and folders that are known to be something else, for example participants.tsv.
    """

    kind = "bids"
    simulated = False

    def __init__(self, root: Path, *, ignored: Sequence[Path] = ()) -> None:
        self.root = root
        self.findings: Sequence[SourceFinding] = ()
        self._ignored = ignored

    @property
    def name(self) -> str:
        """The folder's name."""
        return real_path(self.root).name

    def entries(self) -> list[ScanEntry]:
        """List the resting-state scans in MNI space by subject, session and run.

        Raises
        ------
        DuplicateScanError
            If two files claim to be the same.
        """
        findings: list[SourceFinding] = []
        scans = _one_resolution(list(self._scans(findings)), findings)
        entries = [_entry(found, entities) for found, entities in scans]
        require_different(entries)
        self.findings = findings
        return sorted(entries, key=lambda entry: (entry.subject_id, entry.session, entry.run))

    def provenance(self) -> dict[str, JsonValue]:
        """Nothing else matters."""
        return {}

    def _scans(self, findings: list[SourceFinding]) -> Iterator[tuple[FoundFile, dict[str, str]]]:
        for found in find_files(self.root, ignored=self._ignored):
            match = _NAME.fullmatch(found.path.name)
            entities = dict(part.split("-", 1) for part in match["entities"].split("_")[:-1]) if match else {}
            if match is None or match["suffix"] != "bold" or match["extension"] not in _IMAGES:
                # fMRIPrep writes dozens of other files a person: only images that look like scans are told.
                if found.path.name.endswith(_IMAGES) and "bold" in found.path.name:
                    findings.append(_finding("file_not_understood", found, "its name is not that of a scan"))
            elif "sub" not in entities:
                findings.append(_finding("file_not_understood", found, "its name says no subject"))
            elif any(
                folder.startswith("sub-") and plain_id(folder) != plain_id(entities["sub"])
                for folder in found.path.parts[:-1]
            ):
                message = "it lies in the folder of another subject: nobody can say whose it is"
                findings.append(_finding("file_in_wrong_folder", found, message))
            elif entities.get("desc") != "preproc" or not entities.get("space", "").startswith("MNI152"):
                findings.append(_finding("not_preprocessed_in_mni", found, "another space or preparation"))
            elif entities.get("task", _REST).lower().removesuffix("ingstate") != _REST:
                findings.append(_finding("task_not_rest", found, f"task {entities['task']}"))
            else:
                yield found, entities


_Scan = tuple[FoundFile, dict[str, str]]


def _one_resolution(scans: list[_Scan], findings: list[SourceFinding]) -> list[_Scan]:
    """Of one run's files in several spaces or resolutions keep one, and say which were left."""
    runs: dict[tuple[str, str, str], list[_Scan]] = {}
    for found, entities in scans:
        key = (plain_id(entities["sub"]), session_of(entities), run_of(entities))
        runs.setdefault(key, []).append((found, entities))
    kept = []
    for same in runs.values():
        first, *others = sorted(same, key=lambda scan: ("res" in scan[1], scan[0].path.name))
        kept.append(first)
        if len({(entities["space"], entities.get("res")) for _, entities in same}) < len(same):
            kept += others  # true duplicates: the caller refuses them
            continue
        message = f"{first[0].path.name} of the same run was taken"
        findings += [_finding("other_resolution", found, message) for found, _ in others]
    return kept


def _entry(found: FoundFile, entities: dict[str, str]) -> ScanEntry:
    return entry_of(
        found,
        subject_id=plain_id(entities["sub"]),
        session=session_of(entities),
        run=run_of(entities),
        variant="bids",
    )


def session_of(entities: Mapping[str, str]) -> str:
    """Name a session by its label, "1" where there is only one."""
    return _plain(entities.get("ses", "1"))


def run_of(entities: Mapping[str, str]) -> str:
    """Name a run by its number alone where nothing else tells it from others."""
    parts = {key: _plain(entities[key]) for key in _RUN_ENTITIES if key in entities}
    if set(parts) <= {"run"}:
        return parts.get("run", "1")
    return "-".join(part for key in parts for part in (key, parts[key]))


def _plain(label: str) -> str:
    return str(int(label)) if label.isdigit() else label


def _finding(code: str, found: FoundFile, message: str) -> SourceFinding:
    return SourceFinding(code=code, name=str(found.path), message=message)
