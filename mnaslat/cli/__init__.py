"""The command line: the only room that imports all others."""

import functools
import sys
from collections.abc import Callable

import typer

from mnaslat.cli.devices import devices
from mnaslat.cli.listing import LISTING
from mnaslat.cli.measure import MEASURING
from mnaslat.cli.models import MODELS
from mnaslat.cli.predicting import PREDICTING
from mnaslat.cli.reports import REPORTS
from mnaslat.cli.searching import SEARCHING
from mnaslat.errors import MnaslatError

app = typer.Typer(
    name="mnaslat",
    help="Latency-first neural architecture search for phones: profile, predict, search.",
    epilog="First steps: mnaslat profile, then mnaslat calibrate, then mnaslat search.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def main() -> None:
    """Run the command line; errors are one sentence, and the exit status says whose they are."""
    try:
        app()
    except MnaslatError as error:
        _fail(str(error))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _fail(
            f"The system refused a file operation{where}: {error.strerror or error}. What was "
            "finished before is kept; free the disk or choose another folder, and run it again."
        )


def _stoppable(command: Callable[..., None]) -> Callable[..., None]:
    """Ctrl-C ends a command with a sentence instead of a bare "Aborted"."""

    @functools.wraps(command)
    def run(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            _fail("Stopped. Run the same command again to go on where it stopped.", 130)

    return run


def _fail(message: str, status: int = 1) -> None:
    print(f"mnaslat: {message}", file=sys.stderr)
    sys.exit(status)


app.add_typer(devices, name="devices")
for _command in (*MEASURING, *MODELS, *PREDICTING, *LISTING, *SEARCHING, *REPORTS):
    app.command()(_stoppable(_command))
