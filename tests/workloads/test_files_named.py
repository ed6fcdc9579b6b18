"""Files that a workload names and that are not there: which, where they were looked for, what makes them."""

import shutil
from pathlib import Path

import pytest

import ullage
from ullage.errors import InputError
from ullage.workloads.inputs import require_files
from ullage.workloads.registry import find_kind

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["small/extract.yaml", "evaluate-tiny.yaml", "pii-tiny.yaml"])
def test_a_file_of_a_demonstration_is_told_with_the_command_that_makes_it(tmp_path, name):
    shutil.copytree(EXAMPLES, tmp_path / "my examples")
    workload = ullage.load(tmp_path / "my examples" / name)
    with pytest.raises(InputError, match=r"\.demo/\w+\.jsonl: no such file") as told:
        require_files(workload, (tmp_path / "my examples" / name).parent)
    assert f"`ullage demo {workload.kind} --out {tmp_path}`" in str(told.value)
    made = str(told.value).partition(":")[0].rpartition(".demo/")[2]
    assert any(f".demo/{made}" in step for step in find_kind(workload.kind).demo)


def test_another_file_is_told_without(tmp_path):
    workload = ullage.load(EXAMPLES / "small/extract.yaml", ["extract.input=none.jsonl"])
    with pytest.raises(InputError, match=r"^none\.jsonl: no such file \(looked for [^;]*\)$"):
        require_files(workload, tmp_path)
