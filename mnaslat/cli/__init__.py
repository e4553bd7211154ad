"""The command line: parses, calls the Python API of ``mnaslat.workflow`` and prints."""

import functools
import sys
from collections.abc import Callable
from typing import Annotated

import typer

import mnaslat
from mnaslat.cli.commands.calibrate import calibrate
from mnaslat.cli.commands.devices import devices
from mnaslat.cli.commands.evaluate import evaluate
from mnaslat.cli.commands.export import export
from mnaslat.cli.commands.model import model
from mnaslat.cli.commands.predict import predict
from mnaslat.cli.commands.predictors import predictors
from mnaslat.cli.commands.profile import profile
from mnaslat.cli.commands.report import report
from mnaslat.cli.commands.search import search
from mnaslat.cli.commands.space import space
from mnaslat.cli.commands.validate import validate
from mnaslat.errors import ArgumentError, MnaslatError

# Arguments of the Python API that the command line calls otherwise.
_OPTION_OF = {"model": "MODEL", "n_networks": "--models", "n_samples": "--samples"}

app = typer.Typer(
    name="mnaslat",
    help="Latency-first neural architecture search for phones: profile, predict, search.",
    epilog="First steps: mnaslat profile, then mnaslat calibrate, then mnaslat search.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"mnaslat {mnaslat.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Latency-first neural architecture search for phones: profile, predict, search."""


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
    """Turn wrong arguments into usage errors, and Ctrl-C into a sentence."""

    @functools.wraps(command)
    def run(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except ArgumentError as error:
            option = _OPTION_OF.get(error.argument) or f"--{error.argument.replace('_', '-')}"
            raise typer.BadParameter(str(error), param_hint=option) from None
        except KeyboardInterrupt:
            _fail("Stopped. Run the same command again to resume it.", 130)

    return run


def _fail(message: str, status: int = 1) -> None:
    print(f"mnaslat: {message}", file=sys.stderr)
    sys.exit(status)


app.add_typer(devices, name="devices")
for _command in (
    profile,
    calibrate,
    evaluate,
    validate,
    space,
    model,
    export,
    predict,
    predictors,
    search,
    report,
):
    app.command()(_stoppable(_command))
