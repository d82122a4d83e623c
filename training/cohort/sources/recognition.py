"""Which kind of source a path is: told from the names of its files, or said by the caller."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

from training.cohort.sources.athena import SCAN_NAME, AthenaSource, VariantChoice
from training.cohort.sources.bids import BidsSource
from training.cohort.sources.parcel_archive import ParcelArchive
from training.cohort.sources.parcel_tables import ParcelTables, is_table_name
from training.cohort.sources.raw_bids import RawBidsSource, is_raw_run
from training.cohort.sources.scan_files import find_files
from training.cohort.sources.source import OptionWithoutEffectError, ScanSource
from training.errors import CohortError

Kind = Literal["athena", "bids", "raw-bids", "parcels"]
SourceKind = Literal["auto", "athena", "bids", "raw-bids", "parcels"]
PARTICIPANTS = "participants.tsv"
_IMAGES = (".nii", ".nii.gz")

_LOOKED_AT = 100_000  # files; a release's first scan comes much earlier


class SourceNotRecognisedError(CohortError):
    """A path that is no source of scans, or could be more than one."""

    code: ClassVar[str] = "source_not_recognised"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(
            f"{name!r}: expected the Athena release (a folder or .tar with sfnwmrda*.nii.gz), fMRIPrep's "
            "derivatives or a raw BIDS data set (sub-*/), or parcel series (.npz, or a folder of .1D, .csv, "
            f".tsv), found {found}"
        )


class AtlasMissingError(CohortError):
    """Parcel series without the atlas that says where the parcels lie."""

    code: ClassVar[str] = "atlas_missing"

    def __init__(self, *, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r}: expected --atlas, the image of the parcels of these series, found none")


def open_source(
    path: Path,
    *,
    kind: SourceKind = "auto",
    variant: VariantChoice | None = None,
    atlas: Path | None = None,
    tr_s: float | None = None,
    ignored: Sequence[Path] = (),
) -> ScanSource:
    """Open a source of scans.

    Parameters
    ----------
    path : Path
        A folder, a ``.tar`` or a ``.npz``.
    kind : str, optional
        "auto" tells it from the names of the files.
    variant : str, optional
        Of Athena's files, "filtered" if not given; of tables of their series "filtered" or "unfiltered".
    atlas : Path, optional
        Of parcel series, which cannot do without.
    tr_s : float, optional
        Of tables of parcel series that do not say.
    ignored : sequence of Path
        Files and folders in it that are known to be something else.

    Returns
    -------
    ScanSource
        Nothing but names has been read yet.

    Raises
    ------
    SourceNotRecognisedError, AtlasMissingError
    OptionWithoutEffectError
        If an option is given that this kind of source has no use for.
    """
    if not path.exists():
        raise SourceNotRecognisedError(name=path.name, found="nothing")
    kind = recognise(path, ignored=ignored) if kind == "auto" else kind
    if kind == "athena":
        _require_unused("the Athena release", atlas=atlas, tr_s=tr_s)
        return AthenaSource(path, variant=variant or "filtered", ignored=ignored)
    if kind == "bids":
        _require_unused("fMRIPrep's derivatives", variant=variant, atlas=atlas, tr_s=tr_s)
        return BidsSource(path, ignored=ignored)
    if kind == "raw-bids":
        _require_unused("a raw BIDS data set", variant=variant, atlas=atlas, tr_s=tr_s)
        return RawBidsSource(path, ignored=ignored)
    if atlas is None:
        raise AtlasMissingError(name=path.name)
    archive = find_archive(path)
    if archive is not None:
        _require_unused("an archive of parcel series", variant=variant, tr_s=tr_s)
        _require_no_tables(path, ignored=ignored)
        return ParcelArchive(archive, atlas=atlas)
    if variant == "both":
        _require_unused("parcel series, of which one variant of a run is taken", variant=variant)
    return ParcelTables(path, atlas=atlas, tr_s=tr_s, variant=variant, ignored=[*ignored, atlas])


def recognise(path: Path, *, ignored: Sequence[Path] = ()) -> Kind:
    """Tell the kind of a source from its names.

    Raises
    ------
    SourceNotRecognisedError
        If there is no name that is known, or there are those of several kinds.
    ArchiveDamagedError
        If a tar archive among them cannot be read to its end.
    """
    if path.is_file():
        if path.suffix == ".npz":
            return "parcels"
        if ".tar" in path.suffixes or path.suffix == ".tgz":
            return "athena"  # a compressed one is refused with what to do about it
        raise SourceNotRecognisedError(name=path.name, found="another kind of file")
    files = [Path(found.path) for found in islice(find_files(path, ignored=ignored), _LOOKED_AT)]
    kinds: set[Kind] = set()
    if any(SCAN_NAME.fullmatch(file.name) for file in files):
        kinds.add("athena")
    images = [file for file in files if file.name.startswith("sub-") and file.name.endswith(_IMAGES)]
    if images:
        # A raw data set may hold its derivatives, which are the ones that are meant then.
        derived = any("_space-" in file.name for file in images)
        raw = not derived and any(is_raw_run(file) for file in images)
        kinds.add("raw-bids" if raw else "bids")
    # Both kinds of release have tables of parcel series beside the scans that they were read from.
    if not kinds and (find_archive(path) or any(is_table_name(file) for file in files)):
        kinds.add("parcels")
    if len(kinds) != 1:
        mixed = f"files of both {' and '.join(sorted(kinds))}: name one of them with --source"
        nothing = "none of their names" if files else "an empty folder"
        raise SourceNotRecognisedError(name=path.name, found=mixed if kinds else nothing)
    return kinds.pop()


def _require_unused(
    kind: str,
    *,
    variant: VariantChoice | None = None,
    atlas: Path | None = None,
    tr_s: float | None = None,
) -> None:
    """Refuse an option that this kind of source would pass over in silence."""
    options = {
        "--variant": (variant, "the Athena release, or tables of its parcels' series (filtered, unfiltered)"),
        "--atlas": (atlas, "parcel series"),
        "--tr": (tr_s, "tables of parcel series; every other source says it for each scan"),
    }
    for option, (value, expected) in options.items():
        if value is not None:
            raise OptionWithoutEffectError(option=option, expected=expected, found=kind)


def _require_no_tables(path: Path, *, ignored: Sequence[Path]) -> None:
    """Refuse a folder with tables of series beside the archive, which would be passed over."""
    if path.is_dir() and any(is_table_name(found.file) for found in find_files(path, ignored=ignored)):
        found = "an archive and tables of series in one folder: name the .npz itself, or part them"
        raise SourceNotRecognisedError(name=path.name, found=found)


def find_archive(path: Path) -> Path | None:
    """Return the ``.npz`` that a path is, or the only one in a folder."""
    if path.is_file():
        return path
    archives = sorted(path.glob("*.npz"))
    return archives[0] if len(archives) == 1 else None
