"""Deleting a scan at somebody's wish; how a scan ends is in :mod:`service.retention`."""

from service.api.access.principal import Principal
from service.api.actions.viewing import find_scan
from service.api.problems.refusals import ScanNotFoundError
from service.api.resources import Resources
from service.retention import Reason, mark_deleted, remove_file


def delete_scan(resources: Resources, principal: Principal, scan_id: str) -> None:
    """Remove a scan with everything that came of it, except the audit.

    It is out of sight when this returns. Its file is gone as well, unless a worker reads it or storage is
    away: then the sweeper removes it as soon as that is over.

    Raises
    ------
    ScanNotFoundError
        If the account sees no such scan.
    """
    with resources.sessions_for(principal).begin() as session:
        found = find_scan(session, principal, scan_id).id
        if not mark_deleted(session, found, actor=principal.actor, reason=Reason.REQUEST):
            raise ScanNotFoundError
    remove_file(resources.sessions_for(principal), resources.storage, found, actor=principal.actor)
