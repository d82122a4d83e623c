"""The mark of a scan that RestNet's simulator wrote: in the header, so that it goes where the file goes."""

from typing import Any

from imaging.findings import ScanWarning

# In NIfTI's `descrip` (80 bytes). It never changes, files are known by it; whoever strips free text from a
# header leaves it in place. Nothing else of that field is ever told: it may name a person.
SIMULATION_MARK = b"RestNet simulated scan"

SIMULATED_SCAN = ScanWarning(
    code="simulated_scan",
    message="expected a scan of a person, found the mark of RestNet's simulator in its header: "
    "nobody was measured",
)


def simulation_warnings(fields: Any) -> tuple[ScanWarning, ...]:
    """Say whether a scan's header carries the mark.

    Parameters
    ----------
    fields : numpy structured scalar
        The header, NIfTI-1 or -2.

    Returns
    -------
    tuple of ScanWarning
        ``simulated_scan``, or none. The mark counts wherever it stands in the field: programs add words.
    """
    return (SIMULATED_SCAN,) if SIMULATION_MARK in bytes(fields["descrip"]) else ()
