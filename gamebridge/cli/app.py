"""The `gamebridge` command: its global options, and how every command ends.

Whatever goes wrong is one line on stderr and an exit code (see `gamebridge.errors`);
a traceback is shown with --traceback only. Nothing heavy is imported here or by the
modules of the commands: `gamebridge --help` has to answer at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, cast

import typer

from gamebridge import errors
from gamebridge.cli import (
    benching,
    commands,
    doctoring,
    environing,
    evaluating,
    listing,
    matrix,
    training,
    tuning,
)
from gamebridge.cli.terminal import Terminal

# The base of all that the parser says of a command line, wherever this typer keeps it.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)
_TRACEBACK = "gamebridge-traceback-"

app = typer.Typer(
    name="gamebridge",
    help="Train TF-Agents agents on real games, and watch them play.",
    epilog="Start with: gamebridge train gym/CartPole-v1 --agent ppo --steps 30000 --run runs/demo",
    cls=commands.Commands,
    add_completion=False,
    # Help drawn by rich takes longer to load than all the rest.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("games")(listing.games)
app.command("agents")(listing.agents)
app.command("plugins")(listing.plugins)
app.command("train")(training.train)
app.command("evaluate")(evaluating.evaluate)
app.command("matrix")(matrix.matrix)
app.command("tune")(tuning.tune)
app.command("bench")(benching.bench)
app.command("doctor")(doctoring.doctor)
app.add_typer(environing.app, name="env")


def _show_version(wanted: bool) -> None:
    if wanted:
        import gamebridge

        typer.echo(f"gamebridge {gamebridge.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    plugins: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Load plugins from this folder too; '' for none. [default: $GAMEBRIDGE_PLUGINS]",
        ),
    ] = None,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error came from.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Train TF-Agents agents on real games, and watch them play."""
    terminal: Terminal = context.obj
    terminal.show_traceback = show_traceback
    if plugins is not None:
        from gamebridge import opening

        terminal.plugin_folder = plugins
        os.environ[opening.PLUGIN_FOLDER_VARIABLE] = plugins
    if context.invoked_subcommand is None:
        terminal.say(context.get_help())
        raise typer.Exit(errors.ConfigError.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code.

    Args:
      arguments: without the program's name; None takes those of this process.
    """
    terminal = Terminal()
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        _refuse_unreadable(given)
        command = typer.main.get_command(app)
        with command.make_context("gamebridge", given, obj=terminal) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except _UsageError as error:
        _explain_usage(terminal, error)
        return errors.ConfigError.exit_code
    except errors.Error as error:
        if terminal.show_traceback:
            terminal.say(traceback.format_exc())
        terminal.complain(str(error))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our results has enough of them, as `head` has after ten lines.
        terminal.drop_stdout()
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may have called sys.exit
        terminal.complain(_internal(error, terminal))
        return errors.Error.exit_code
    return 0


def _refuse_unreadable(arguments: Sequence[str]) -> None:
    """Names that Python and TensorFlow would write differently end as two files."""
    encoding = sys.getfilesystemencoding()
    for argument in arguments:
        try:
            argument.encode("utf-8")
            is_readable = argument.isascii() or encoding == "utf-8"
        except UnicodeEncodeError:
            is_readable = False
        if not is_readable:
            raise errors.ConfigError(
                f"The argument {argument!a} cannot be read: this locale's file names are "
                f"{encoding}, expected UTF-8. Set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or use "
                "ASCII names."
            )


def _explain_usage(terminal: Terminal, error: BaseException) -> None:
    context: typer.Context | None = getattr(error, "ctx", None)
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    path = context.command_path if context else "gamebridge"
    terminal.complain(f"{message.rstrip('.')}. `{path} --help` shows what it takes.")


def _internal(error: BaseException, terminal: Terminal) -> str:
    text = traceback.format_exc()
    first_line = (str(error).strip().splitlines() or [""])[0][:300]
    what = f"internal error: {type(error).__name__}: {first_line}, please report;"
    if terminal.show_traceback:
        terminal.say(text)
        return f"{what} the traceback is above."
    try:
        import tempfile

        from gamebridge.supervision import scratch

        scratch.sweep(_TRACEBACK)
        with tempfile.NamedTemporaryFile(
            "w",
            prefix=_TRACEBACK,
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(text)
    except OSError:
        return f"{what} `gamebridge --traceback ...` shows the traceback."
    return f"{what} the traceback is in {file.name}."
