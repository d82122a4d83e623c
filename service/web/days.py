"""Days as people type them into a filter, and the moments that they mean."""

from datetime import UTC, date, datetime, time, timedelta


def midnight(day: str, *, days_later: int = 0) -> datetime | None:
    """Return the moment in UTC at which a day begins; the last day that is asked for is listed whole.

    Parameters
    ----------
    day : str
        As ``2026-11-28``; empty where none is asked for.
    days_later : int

    Raises
    ------
    ValueError, OverflowError
        If it is no day, or the last that there is.
    """
    if not day:
        return None
    return datetime.combine(date.fromisoformat(day), time(), tzinfo=UTC) + timedelta(days=days_later)
