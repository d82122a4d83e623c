"""``/api/v1/admin``: the organisation's accounts, API keys, counts of reviews and audit; the models."""

from service.api.admin import audit, keys, models, reviews, users

ROUTERS = (users.router, keys.router, models.router, reviews.router, audit.router)
