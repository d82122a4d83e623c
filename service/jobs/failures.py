"""Why a job may fail although nothing is wrong with its scan or its model."""

from enum import StrEnum


class JobFailure(StrEnum):
    """Codes that only a job's row carries; a refused scan or model brings its own (docs/errors.md)."""

    WORKER_LOST = "worker_lost"
    TIME_LIMIT = "time_limit"
    DATABASE_UNAVAILABLE = "database_unavailable"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    INTERNAL_ERROR = "internal_error"
