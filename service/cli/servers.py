"""``restnet serve`` and ``restnet worker``: the processes."""

import threading
from typing import Annotated

import typer

from service.cli.database import DataDir, load_settings


def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option("--demo", help="Make a login and an API key, printed once.")] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="With --demo: score a simulated scan over REST at the start.")
    ] = False,
) -> None:
    """Run the web page, REST and the workers on this machine until Ctrl-C. No other server is needed."""
    from service.cli.sample import score_sample_when_ready
    from service.supervisor import serve as supervise

    if sample and not demo:
        raise typer.BadParameter("--sample needs the API key that --demo makes")
    settings = load_settings(data_dir)
    if sample:
        threading.Thread(
            target=score_sample_when_ready,
            args=(f"http://{host}:{port}", settings.data_dir),
            name="sample",
            daemon=True,
        ).start()
    supervise(settings, host=host, port=port, demo=demo)


def worker(
    *,
    queue: Annotated[
        list[str], typer.Option(help="inference, training or maintenance; may be given several times.")
    ],
    data_dir: DataDir = None,
) -> None:
    """Run one more worker, on this machine or on another with the same database, broker and storage."""
    from service.queue import QUEUES
    from service.worker.process import run_worker

    known = [name for name in QUEUES if name in queue]
    if len(known) < len(set(queue)):
        raise typer.BadParameter(f"--queue takes {', '.join(QUEUES)}")
    raise typer.Exit(run_worker(load_settings(data_dir), known))
