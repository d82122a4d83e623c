"""The record of what people and programs did, chained so that no event can be changed or lost unseen.

An event is remembered by :mod:`service.audit.recording` and written as the last thing of the transaction that
it tells of, by :mod:`service.audit.chain`. :mod:`service.audit.reads` keeps repeated looks at the same thing
from flooding it, :mod:`service.audit.verification` walks the chain. Nothing here knows of HTTP.
"""

from service.audit.reads import ReadLog
from service.audit.recording import record

__all__ = ["ReadLog", "record"]
