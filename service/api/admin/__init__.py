"""``/api/v1/admin``: accounts, keys, reviews and audit of an organisation; models, training, drift."""

from service.api.admin import (
    audit,
    change_plans,
    drift,
    evaluations,
    invitations,
    keys,
    models,
    rescores,
    reviews,
    shadow,
    training,
    users,
)

ROUTERS = (
    users.router,
    invitations.router,
    keys.router,
    models.router,
    evaluations.router,
    shadow.router,
    rescores.router,
    drift.router,
    training.router,
    change_plans.router,
    reviews.router,
    audit.router,
)
