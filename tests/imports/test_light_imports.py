"""Planning stays light: what each verb leaves in sys.modules."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "vllm", "sklearn", "fastapi", "numpy", "accelerate", "pandas"}
VERBS = [
    ["plan", "examples/werewolf.yaml"],
    ["plan", "examples/assistant.yaml", "--json", "--fidelity", "formula"],
    ["plan", "examples/pii.yaml", "--sweep", "batch=1..4", "--fidelity", "formula"],
    ["estimate", "Qwen/Qwen2.5-7B-Instruct", "--engine", "vllm"],
    ["gpus", "examples/pii.yaml"],
    ["gpus"],
    ["models"],
    ["audit", "examples/claims/werewolf-probes.yaml"],
    ["guide", "examples/pii.yaml"],
    ["models", "google/gemma-3-4b-it"],
    ["schema"],
    ["doctor", "--quick"],
    ["doctor", "examples/pii.yaml", "--quick"],
    ["doctor", "examples/small/assistant-tiny.yaml", "--quick"],
    ["evidence"],
    ["--help"],
    ["pii", "--help"],
    ["extract", "--help"],
    ["judge", "--help"],
    ["probe", "fit", "--help"],
]
PROBE = """
import json, sys
try:
    {body}
except SystemExit:
    pass
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""


def loaded(body):
    code = PROBE.format(body=body)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_verb_loads_a_heavy_library(verb):
    assert not HEAVY & loaded(f"import ullage.cli.main as m; m.main({verb!r})")


def test_what_is_proven_is_planned_without_torch():
    proven = (
        "import ullage.cli.main as m, ullage.memory.proven as p; from ullage.facts.proof import Proof; "
        "p.proof_of = lambda *_, **__: Proof('proven'); m.main(['plan', 'examples/extract.yaml'])"
    )
    assert not HEAVY & loaded(proven)


def test_importing_ullage_loads_almost_nothing():
    assert not (HEAVY | {"pydantic", "typer", "rich", "yaml"}) & loaded("import ullage")


def test_this_check_can_fail():
    assert "numpy" in HEAVY & loaded("import numpy")
