"""``restnet health``: what a container's engine asks; exit status 0 when at work, 1 when not."""

from typing import Annotated

import typer

from service.cli.database import DataDir, load_settings
from service.cli.output import OUR_FAULT, print_json, say
from service.cli.usage import AsJson

PATIENCE_S = 5

app = typer.Typer(no_args_is_help=True)


@app.command("web")
def web(
    *,
    url: Annotated[str, typer.Option(help="Where the process answers.")] = "http://127.0.0.1:8000",
    as_json: AsJson = False,
) -> None:
    """Tell whether a web process answers."""
    from http import HTTPStatus
    from urllib.request import urlopen

    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("--url takes an address that begins with http:// or https://")
    try:
        with urlopen(f"{url.rstrip('/')}/healthz", timeout=PATIENCE_S) as answer:  # noqa: S310  (checked)
            healthy = answer.status == HTTPStatus.OK
    except OSError:
        healthy = False
    _tell(healthy=healthy, as_json=as_json)


@app.command("worker")
def worker(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Tell whether a worker of this machine, or of this container, said lately that it is there."""
    import socket

    from service.db.engine import make_engine, session_factory
    from service.presence import is_present

    engine = make_engine(load_settings(data_dir).database_url.get_secret_value())
    try:
        with session_factory(engine)() as session:
            healthy = is_present(session, host=socket.gethostname())
    finally:
        engine.dispose()
    _tell(healthy=healthy, as_json=as_json)


def _tell(*, healthy: bool, as_json: bool) -> None:
    if as_json:
        print_json({"healthy": healthy})
    else:
        say("at work" if healthy else "not at work", err=not healthy)
    raise typer.Exit(0 if healthy else OUR_FAULT)
