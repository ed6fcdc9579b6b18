"""What a guide says where roles have lengths and batches of their own, and of changes it was made with."""

import re

import pytest
import yaml

import ullage

LENGTHS = {
    "kind": "evaluate",
    "budget": {"gpus": "L4"},
    "prompt_tokens": 900,
    "roles": {
        "generator": {"model": "Qwen/Qwen2.5-1.5B-Instruct", "batch": 8, "prompt_tokens": 2000},
        "judge": {"model": "Qwen/Qwen2.5-1.5B-Instruct"},
    },
}


def contexts(text):
    """The rows of the table of contexts: tokens, GiB of the fullest card."""
    table = text.partition("| tokens of prompt |")[2].partition("\n\n")[0]
    return re.findall(r"^\| (\d+) \| ([\d.]+)", table, re.MULTILINE)


@pytest.fixture(scope="module")
def of_lengths(tmp_path_factory):
    """A file whose roles have lengths of their own, and its guide, made with changes."""
    path = tmp_path_factory.mktemp("lengths") / "own.yaml"
    path.write_text(yaml.safe_dump(LENGTHS))
    return path, ullage.guide([path], set_=["budget.gpus=RTX 4060", "roles.generator.batch=8"])


def test_changes_stand_in_whatever_is_to_be_typed(of_lengths):
    text = of_lengths[1]
    typed = "own.yaml --set 'budget.gpus=RTX 4060' --set roles.generator.batch=8"
    assert f"Written by `ullage guide {typed}`" in text
    assert f"own.yaml, which was planned with `{typed.partition(' ')[2]}`:" in text
    commands = re.findall(r"^ullage (?!verify).*$", text, re.MULTILINE)
    assert len(commands) > 5
    assert [each for each in commands if typed not in each] == []


def test_lengths_and_batches_of_roles_are_said_and_varied(of_lengths):
    """Where roles have their own, the workload's alone would say and change nothing of what is planned."""
    path, text = of_lengths
    assert "- generator: Qwen/Qwen2.5-1.5B-Instruct, bf16, 2,000 tokens of prompt, batch 8" in text
    assert "Planned for 900 tokens of prompt, 128 new, batch 1 to 8, 1,000 examples." in text
    assert "`--set roles.generator.batch=4` halves most of both." in text
    found = contexts(text)
    assert [tokens for tokens, _ in found] == ["225", "450", "900", "1800", "3600"]
    for at, prompt in ((1, 1000), (3, 4000)):
        changes = [f"roles.generator.prompt_tokens={prompt}", f"prompt_tokens={prompt * 9 // 20}"]
        plan = ullage.plan(
            ullage.load(path, [*changes, "budget.gpus=RTX 4060"]), advice=False, fidelity="formula"
        )
        assert found[at][1] == f"{plan.devices[0].peak.device.expected / 2**30:.2f}"


def test_contexts_are_named_by_the_roles_where_each_has_its_own(tmp_path):
    path = tmp_path / "own.yaml"
    roles = {"model": {**LENGTHS["roles"]["generator"], "model": "ullage:tiny", "prompt_tokens": 80}}
    path.write_text(yaml.safe_dump({**LENGTHS, "kind": "extract", "roles": roles}))
    found = contexts(ullage.guide([path]))
    assert [tokens for tokens, _ in found] == ["20", "40", "80", "160", "320"]
    assert found[0] != found[4]
