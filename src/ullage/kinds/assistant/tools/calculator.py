"""A calculator for models: expressions are read here and worked out step by step; nothing is evaluated."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable
from typing import Final

from ullage.engines.offered import Definition
from ullage.kinds.assistant.tools.tool import Arguments, ToolError

Number = int | float
LONGEST: Final = 500
"""Characters of an expression, which bounds its steps."""
DEEPEST: Final = 50
BITS: Final = 4096
"""Of the largest whole number; each step on such numbers takes microseconds."""
DIGITS: Final = 15
"""Of a result that is not whole: what a double holds for certain, so that 0.1 + 0.2 is 0.3."""
CONSTANTS: Final = {"pi": math.pi, "e": math.e}
_SIGNS: Final = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
}  # fmt: skip


class Calculator:
    """Numbers, + - * / // % **, brackets, constants and the functions of `FUNCTIONS`."""

    @property
    def definition(self) -> Definition:
        names = ", ".join([*FUNCTIONS, *CONSTANTS])
        told = f"Works out an arithmetic expression with + - * / // % ** ( ) and {names}."
        expression = {"type": "string", "description": "for example (12.5 + 3) * 4 ** 2"}
        return Definition(
            "calculator",
            told,
            {
                "type": "object",
                "properties": {"expression": expression},
                "required": ["expression"],
                "additionalProperties": False,
            },
        )

    def call(self, arguments: Arguments) -> str:
        expression = arguments.get("expression")
        if not isinstance(expression, str) or len(arguments) != 1:
            raise ToolError("calculator takes one argument, expression, a text")
        return calculated(expression)


def calculated(expression: str) -> str:
    """The value of an expression in decimal digits. Raises ToolError."""
    value = _checked(_value(_read(expression), 0))
    if isinstance(value, float):
        rounded = float(f"{value:.{DIGITS}g}")
        value = int(rounded) if rounded.is_integer() and abs(rounded) < 10**DIGITS else rounded
    return str(value)


def _read(expression: str) -> ast.expr:
    if len(expression) > LONGEST:
        raise ToolError(f"the expression has more than {LONGEST} characters")
    if "," in expression and not any(name in expression for name in FUNCTIONS):
        raise ToolError("write numbers without commas between their digits")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ToolError(f"the expression cannot be read: {getattr(error, 'msg', None) or error}") from error


def _value(node: ast.expr, depth: int) -> Number:
    if depth > DEEPEST:
        raise ToolError(f"the expression is nested deeper than {DEEPEST} levels")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _checked(number)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, depth + 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner, depth + 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _SIGNS:
            return _step(_SIGNS[type(op)], _value(left, depth + 1), _value(right, depth + 1))
        case ast.BinOp(op=ast.BitXor()):
            raise ToolError("^ is not known; write ** for powers")
        case ast.Call(func=ast.Name(id=name), args=inner, keywords=[]) if name in FUNCTIONS:
            return _applied(name, [_value(each, depth + 1) for each in inner])
        case ast.Name(id=name) | ast.Call(func=ast.Name(id=name)):
            raise ToolError(f"{name} is not known; there are {', '.join([*FUNCTIONS, *CONSTANTS])}")
    raise ToolError(f"{type(node).__name__} is no arithmetic; write numbers, + - * / // % ** ( )")


def _step(sign: str, left: Number, right: Number) -> Number:
    try:
        match sign:
            case "+":
                return _checked(left + right)
            case "-":
                return _checked(left - right)
            case "*":
                return _checked(left * right)
            case "/":
                return _checked(left / right)
            case "//":
                return _checked(left // right)
            case "%":
                return _checked(left % right)
        return _power(left, right)
    except ZeroDivisionError as error:
        raise ToolError("division by zero") from error
    except OverflowError as error:
        raise ToolError("a number is too large") from error


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(base) > 1 and exponent * (abs(base).bit_length() - 1) > BITS:
            raise ToolError("a number is too large")
        return _checked(base**exponent)
    found: object = float(base) ** exponent
    if not isinstance(found, float):
        raise ToolError(f"{base} ** {exponent} is no real number")
    return _checked(found)


def _applied(name: str, values: list[Number]) -> Number:
    least, most, function = FUNCTIONS[name]
    if not least <= len(values) <= most:
        raise ToolError(f"{name} takes {least if least == most else f'{least} to {most}'} numbers")
    try:
        return _checked(function(*values))
    except (ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        raise ToolError(f"{name}: {error}") from error


def _checked(value: Number) -> Number:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ToolError("a number is too large, or none")
    elif value.bit_length() > BITS:
        raise ToolError("a number is too large")
    return value


def _rounded(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or not 0 <= digits <= DIGITS:
        raise ValueError(f"digits are a whole number from 0 to {DIGITS}")
    return round(value, digits) if digits else round(value)


def _factorial(value: Number) -> int:
    if not isinstance(value, int) or not 0 <= value <= 500:
        raise ValueError("is known of whole numbers from 0 to 500")
    return math.factorial(value)


FUNCTIONS: Final[dict[str, tuple[int, int, Callable[..., Number]]]] = {
    "abs": (1, 1, abs), "round": (1, 2, _rounded), "floor": (1, 1, math.floor), "ceil": (1, 1, math.ceil),
    "min": (1, 100, lambda *all: min(all)), "max": (1, 100, lambda *all: max(all)),
    "sqrt": (1, 1, math.sqrt), "exp": (1, 1, math.exp), "log": (1, 2, math.log),
    "log10": (1, 1, math.log10),
    "sin": (1, 1, math.sin), "cos": (1, 1, math.cos), "tan": (1, 1, math.tan),
    "factorial": (1, 1, _factorial),
}  # fmt: skip
"""The least and the most numbers each takes, and what it does."""
