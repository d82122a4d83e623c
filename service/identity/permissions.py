"""What each role may do: the one table that every route asks, by the permission that it names.

All of it is within the account's organisation, which :mod:`service.db.restricted` sees to. What reaches
further is named by `INSTALLATION_WIDE`.
"""

from collections.abc import Mapping
from enum import StrEnum

from service.identity.roles import Role


class Permission(StrEnum):
    """Something that a role allows."""

    UPLOAD_SCANS = "scans.upload"
    READ_SCANS = "scans.read"
    """One's own uploads."""
    READ_PREDICTIONS = "predictions.read"
    """Of one's own uploads, with their results."""
    READ_EVERYBODYS_SCANS = "scans.read_everybodys"
    """What others of the organisation uploaded too; what is seen may also be changed as below."""
    DELETE_SCANS = "scans.delete"
    CHANGE_PREDICTIONS = "predictions.change"
    """Cancel and retry."""
    REVIEW_PREDICTIONS = "predictions.review"
    """Accept or override what a prediction says."""
    READ_MODELS = "models.read"
    MANAGE_MODELS = "models.manage"
    """Promote and roll back."""
    TRAIN_MODELS = "models.train"
    """Ask for runs of training, follow and stop them."""
    MANAGE_USERS = "users.manage"
    MANAGE_KEYS = "api_keys.manage"
    READ_AUDIT = "audit.read"
    COUNT_REVIEWS = "reviews.count"


INSTALLATION_WIDE = frozenset({Permission.MANAGE_MODELS, Permission.TRAIN_MODELS})
"""What changes the whole installation: for accounts of its own organisation (``default``) alone."""

_OWN_SCANS = frozenset(
    {
        Permission.UPLOAD_SCANS,
        Permission.READ_SCANS,
        Permission.READ_PREDICTIONS,
        Permission.DELETE_SCANS,
        Permission.CHANGE_PREDICTIONS,
    }
)

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.CLINICIAN: _OWN_SCANS | {Permission.READ_EVERYBODYS_SCANS, Permission.REVIEW_PREDICTIONS},
    Role.INTEGRATOR: _OWN_SCANS,
    Role.RESEARCHER: _OWN_SCANS | {Permission.READ_MODELS},
    Role.ADMINISTRATOR: frozenset(Permission),
}


def roles_with(permission: Permission) -> tuple[Role, ...]:
    """Return the roles that have a permission, in the order in which :class:`Role` names them."""
    return tuple(role for role in Role if permission in PERMISSIONS[role])
