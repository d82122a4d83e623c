"""The folder that a cohort grows in: claimed by one process, with a journal of what is stored already.

::

    OUT/ingest.jsonl    settings and whether the source is called simulated, then a line for each stored scan,
                        until cohort.json is written
    OUT/series/, maps/, tissues/  as in the finished cohort
    OUT/incoming/       what is unpacked for a scan while it is read
"""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, ClassVar

from pydantic import JsonValue, ValidationError

from imaging import PreprocessingSpec
from model.files import replace_file
from training.cohort.sources.source import ScanEntry, SourceFinding
from training.cohort.store.cohort_store import stored_files
from training.cohort.store.index import (
    COHORT_FILE,
    JOURNAL_FILE,
    MAPS_FOLDER,
    SCAN_JSON,
    SCANS_FILE,
    SERIES_FOLDER,
    TISSUES_FOLDER,
    StoredScan,
)
from training.errors import CohortError
from training.new_folder import require_empty

WORKSPACE = "incoming"

# Where the files of scans lie, each named by its scan.
_OF_SCANS = (SERIES_FOLDER, MAPS_FOLDER, TISSUES_FOLDER)

_Key = tuple[str, str, str, str]


class CohortBusyError(CohortError):
    """A folder that another process is writing to."""

    code: ClassVar[str] = "cohort_busy"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(
            f"expected to be alone in the cohort {name!r}, found another process that writes to it"
        )


class CohortOfOtherSettingsError(CohortError):
    """A folder with a cohort that was begun with other settings."""

    code: ClassVar[str] = "cohort_of_other_settings"

    def __init__(self, *, name: str, setting: str) -> None:
        self.name = name
        self.setting = setting
        super().__init__(
            f"cohort {name!r}: expected one that was begun with the same settings, found another {setting}: "
            "name a new folder"
        )


