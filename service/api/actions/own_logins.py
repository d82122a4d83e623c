"""One's own logins: which are open, and ending them. The page of the account and REST do the same here."""

from service.api.access.principal import Principal
from service.api.actions.viewing import row_id
from service.api.resources import Resources
from service.audit import record
from service.db.rows import SessionRow
from service.identity.logins import end_login, end_logins, logins_of


def list_own(resources: Resources, principal: Principal) -> list[SessionRow]:
    """Return the open logins of whoever asks, the newest first."""
    with resources.sessions_for(principal).open() as session:
        return logins_of(session, user_id=principal.user_id, idle=resources.idle)


def end_own(resources: Resources, principal: Principal, login_id: str) -> None:
    """End a login of whoever asks.

    Raises
    ------
    LoginNotFoundError
        If none of their logins has this identifier.
    """
    with resources.sessions_for(principal).begin() as session:
        found = row_id(login_id)
        end_login(session, found, user_id=principal.user_id)
        record(
            session,
            actor=principal.actor,
            action="login.revoke",
            subject_kind="user",
            subject_id=principal.user_id,
            details={"ids": [found]},
        )


def end_others(resources: Resources, principal: Principal) -> int:
    """End every login of whoever asks but the one that asks; returns how many."""
    with resources.sessions_for(principal).begin() as session:
        ended = end_logins(session, user_id=principal.user_id, except_id=principal.login_id)
        if ended:
            record(
                session,
                actor=principal.actor,
                action="login.revoke",
                subject_kind="user",
                subject_id=principal.user_id,
                details={"ids": ended},
            )
    return len(ended)
