"""``/api/v1/admin``: accounts, API keys, counts of reviews and audit of an organisation; models, training."""

from service.api.admin import audit, invitations, keys, models, rescores, reviews, shadow, training, users

ROUTERS = (
    users.router,
    invitations.router,
    keys.router,
    models.router,
    shadow.router,
    rescores.router,
    training.router,
    reviews.router,
    audit.router,
)
