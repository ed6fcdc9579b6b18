"""Whatever text comes in, a workload or an InputError comes out, after work in proportion to it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ullage import api
from ullage.errors import InputError
from ullage.spec.parse import parse_workload

EXAMPLES = [p.read_text() for p in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))]
BOMB = "a0: &a0 [x, x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20))
CHAIN = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} {'[' * 20}*a{n - 1}{']' * 20}" for n in range(1, 200))
HOSTILE = {
    "deep list": "[" * 500_000,
    "deep block list": "- " * 400_000,
    "deep mapping": "{a: " * 200_000,
    "deep keys": "? " * 400_000,
    "alias bomb": BOMB,
    "alias chain": CHAIN,
    "many keys": "kind: pii\n" + "\n".join(f"key{n}: 1" for n in range(6_000)),
    "many roles": "kind: pii\nroles:\n" + "\n".join(f"  r{n}: {{modle: x}}" for n in range(3_000)),
    "many twice": "a: 1\n" * 6_000,
    "long word": "kind: " + "a" * 900_000,
    "long number": "batch: " + "9" * 900_000,
    "long base-60 number": "batch: 1" + ":59" * 200_000 + "\nkind: pii",
    "long quote": "'" * 900_000,
    "long tag": "kind: " + "!" * 900_000,
    "long fraction": "batch: " + "9" * 900_000 + ".5",
    "many anchors": "\n".join(f"- &a{n} x" for n in range(60_000)),
    "no keys": "{" + ", ".join(f"a{n}" for n in range(90_000)) + "}",
    "colons": ": " * 400_000,
}
TOKENS = [
    *":,-[]{}&*?!|>'\"#%@`\t\n\0~",
    *("kind", "roles", "model", "captures", "budget", "memory", "assistant", "precision", "batch"),
    *("null", "true", "0", "-1", "1e9", ".nan", "gpu:0", "4bit", "99%", "1:59", "<<", ": ", "- "),
    "use_quantized: true",
    "&a",
    "*a",
    "\ud800",
    "\u2028",
    "\ufeff",
]


FIXED, EACH = 500_000, 25
"""Calls that any text may cost, and each of its characters: about twice what the worst of these does."""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_after_work_in_proportion_to_it(name: str, bounded: Any) -> None:
    sections = api.sections()
    with bounded(FIXED + EACH * len(HOSTILE[name])), pytest.raises(InputError) as caught:
        parse_workload(HOSTILE[name], "w.yaml", sections)
    assert len(str(caught.value)) < 20_000


def test_work_beyond_the_bound_fails(bounded: Any) -> None:
    with pytest.raises(AssertionError, match="more than 1000 calls"), bounded(1000):
        parse_workload(HOSTILE["many keys"], "w.yaml", {})


def test_deep_nesting_does_not_crash_the_interpreter() -> None:
    code = "from ullage.spec.document import read_value; read_value('[' * 900_000)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "nested deeper" in result.stderr


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """An example with pieces cut out, doubled, or put in."""
    text = draw(st.sampled_from(EXAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        middle = draw(st.one_of(st.sampled_from(TOKENS), st.just(text[start:end] * 2), st.just("")))
        text = text[:start] + middle + text[end:]
    return text


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_mutated_examples_parse_or_raise_input_errors(text: str) -> None:
    try:
        workload = parse_workload(text, "w.yaml", api.sections())
    except InputError:
        return
    phases = api.phases(workload)
    assert len({phase.name for phase in phases}) == len(phases)


PATHS = st.lists(
    st.sampled_from(["roles", "player", "model", "captures", "0", "sites", "batch", "werewolf", "x", ""]),
    max_size=4,
).map(".".join)
VALUES = st.one_of(st.sampled_from([*TOKENS, "nf4", "{}", "[]", "[1]"]), st.text(max_size=8))


@settings(max_examples=200)
@given(st.lists(st.tuples(PATHS, VALUES).map("=".join), min_size=1, max_size=3))
def test_any_override_parses_or_raises_input_errors(overrides: list[str]) -> None:
    text = next(text for text in EXAMPLES if "kind: werewolf" in text)
    with contextlib.suppress(InputError):
        parse_workload(text, "w.yaml", api.sections(), overrides)
