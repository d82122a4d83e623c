"""What every table shares: constraint names, times in UTC and the database's own clock."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from uuid import uuid4

from sqlalchemy import JSON, DateTime, Dialect, Float, MetaData, String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

# Named constraints: a migration can alter or drop them by name on every database.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """A moment, always aware and in UTC; SQLite keeps no zone, so it is added when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; a naive time is refused, because nobody can say what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = "expected a time with a zone, found a naive one"
            raise ValueError(message)
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class utc_now(FunctionElement[datetime]):  # noqa: N801  (reads as the SQL function that it is)
    """The database's clock, plus ``offset_s`` seconds: leases must not depend on the workers' clocks."""

    type = UTCDateTime()
    inherit_cache = True
    name = "utc_now"

    def __init__(self, offset_s: float = 0.0) -> None:
        super().__init__(bindparam(None, float(offset_s), type_=Float()))


@compiles(utc_now, "sqlite")
def _sqlite_now(element: utc_now, compiler: SQLCompiler, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    # Six digits as SQLAlchemy stores them: SQLite compares times as text.
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', CAST({offset} AS TEXT) || ' seconds') || '000')"


@compiles(utc_now, "postgresql")
def _postgresql_now(element: utc_now, compiler: SQLCompiler, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    # Not now(): that is the start of the transaction, which may have waited for a lock.
    return f"(clock_timestamp() + make_interval(secs => {offset}))"


def new_id() -> str:
    """Return a random identifier: 36 characters, hexadecimal with dashes."""
    return str(uuid4())


Id = Annotated[str, mapped_column(String(36))]
Sha256 = Annotated[str, mapped_column(String(64))]
Key = Annotated[str, mapped_column(String(36), primary_key=True, default=new_id)]
CreatedAt = Annotated[datetime, mapped_column(default=utc_now())]


class Base(DeclarativeBase):
    """The declarative base of every row."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, TypeEngine[Any]]] = {
        datetime: UTCDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        list[float]: JSON(none_as_null=True),
        str: String(255),
    }
