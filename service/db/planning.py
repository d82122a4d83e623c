"""What PostgreSQL is told beside a query about how to compute it."""

from sqlalchemy import text
from sqlalchemy.orm import Session


def in_one_process(session: Session) -> None:
    """Have the rest of the transaction computed without helpers.

    A page of a list reads a few thousand entries of an index at the most. PostgreSQL expects more of some and
    starts further processes, which takes ten times as long as the page
    (``benchmarks/million_predictions.py``).
    """
    if session.get_bind().dialect.name == "postgresql":
        # Past the session, which may be an organisation's and refuses what it cannot filter.
        session.connection().execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
