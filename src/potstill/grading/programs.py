"""Programs in a trace: what a straight run of assignments prints, beside what the trace says.

Models that were taught to call an interpreter write a program and then invent its output. Only
assignments and sums of numbers and names are run, by this module itself: nothing else is executed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Printed", "printed"]

MAX_PROGRAM = 4_000
MAX_BITS = 2_000
_BLOCK = re.compile(
    r"```python\n(.{1,4000}?)```\s{0,8}```(?:output|python|text)?\n\s{0,8}(-?\d[\d,]*(?:\.\d+)?)\s*```",
    re.DOTALL,
)
_OPERATIONS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: operator.mod,
}


@dataclass(frozen=True, slots=True)
class Printed:
    """What a program comes to, and what the trace wrote as its output."""

    value: Fraction
    said: Fraction
    numbers: tuple[Fraction, ...]


def printed(text: str) -> list[Printed]:
    """Return the programs of a text that print one value, each with the output behind it."""
    found = []
    for program, said in _BLOCK.findall(text):
        numbers: list[Fraction] = []
        try:
            value = _run(ast.parse(program[:MAX_PROGRAM]), numbers)
        except (SyntaxError, ValueError, KeyError, ZeroDivisionError, RecursionError):
            continue
        found.append(Printed(value, Fraction(said.replace(",", "")), tuple(numbers)))
    return found


def _run(program: ast.Module, numbers: list[Fraction]) -> Fraction:
    """Return the value of the one print; ValueError for a program that does anything else."""
    names: dict[str, Fraction] = {}
    result = None
    for line in program.body:
        match line:
            case ast.Assign(targets=[ast.Name(name)], value=value):
                names[name] = _value(value, names, numbers)
            case ast.Expr(ast.Call(func=ast.Name("print"), args=[value], keywords=[])):
                if result is not None:
                    raise ValueError("two prints")
                result = _value(value, names, numbers)
            case _:
                raise ValueError("not a sum")
    if result is None:
        raise ValueError("no print")
    return result


def _value(node: ast.expr, names: Mapping[str, Fraction], numbers: list[Fraction]) -> Fraction:
    match node:
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            numbers.append(Fraction(str(number)))
            return numbers[-1]
        case ast.Name(name):
            return names[name]
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, names, numbers)
        case ast.BinOp(left, sign, right) if type(sign) in _OPERATIONS:
            one, two = _value(left, names, numbers), _value(right, names, numbers)
            result = _OPERATIONS[type(sign)](one, two)
            if max(result.numerator.bit_length(), result.denominator.bit_length()) > MAX_BITS:
                raise ValueError("too large")
            return result
    raise ValueError("not a sum")
