"""``restnet db``, and how every command reaches the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from service.cli.output import print_json
from service.cli.usage import AsJson, named_path
from service.errors import ServiceError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from service.settings import Settings

# The migration that brought files which belong to predictions.
FIRST_WITH_EXPLANATIONS = "0013"

app = typer.Typer(no_args_is_help=True)


class SettingsError(ServiceError):
    """A setting in the environment that RestNet cannot work with."""

    code: ClassVar[str] = "settings_not_valid"

    def __init__(self, *, problems: list[dict[str, str]]) -> None:
        self.problems = problems
        found = "; ".join(": ".join(filter(None, problem.values())) for problem in problems)
        super().__init__(f"expected settings as docs/settings.md describes them, found {found}")


class DatabaseNotFoundError(ServiceError):
    """A data directory without a database, where a command asks about what is in one."""

    code: ClassVar[str] = "database_not_found"

    def __init__(self, *, path: Path) -> None:
        self.path = str(path)
        super().__init__(
            "expected a database, which `serve`, `db upgrade`, `organisations add` and `users add` make, "
            f"found none: {path}"
        )


DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the embedded parts; RESTNET_DATA_DIR or ./data if not named.",
        parser=named_path,
        metavar="<path>",
    ),
]


def load_settings(data_dir: Path | None = None) -> "Settings":
    """Build the settings from the environment; a folder named on the command line wins.

    Raises
    ------
    SettingsError
        If a variable holds a value that the setting cannot take, or nearly has a setting's name.
    """
    from pydantic import ValidationError

    from service.settings import PREFIX, Settings, misspelt_settings

    misspelt = misspelt_settings()
    if misspelt:
        problems = [
            {"setting": name, "problem": f"expected {meant}, found a name that is nearly that"}
            for name, meant in misspelt.items()
        ]
        raise SettingsError(problems=problems)
    try:
        return Settings() if data_dir is None else Settings(data_dir=data_dir)
    except ValidationError as error:
        problems = [
            # A rule about two settings names both in its own sentence.
            {"setting": (PREFIX + str(problem["loc"][0]).upper()) if problem["loc"] else ""}
            | {"problem": problem["msg"].removeprefix("Value error, ")}
            for problem in error.errors(include_input=False, include_url=False)
            # Defaults that follow from a refused setting are not refused themselves.
            if problem["type"] != "default_factory_not_called"
        ]
        raise SettingsError(problems=problems) from error


@contextmanager
def migrated_session(settings: "Settings", *, make: bool = False) -> Iterator["Session"]:
    """Open one session of `migrated_sessions`, and commit at the end."""
    with migrated_sessions(settings, make=make) as sessions, sessions.begin() as session:
        yield session


@contextmanager
def migrated_sessions(settings: "Settings", *, make: bool = False) -> Iterator["sessionmaker[Session]"]:
    """Open a database and bring it up to date, for as many transactions as a command needs.

    Parameters
    ----------
    settings : Settings
    make : bool
        Whether a database that is not there is made. A mistyped folder must not look like an empty one.

    Raises
    ------
    DatabaseNotFoundError
        If it is not there and is not to be made.
    """
    from service.db.engine import make_engine, session_factory

    url = settings.database_url.get_secret_value() if make else _existing_database(settings)
    bring_up_to_date(settings)
    engine = make_engine(url)
    try:
        yield session_factory(engine)
    finally:
        engine.dispose()


def _existing_database(settings: "Settings") -> str:
    """Return the database's address; SQLite would make a file that is not there."""
    from service.db.engine import sqlite_file

    url = settings.database_url.get_secret_value()
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise DatabaseNotFoundError(path=file)
    return url


def bring_up_to_date(settings: "Settings") -> None:
    """Apply every migration; what is written is for this account only, as under ``serve``."""
    from service.db.engine import sqlite_file
    from service.db.migrate import upgrade
    from service.private import make_private_folder, write_privately

    url = settings.database_url.get_secret_value()
    write_privately()
    file = sqlite_file(url)
    if file is not None and file.parent == settings.data_dir:
        make_private_folder(settings.data_dir)
    upgrade(url)


@app.command("status")
def show_status(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show which migrations the database has; nothing is changed."""
    from service.db.migrate import require_known, revision_of, revisions

    url = _existing_database(load_settings(data_dir))
    current, known = revision_of(url), revisions()
    require_known(current)
    missing = known if current is None else known[known.index(current) + 1 :]
    if as_json:
        print_json({"revision": current, "missing": missing, "known": known})
    else:
        typer.echo(f"the database is at {current or 'no revision'}; known: {', '.join(known)}")
        typer.echo(f"`restnet db upgrade` would add {', '.join(missing)}" if missing else "it is up to date")


@app.command("downgrade")
def downgrade_database(
    revision: Annotated[str, typer.Argument(help="The migration that stays the newest, such as 0002.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it without asking; what the taken-back migrations hold is lost.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take migrations back, for an older version of RestNet. Stop the service and make a backup first."""
    from service.db.migrate import downgrade, require_passed

    settings = load_settings(data_dir)
    url = _existing_database(settings)
    require_passed(url, revision)
    warning = f"Everything that the migrations after {revision} hold is lost for good. Go on?"
    if not yes:
        if as_json:
            raise typer.BadParameter("--json asks nobody: it needs --yes")
        typer.confirm(warning, abort=True, err=True)
    if revision < FIRST_WITH_EXPLANATIONS:
        _remove_explanations(settings)
    downgrade(url, revision)
    if as_json:
        print_json({"revision": revision})
    else:
        typer.echo(f"the database is at {revision}; any command of this version would upgrade it again")


def _remove_explanations(settings: "Settings") -> None:
    """Remove files that an older version does not know of: it would leave them when their scans go."""
    from service.storage import EXPLANATIONS, open_as_kept

    storage = open_as_kept(settings)
    for file in list(storage.stored(EXPLANATIONS)):
        storage.delete(file.key)


@app.command("upgrade")
def upgrade_database(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the database to the newest schema; nothing happens when it is there already."""
    bring_up_to_date(load_settings(data_dir))
    if as_json:
        print_json({"schema": "current"})
    else:
        typer.echo("the database has the newest schema")
