"""``restnet serve``, ``prepare``, ``web`` and ``worker``: the processes, together or one by one."""

import json
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from service.cli.database import DataDir, load_settings
from service.cli.output import print_json, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from service.settings import Settings


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option("--demo", help="Make a login and an API key, printed once.")] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="With --demo: score a simulated scan over REST at the start.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON line when ready: address and, with --demo, the credentials' file. "
            "All else, and the log as JSON lines, goes to standard error.",
        ),
    ] = False,
) -> None:
    """Run the web page, REST and the workers on this machine until Ctrl-C. No other server is needed."""
    from service.cli.sample import score_sample_when_ready
    from service.embedded.demo import FILE_NAME
    from service.embedded.supervisor import serve as supervise

    if sample and not demo:
        raise typer.BadParameter("--sample needs the API key that --demo makes")
    settings = _settings(data_dir, as_json=as_json)
    base_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    out = sys.stdout
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        if as_json:
            credentials = settings.data_dir / FILE_NAME if demo else None
            _beside("announcement", announce_when_ready, base_url, credentials, out)
        if sample:
            _beside("sample", score_sample_when_ready, base_url, settings.data_dir)
        supervise(settings, host=host, port=port, demo=demo)


def announce_when_ready(base_url: str, credentials: Path | None, out: TextIO) -> None:
    """Print where the service answers, as one JSON line, once it does; nothing if it never does.

    Parameters
    ----------
    base_url : str
        ``http://host:port`` of a service that is starting.
    credentials : Path or None
        Where the demonstration's credentials are; their text is not printed.
    out : text stream
    """
    from service.cli.sample import wait_until_ready

    try:
        wait_until_ready(base_url)
    except OSError as error:
        say(f"The service did not get ready: {error}", fg="red", err=True)
        return
    line = {"address": base_url} | ({"credentials": str(credentials)} if credentials else {})
    out.write(json.dumps(line, ensure_ascii=False) + "\n")
    out.flush()


def worker(
    *,
    queue: Annotated[
        list[str],
        typer.Option(
            help="inference, explanation, planning, evaluation, training or maintenance; several if need be."
        ),
    ],
    data_dir: DataDir = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the log as JSON lines; nothing else is printed.")
    ] = False,
) -> None:
    """Run one more worker, on this machine or on another with the same database, broker and storage."""
    from service.private import make_private_folder
    from service.queue import QUEUES
    from service.worker.process import run_worker

    known = [name for name in QUEUES if name in queue]
    if len(known) < len(set(queue)):
        raise typer.BadParameter(f"--queue takes {', '.join(QUEUES)}")
    settings = _settings(data_dir, as_json=as_json)
    if settings.data_dir.is_dir():
        # With every part elsewhere a worker needs none, and makes none.
        make_private_folder(settings.data_dir)
    raise typer.Exit(run_worker(settings, known))


def web(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    data_dir: DataDir = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the log as JSON lines; nothing else is printed.")
    ] = False,
) -> None:
    """Run one web process over a database that `restnet prepare` made ready; workers run elsewhere."""
    from service.api.main import run_web
    from service.embedded.supervisor import require_address
    from service.private import make_private_folder, write_privately

    settings = _settings(data_dir, as_json=as_json)
    require_address(host, port)
    write_privately()
    make_private_folder(settings.data_dir)
    # Once it has stopped in good order, the server sends itself the signal again: supervisors know an end by
    # SIGTERM as a clean one, and not one by an exit status of our own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    run_web(settings, host=host, port=port)


def prepare(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make a service of several processes ready: the newest schema, and a model that answers.

    The model is what RESTNET_CHECKPOINT names; without it, the demonstration where none is registered yet.
    """
    from service.cli.database import bring_up_to_date
    from service.embedded.supervisor import prepare as prepare_service

    settings = load_settings(data_dir)
    bring_up_to_date(settings)
    prepare_service(settings, demo=False)
    if as_json:
        print_json({"prepared": True})
    else:
        say("the database has the newest schema, and a model answers")


def _settings(data_dir: Path | None, *, as_json: bool) -> "Settings":
    settings = load_settings(data_dir)
    return settings.model_copy(update={"log_format": "json"}) if as_json else settings


def _beside(name: str, work: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, name=name, daemon=True).start()
