"""What is wrong with a command line, in one sentence like all else that Potstill refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from potstill.errors import InputError

__all__ = ["Command", "Commands"]

# typer gives click's errors by no name of their own
_UsageError: type[Any] = typer.BadParameter.__mro__[1]


class Command(TyperCommand):
    """A command that says in Potstill's words what is wrong with its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what is left of the arguments. Raises InputError for what cannot be taken, also
        for a path of no characters, which would be the current folder.
        """
        with _in_our_words(ctx):
            given = self.make_parser(ctx).parse_args(args=list(args))[0]
            _refuse_swallowed(self, given)
            left = super().parse_args(ctx, args)
        for param in self.params:
            if given.get(param.name) == "" and isinstance(ctx.params.get(param.name), Path):
                raise InputError(f"{param.opts[0]} is empty; give a path, or leave it out.")
        return list(left)


class Commands(TyperGroup):
    """All commands, and what is said of one that is not there."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what is left of the arguments. Raises InputError for an option that is none."""
        if not args:  # the help is shown, by way of an error
            return list(super().parse_args(ctx, args))
        with _in_our_words(ctx):
            return list(super().parse_args(ctx, args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is meant. Raises InputError with the nearest where none is."""
        from potstill.plugins import nearest

        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            there = self.list_commands(ctx)
            raise InputError(f"there is no command {args[0]!r}{nearest(args[0], there)}.")
        return super().resolve_command(ctx, args)


def _refuse_swallowed(command: TyperCommand, given: Mapping[str, Any]) -> None:
    """Raise InputError where an option took the next one's name for its value."""
    names = {name for param in command.params for name in param.opts if name.startswith("-")}
    for param in command.params:
        value = given.get(str(param.name))
        if isinstance(value, str) and value in names and param.opts[0] in names:
            raise InputError(f"{param.opts[0]} is followed by {value} and not by a value; give it.")


@contextmanager
def _in_our_words(ctx: Any) -> Iterator[None]:
    try:
        yield
    except _UsageError as exc:
        raise InputError(_said(exc, ctx)) from exc


def _said(exc: Any, ctx: Any) -> str:
    from potstill.plugins import nearest

    command = ctx.command
    name = command.name if ctx.parent else "potstill"
    help_of_it = f"potstill {f'{name} ' if ctx.parent else ''}--help"
    param = getattr(exc, "param", None)
    if hasattr(exc, "param_type") and param is not None:  # nothing was given
        what = (getattr(param, "help", "") or "").partition("  [")[0].rstrip(".")
        told = f" ({what[:1].lower()}{what[1:]})" if what else ""
        return f"{name} needs {_called(param)}{told}; {help_of_it} shows all that it takes."
    if param is not None:
        return f"{_called(param)} {_should(exc)}"
    option = getattr(exc, "option_name", "")
    if option and hasattr(exc, "possibilities"):
        names = [x for p in command.get_params(ctx) for x in p.opts if x.startswith("-")]
        return f"{name} has no option {option!r}{nearest(option, names)}."
    if option:
        flags = {x for p in command.params if getattr(p, "is_flag", False) for x in p.opts}
        if option in flags:
            return f"{option} takes no value; give it alone, or leave it out."
        return f"{option} needs a value; {help_of_it} says which."
    if extra := re.search(r"unexpected extra arguments? ?(?:\(s\) )?\((.*)\)$", exc.message):
        takes = [_called(p) for p in command.params if p.param_type_name == "argument"]
        return (
            f"{name} takes {' and '.join(takes) or 'no argument'} and not {extra[1]} beside it; "
            "put what holds blanks in quotes, or leave it out."
        )
    return f"{name}: {exc.format_message()}"


def _called(param: Any) -> str:
    """Return what an option or an argument is called where it is shown."""
    return str(param.opts[0] if param.param_type_name == "option" else str(param.name).upper())


def _should(exc: Any) -> str:
    """Return what the value of an option should be, and what it is."""
    from pydantic import BaseModel, ValidationError

    from potstill.store.setting_errors import first_error

    cause = exc.__cause__
    if isinstance(cause, ValidationError):
        return first_error(cause, BaseModel)
    return f"cannot be taken: {exc.message}"
