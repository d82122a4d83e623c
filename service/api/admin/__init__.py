"""``/api/v1/admin``: accounts, API keys, counts of reviews and audit of an organisation; models, training."""

from service.api.admin import audit, change_plans, invitations, keys, models, reviews, training, users

ROUTERS = (
    users.router,
    invitations.router,
    keys.router,
    models.router,
    training.router,
    change_plans.router,
    reviews.router,
    audit.router,
)
