"""How scans end: marked first, then their files removed, then the proof kept in the audit.

A scan whose time is over (:mod:`service.retention.expiry`) and one that somebody deletes go the same way:

1. :mod:`service.retention.marking`: in one transaction nobody sees the scan any more, and its results and
   what was said about the person are gone from the database.
2. :mod:`service.retention.removal`: its file goes from storage, and storage is asked whether it is gone.
3. The scan's row says when, and the audit what, when and why.

Whatever stops between two steps, the next round of the sweeper goes on from there; doing a step again does no
harm. Nothing here knows of HTTP. Zips go sooner than their scans: :mod:`service.retention.zips`.
"""

from service.retention.expiry import Expired, forget_idempotency_keys, mark_expired, what_is_due
from service.retention.marking import Reason, mark_deleted
from service.retention.removal import Round, remove_file, remove_files
from service.retention.zips import give_up_unwanted, remove_leftover, remove_leftovers

__all__ = [
    "Expired",
    "Reason",
    "Round",
    "forget_idempotency_keys",
    "give_up_unwanted",
    "mark_deleted",
    "mark_expired",
    "remove_file",
    "remove_files",
    "remove_leftover",
    "remove_leftovers",
    "what_is_due",
]
