"""`Commands`: gamebridge's own commands and, where they are asked for, those of plugins.

No plugin is imported for a command of gamebridge's own. `gamebridge --help` imports those that
there are to name their commands, but makes none; a broken one is passed over with a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
import typer.core
import typer.main

from gamebridge import errors

if TYPE_CHECKING:
    from gamebridge.contract import CommandRecord
    from gamebridge.host import Host, Listed


class Commands(typer.core.TyperGroup):
    """The commands of `gamebridge`."""

    def __init__(self, **attributes: Any) -> None:
        """Takes gamebridge's own."""
        super().__init__(**attributes)
        self._own = frozenset(self.commands)

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names of all, gamebridge's own first."""
        try:
            host = self._look(ctx)
        except errors.Error as error:
            ctx.obj.say(f"gamebridge: warning: {error}")
        else:
            if host.failures():
                ctx.obj.say(
                    "gamebridge: warning: a plugin failed, so that its commands are missing here; "
                    "`gamebridge games` tells why."
                )
        return [*self.commands]

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Finds the command that the first word names.

        Raises:
          PluginError: several plugins bring it, or its plugin cannot make it.
          UnknownId: there is none, and it may be of a plugin that failed.
        """
        name = args[0]
        if name not in self._own and name[:1] != "-":
            host = self._look(ctx)
            if name in self.commands or ":" in name:
                with ctx.obj.foreign_code():
                    return name, _made(host.locate_command(name)), args[1:]
            failures = host.failures()
            if failures:
                raise errors.UnknownId(
                    f"No such command '{name}'.{errors.nearest(name, self.commands)} It may be of "
                    f"a plugin that failed: {' '.join(map(str, failures))}"
                )
        return super().resolve_command(ctx, args)

    def _look(self, ctx: Any) -> Host:
        """Adds what stands for the commands of plugins; returns where those are to be had."""
        import os
        import pathlib

        from gamebridge import host, opening

        # Told before the command; its own place is where a command begins.
        folder = ctx.params.get("plugins")
        if folder is None:
            folder = os.environ.get(opening.PLUGIN_FOLDER_VARIABLE, "")
        with ctx.obj.foreign_code():
            found = host.Host.discover(pathlib.Path(folder) if folder else None)
            listed = found.commands()
        for one in listed:
            name = one.record.name
            if name in self._own:
                ctx.obj.say(
                    f"gamebridge: warning: {one.plugin} brings the command '{name}', which is "
                    f"gamebridge's own. Use '{one.plugin.key}:{name}' for that."
                )
            else:
                self.commands[name] = typer.core.TyperCommand(name, help=one.record.summary)
        return found


def _made(listed: Listed[CommandRecord]) -> Any:
    """Makes a plugin's command.

    Raises:
      PluginError: the plugin raised, or made something else.
    """
    record, plugin = listed.record, listed.plugin
    try:
        made = record.make()
    except errors.Error:
        raise
    except (Exception, SystemExit) as error:
        raise errors.PluginError(
            f"The command '{record.name}' of {plugin} could not be made: {type(error).__name__}: "
            f"{error}. Mend or uninstall that plugin."
        ) from error
    if not isinstance(made, typer.Typer):
        raise errors.PluginError(
            f"The command '{record.name}' of {plugin} was made as {made!r}; expected a typer.Typer."
        )
    whole = typer.Typer(add_completion=False, rich_markup_mode=None)
    whole.add_typer(made, name=record.name, help=record.summary)
    group: Any = typer.main.get_command(whole)
    return group.commands[record.name]