class IngestFolder:
    """A claimed folder; make one with :meth:`claim`, and close it whatever happens.

    Attributes
    ----------
    path : Path
    spec : PreprocessingSpec
    told_simulated : bool
        Whether an earlier call was told that its scans are simulated, which none of them says itself: scans
        that were written before there was a mark.
    """

    def __init__(self, path: Path, *, kind: str, spec: PreprocessingSpec, lock: int, is_new: bool) -> None:
        self.path = path
        self.spec = spec
        self.told_simulated = False
        self._settings: dict[str, JsonValue] = {"kind": kind, "spec": spec.to_json()}
        self._lock = lock
        self._is_new = is_new
        self._before: dict[_Key, StoredScan] = {}
        self._journal: BinaryIO | None = None
        self._holds_scans = False

    @classmethod
    def claim(cls, path: Path, *, kind: str, spec: PreprocessingSpec) -> "IngestFolder":
        """Take a folder for this process alone, and read what an earlier one has stored in it.

        Parameters
        ----------
        path : Path
            New, empty, or a cohort that is finished or was stopped.
        kind : str
            Of the source.
        spec : PreprocessingSpec
            Another kind or spec than before is refused.

        Raises
        ------
        OutputFolderNotEmptyError, CohortBusyError, CohortOfOtherSettingsError
        OSError
            If it cannot be written.
        """
        is_new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        folder = cls(path, kind=kind, spec=spec, lock=lock, is_new=is_new)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CohortBusyError(name=path.name) from error
            folder._take_over()
        except BaseException:
            os.close(lock)
            if is_new:
                path.rmdir()
            raise
        return folder

    def stored_before(self, entry: ScanEntry) -> StoredScan | None:
        """Return the scan as it was stored, if its source and what was made of it are still the same.

        One that an earlier version stored without maps, though its source has voxels, is made again, and so
        is one whose T1-weighted image nobody asked for tissues yet.
        """
        before = self._before.get((entry.subject_id, entry.session, entry.run, entry.variant))
        if before is None or (entry.has_maps and before.maps_sha256 is None):
            return None
        if entry.has_t1w and before.tissues_sha256 is None and before.without_tissues is None:
            return None
        files = stored_files(before, grid_size=self.spec.grid_size)
        try:
            same = entry.stamp() == before.source_stamp
            whole = all((self.path / name).stat().st_size == size for name, size in files.items())
        except OSError:
            return None
        if not (same and whole):
            return None
        return before if entry.has_t1w is not False else replace(before, without_tissues="no_t1w")

    def no_longer_in(self, entries: Sequence[ScanEntry]) -> list[SourceFinding]:
        """Tell which stored scans the source no longer has, before they are removed.

        Raises
        ------
        CohortOfOtherSettingsError
            If it has none of them: this is not the cohort that was meant.
        """
        here = {(entry.subject_id, entry.session, entry.run, entry.variant) for entry in entries}
        gone = [scan for key, scan in self._before.items() if key not in here]
        if gone and len(gone) == len(self._before):
            raise CohortOfOtherSettingsError(name=self.path.name, setting="source")
        return [
            SourceFinding(
                code="no_longer_in_source",
                name=scan.source_name,
                message="the cohort had this scan, the source has it no more: it was removed",
                subject_id=scan.subject_id,
            )
            for scan in gone
        ]

    def reopen(self, kept: Sequence[StoredScan], *, simulated: bool) -> None:
        """Begin to write: from now on the folder is unfinished until its index is written again.

        Parameters
        ----------
        kept : sequence of StoredScan
        simulated : bool
            What is said of the source's scans, whether or not they carry the mark.
        """
        first = {**self._settings, "simulated": simulated}
        lines = [json.dumps(first, sort_keys=True).encode() + b"\n", *map(_line, kept)]
        # Set before anything is written: a disk that is full here must not leave an empty cohort behind.
        self._holds_scans = bool(kept)
        self._remove_temporary()
        (self.path / SERIES_FOLDER).mkdir(exist_ok=True)
        (self.path / WORKSPACE).mkdir()
        replace_file(self.path / JOURNAL_FILE, b"".join(lines))
        (self.path / COHORT_FILE).unlink(missing_ok=True)
        self._journal = (self.path / JOURNAL_FILE).open("ab")

    def note(self, scan: StoredScan) -> None:
        """Remember a scan whose series, maps and tissues have been written."""
        if self._journal is None:
            raise RuntimeError("a scan is noted after the folder was reopened")
        # First: whatever interrupts the next lines, the series is there and may not be taken for nothing.
        self._holds_scans = True
        self._journal.write(_line(scan))
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def tidy(self, scans: Sequence[StoredScan]) -> None:
        """Remove what does not belong to the cohort of these scans, before its index is written."""
        self._remove_temporary()
        belonging = {self.path / scan.series_file for scan in scans}
        belonging |= {self.path / scan.maps_file for scan in scans if scan.maps_sha256 is not None}
        belonging |= {self.path / scan.tissues_file for scan in scans if scan.tissues_sha256 is not None}
        for folder in _OF_SCANS:
            for file in set((self.path / folder).glob("*")) - belonging:
                file.unlink()
            if folder != SERIES_FOLDER:
                with suppress(OSError):
                    (self.path / folder).rmdir()  # where no scan has any

    def close(self) -> None:
        """Let go of the folder.

        The journal goes once the index is there. Where nothing was stored, everything goes that was made.
        """
        if self._journal is not None:
            self._journal.close()
            shutil.rmtree(self.path / WORKSPACE, ignore_errors=True)
            if (self.path / COHORT_FILE).exists():
                (self.path / JOURNAL_FILE).unlink(missing_ok=True)
        if not self._holds_scans and not (self.path / COHORT_FILE).exists():
            (self.path / JOURNAL_FILE).unlink(missing_ok=True)
            for made in _OF_SCANS:
                shutil.rmtree(self.path / made, ignore_errors=True)
            if self._is_new and not any(self.path.iterdir()):
                self.path.rmdir()
        os.close(self._lock)

    def _take_over(self) -> None:
        journal, index = self.path / JOURNAL_FILE, self.path / COHORT_FILE
        if journal.is_file():
            first, *lines = journal.read_bytes().splitlines() or [b""]
            before = found = _json(first)
        elif index.is_file() and (self.path / SERIES_FOLDER).is_dir():
            before = _json(index.read_bytes())
            source = before.get("source")
            kind = source.get("kind") if isinstance(source, dict) else None
            found = {"kind": kind, "spec": before.get("spec")}
            table = self.path / SCANS_FILE
            lines = table.read_bytes().splitlines() if table.is_file() else []
        else:
            require_empty(self.path)
            return
        if not before:
            return  # damaged: of series whose settings nobody knows none is taken over
        self._require_same(found)
        for line in lines:
            try:
                scan = SCAN_JSON.validate_json(line)
            except ValidationError:
                continue  # the line that was being written when the process was killed
            self._before[_key(scan)] = scan
        self._holds_scans = bool(self._before)
        marked = any(scan.is_marked for scan in self._before.values())
        self.told_simulated = before.get("simulated") is True and not marked

    def _require_same(self, found: Mapping[str, JsonValue]) -> None:
        for setting, value in self._settings.items():
            if found.get(setting) != value:
                raise CohortOfOtherSettingsError(name=self.path.name, setting=setting)

    def _remove_temporary(self) -> None:
        """Remove what a killed process left half written."""
        shutil.rmtree(self.path / WORKSPACE, ignore_errors=True)
        for folder in (self.path, *(self.path / name for name in _OF_SCANS)):
            for file in folder.glob(".*.*"):
                file.unlink()


def _key(scan: StoredScan) -> _Key:
    return scan.subject_id, scan.session, scan.run, scan.variant


def _line(scan: StoredScan) -> bytes:
    return SCAN_JSON.dump_json(scan) + b"\n"


def _json(text: bytes) -> dict[str, JsonValue]:
    try:
        fields = json.loads(text)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
