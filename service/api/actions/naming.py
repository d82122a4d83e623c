"""Names of who did something, from the actors that rows keep."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import ApiKeyRow, UserRow


def names_of(session: Session, actors: Collection[str]) -> dict[str, str]:
    """Name accounts by their actors, as far as the session sees them; a program is its own name."""
    named = {actor: actor for actor in actors if ":" not in actor}
    user_ids = [actor.removeprefix("user:") for actor in actors if actor.startswith("user:")]
    if user_ids:
        users = select(UserRow.id, UserRow.username).where(UserRow.id.in_(user_ids))
        named |= {f"user:{id_}": username for id_, username in session.execute(users)}
    key_ids = [actor.removeprefix("key:") for actor in actors if actor.startswith("key:")]
    if key_ids:
        keys = select(ApiKeyRow.id, UserRow.username).join(UserRow, UserRow.id == ApiKeyRow.user_id)
        keys = keys.where(ApiKeyRow.id.in_(key_ids))
        named |= {f"key:{id_}": username for id_, username in session.execute(keys)}
    return named
