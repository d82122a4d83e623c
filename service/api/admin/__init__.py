"""``/api/v1/admin``: the organisation's accounts, API keys, counts of reviews and audit; the models."""

from service.api.admin import audit, invitations, keys, models, reviews, users

ROUTERS = (users.router, invitations.router, keys.router, models.router, reviews.router, audit.router)
