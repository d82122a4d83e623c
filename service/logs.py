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
_QUIET = (
    "celery",
    "kombu",
    "amqp",
    "redis",
    "alembic",
    "sqlalchemy",
    "httpx",
    "httpx2",
    "multiprocessing",
    "opentelemetry",
    "urllib3",
    "uvicorn.access",
)

# billiard's logger, which Celery's worker processes tell of their ends. It does not hand on to the root.
_PROCESSES = "multiprocessing"

get_logger = structlog.stdlib.get_logger


class OneLine(logging.Filter):
    """Reduces what the quiet libraries say of an error to its first line and the error's name.

    Their tracebacks show their own inside: a killed worker is one event, not fifty lines of an event loop.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, shortened where it is theirs."""
        if record.name.partition(".")[0] in _QUIET:
            first = next(iter(record.getMessage().strip().splitlines()), "")
            kind = record.exc_info[0] if record.exc_info else None
            named = kind is None or kind.__name__ in first
            record.msg = first if named or kind is None else f"{first} ({kind.__name__})"
            record.args, record.exc_info, record.exc_text, record.stack_info = (), None, None, None
        return True


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
            # Whoever looks for a fault of theirs at the level of debugging gets the whole of it.
            "filters": {"one_line": {"()": OneLine}} if log_level != "debug" else {},
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": "lines",
                    "filters": ["one_line"] if log_level != "debug" else [],
                }
            },
            "root": {"handlers": ["stderr"], "level": log_level.upper()},
            "loggers": {name: {"level": "WARNING"} for name in _QUIET}
            | {_PROCESSES: {"level": "WARNING", "handlers": ["stderr"], "propagate": False}},
        }
    )
