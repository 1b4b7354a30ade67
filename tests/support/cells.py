"""Run cells of Python as a notebook does: ``python cells.py`` reads them as a JSON list.

One namespace for all, inside a running event loop, a cell's last expression shown. Writes a JSON
list of what each cell printed and showed; ends with the traceback of the first that fails.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import json
import sys
from typing import Any


def run_cell(text: str, names: dict[str, Any]) -> str:
    """Run a cell in a namespace; what it printed, then its last expression where that has one."""
    body = ast.parse(text).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
            if value is not None:
                print(repr(value))
    return said.getvalue()


async def run_cells(cells: list[str]) -> list[str]:
    """Run cells in their order. A notebook's event loop runs while its cells do, and so here."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [run_cell(cell, names) for cell in cells]


if __name__ == "__main__":
    shown = asyncio.run(run_cells(json.load(sys.stdin)))
    print(json.dumps(shown))
