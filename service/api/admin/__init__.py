"""``/api/v1/admin``: accounts, API keys, reviews and audit of an organisation; models, training, drift."""

from service.api.admin import audit, drift, invitations, keys, models, reviews, training, users

ROUTERS = (
    users.router,
    invitations.router,
    keys.router,
    models.router,
    drift.router,
    training.router,
    reviews.router,
    audit.router,
)
