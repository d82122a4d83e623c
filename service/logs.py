"""Log lines: structured, for people or for machines, without patient data and without names of files."""

import logging
import logging.config
from typing import Any, Literal

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

# Whoever logs one of these by mistake writes the mark instead: uploads are often named after the patient.
PRIVATE = frozenset(
    {
        "age_years",
        "api_key",
        "display_name",
        "file_name",
        "filename",
        "password",
        "path",
        "sex",
        "site",
        "subject_id",
        "token",
        "url",
        "username",
    }
)
REMOVED = "[removed]"

# Their own lines would repeat ours or name addresses with passwords.
_QUIET = ("celery", "kombu", "amqp", "redis", "alembic", "sqlalchemy", "multiprocessing", "uvicorn.access")

get_logger = structlog.stdlib.get_logger


def remove_private(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what must not be in a log."""
    for key in PRIVATE & event.keys():
        event[key] = REMOVED
    return event


def configure(*, log_format: Literal["console", "json"], log_level: str) -> None:
    """Send every log line of this process, ours and the libraries', to standard error in one form.

    Parameters
    ----------
    log_format : "console" or "json"
        For people or for machines.
    log_level : str
        The least severe level that is written.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        remove_private,
    ]
    last: list[Processor]
    if log_format == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
            )
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    formatter: dict[str, Any] = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"lines": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
            "root": {"handlers": ["stderr"], "level": log_level.upper()},
            "loggers": {name: {"level": "WARNING"} for name in _QUIET},
        }
    )
