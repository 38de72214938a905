"""Which commands are there?"""

from typing import Annotated

import typer

from blendrop import __version__
from blendrop.cli import (
    farm_commands,
    fetch_command,
    job_commands,
    outcome,
    steer_commands,
    submit_command,
)

_CODES = "\n\n".join(f"{int(code)}: {meaning}" for code, meaning in outcome.MEANINGS.items())

app = typer.Typer(
    name="blendrop",
    help="Render Blender animations on a farm that runs only while it renders.",
    epilog=f"Exit codes:\n\n{_CODES}\n\nExample: blendrop submit shot.blend --frames 1-250 --watch",
    no_args_is_help=True,
    # A fault of ours is shown as Python shows it: never with the values of variables.
    pretty_exceptions_enable=False,
)
for commands in (submit_command, job_commands, fetch_command, steer_commands, farm_commands):
    commands.add_to(app)


def _show_version(asked: bool) -> None:  # noqa: FBT001 typer calls it so
    if asked:
        typer.echo(f"blendrop {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    app(prog_name="blendrop")
