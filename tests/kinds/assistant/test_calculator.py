"""The calculator works sums out, and nothing else."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.kinds.assistant.tools.calculator import FUNCTIONS, LONGEST, Calculator, calculated
from ullage.kinds.assistant.tools.tool import ToolError


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", "14"),
        (" (2+3)*4 ", "20"),
        ("0.1 + 0.2", "0.3"),
        ("10 / 4", "2.5"),
        ("10 / 5", "2"),
        ("-7 // 2", "-4"),
        ("7 % 4", "3"),
        ("2 ** 10", "1024"),
        ("2 ** -1", "0.5"),
        ("2 ** 0.5", "1.4142135623731"),
        ("1e308 * 1", "1e+308"),
        ("max(1, 2.5, min(3, 9)) + abs(-1)", "4"),
        ("round(2.71828, 3)", "2.718"),
        ("factorial(20)", "2432902008176640000"),
        ("sqrt(2) ** 2", "2"),
        ("log(8, 2) + log10(1000)", "6"),
        ("2 * pi", "6.28318530717959"),
        ("123456789123456789 * 987654321987654321", str(123456789123456789 * 987654321987654321)),
        ("1 ** 99999999999", "1"),
    ],
)
def test_it_works_out(expression, value):
    got = calculated(expression)
    assert got == value or math.isclose(float(got), float(value), rel_tol=1e-13)
    assert Calculator().call({"expression": expression}) == got


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1 / 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("9 ** 9 ** 9", "too large"),
        ("9 ** 99999999999999", "too large"),
        ("9.9 ** 999999", "too large"),
        ("10 ** 400 / 3", "too large"),
        ("2 ** 4000 * 2 ** 4000", "too large"),
        ("1e400", "too large, or none"),
        ("1e308 * 10", "too large, or none"),
        ("factorial(501)", "from 0 to 500"),
        ("factorial(1e9)", "from 0 to 500"),
        ("round(1, -1000000000)", "from 0 to 15"),
        ("round(1.5, 0.5)", "from 0 to 15"),
        ("exp(1000)", "exp"),
        ("sqrt(-1)", "sqrt"),
        ("(-8) ** 0.5", "no real number"),
        ("log(1, 1)", "log"),
        ("sqrt(1, 2)", "sqrt takes 1 numbers"),
        ("min()", "min takes 1 to 100 numbers"),
        ("2 ^ 3", r"write \*\* for powers"),
        ("1,000 * 2", "without commas"),
        ("", "cannot be read"),
        ("2 +", "cannot be read"),
        ("1; 2", "cannot be read"),
        ("import os", "cannot be read"),
        ("x = 1", "cannot be read"),
        ("(" * 249 + "1" + ")" * 249, "cannot be read"),
        ("-" * 100 + "1", "nested deeper"),
        ("1" * 501, "more than 500 characters"),
        ("1\0", "cannot be read"),
        ("__import__('os').system('true')", "no arithmetic"),
        ("open('x')", "open is not known"),
        ("().__class__", "no arithmetic"),
        ("[1][0]", "no arithmetic"),
        ("'a' * 9", "no arithmetic"),
        ("True + 1", "no arithmetic"),
        ("1 < 2", "no arithmetic"),
        ("2j * 2j", "no arithmetic"),
        ("lambda: 1", "no arithmetic"),
        ("max(*[1, 2])", "no arithmetic"),
        ("max(1, key=2)", "not known|no arithmetic"),
        ("1 << 99999999", "no arithmetic"),
        ("f'{1}'", "no arithmetic"),
        ("(y := 3)", "no arithmetic"),
        ("e()", "e is not known"),
    ],
)
def test_what_is_no_sum_or_too_much_fails_in_one_line(expression, message):
    with pytest.raises(ToolError, match=message) as raised:
        calculated(expression)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("arguments", [{}, {"expression": 3}, {"expression": "1", "more": 2}, {"text": "1"}])
def test_other_arguments_are_told(arguments):
    with pytest.raises(ToolError, match="takes one argument, expression"):
        Calculator().call(arguments)


PARTS = st.sampled_from([*FUNCTIONS, *"0123456789+-*/%().,e", "**", "//", "pi", " ", "9" * 40, "1e300"])


@given(st.lists(PARTS, max_size=40).map("".join))
def test_whatever_is_written_is_a_number_or_one_line(text):
    try:
        value = calculated(text)
    except ToolError as error:
        assert "\n" not in str(error)
    else:
        assert math.isfinite(float(value)) if len(value) < 300 else value.lstrip("-").isdigit()


@given(st.text(max_size=LONGEST + 10))
def test_any_text_is_a_number_or_one_line(text):
    try:
        float(calculated(text))
    except ToolError as error:
        assert "\n" not in str(error)
    except OverflowError:
        pass  # a whole number that no double holds


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.sampled_from("+-*"))
def test_whole_numbers_stay_exact(left, right, sign):
    done = {"+": left + right, "-": left - right, "*": left * right}[sign]
    assert calculated(f"({left}) {sign} ({right})") == str(done)
