"""The audit as lines of JSON, for systems that keep it elsewhere."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from service.audit.chain import canonical
from service.audit.verification import events_in_order


def export_lines(session: Session, *, after: int, up_to: int) -> Iterator[str]:
    """Write each event as one JSON object: the text that is hashed, with its hash.

    Parameters
    ----------
    session : Session
    after, up_to : int
        Sequences: the first one left out at the beginning, and the last one given.
    """
    for event in events_in_order(session, after=after, up_to=up_to):
        yield f'{canonical(event)[:-1]},"hash":"{event["hash"]}"}}'
