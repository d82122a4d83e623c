"""``restnet db``, and how every command reaches the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from service.cli.output import print_json
from service.cli.scans import AsJson
from service.errors import ServiceError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.settings import Settings

app = typer.Typer(no_args_is_help=True)


class SettingsError(ServiceError):
    """A setting in the environment that RestNet cannot work with."""

    code: ClassVar[str] = "settings_not_valid"

    def __init__(self, *, problems: list[dict[str, str]]) -> None:
        self.problems = problems
        found = "; ".join(f"{problem['setting']}: {problem['problem']}" for problem in problems)
        super().__init__(f"expected settings as docs/settings.md describes them, found {found}")


DataDir = Annotated[
    Path | None, typer.Option(help="Folder of the embedded parts; RESTNET_DATA_DIR or ./data if not named.")
]


def load_settings(data_dir: Path | None = None) -> "Settings":
    """Build the settings from the environment; a folder named on the command line wins.

    Raises
    ------
    SettingsError
        If a variable holds a value that the setting cannot take.
    """
    from pydantic import ValidationError

    from service.settings import PREFIX, Settings

    try:
        return Settings() if data_dir is None else Settings(data_dir=data_dir)
    except ValidationError as error:
        problems = [
            {"setting": PREFIX + "_".join(map(str, problem["loc"])).upper(), "problem": problem["msg"]}
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError(problems=problems) from error


@contextmanager
def migrated_session(settings: "Settings") -> Iterator["Session"]:
    """Open a session on a database that has every migration, and commit at the end."""
    from service.db.engine import make_engine, session_factory
    from service.db.migrate import upgrade

    url = settings.database_url.get_secret_value()
    upgrade(url)
    engine = make_engine(url)
    try:
        with session_factory(engine).begin() as session:
            yield session
    finally:
        engine.dispose()


@app.command("upgrade")
def upgrade_database(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the database to the newest schema; nothing happens when it is there already."""
    from service.db.migrate import upgrade

    upgrade(load_settings(data_dir).database_url.get_secret_value())
    if as_json:
        print_json({"schema": "current"})
    else:
        typer.echo("the database has the newest schema")
