"""``/api/v1/admin``: of an organisation accounts, keys, reviews and audit; models, training, evaluations."""

from service.api.admin import (
    audit,
    change_plans,
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
    training.router,
    change_plans.router,
    reviews.router,
    audit.router,
)
