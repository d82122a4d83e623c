"""``restnet storage``: the keys with which stored scans are encrypted."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.output import print_json, say
from service.cli.usage import AsJson

app = typer.Typer(no_args_is_help=True)


@app.callback()
def storage_commands() -> None:
    """Keep the name of a single command on the command line."""


@app.command("new-key")
def new_key(
    file: Annotated[Path, typer.Argument(help="The key file, for RESTNET_ENCRYPTION_KEY_FILE.")],
    *,
    add: Annotated[
        bool, typer.Option("--add", help="Put a new key before those of the file, which stay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key for stored scans, in a new file that its owner alone may read."""
    from service.storage.key_file import add_key, make_key_file

    public = add_key(file) if add else make_key_file(file)
    if as_json:
        print_json({"file": str(file), "public_key": public})
    else:
        say(f"{file} now encrypts with {public}")
        say("Keep a copy of it elsewhere: without it the scans cannot be read any more.", err=True)
