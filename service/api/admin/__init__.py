"""``/api/v1/admin``: the organisation's accounts, API keys and audit, and the model versions."""

from service.api.admin import audit, keys, models, users

ROUTERS = (users.router, keys.router, models.router, audit.router)
