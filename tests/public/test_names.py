"""What `import ullage` offers: one list, with types, and nothing heavy until it is used."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ullage
from ullage.workloads.registry import find_kind, own_names

SOURCE = Path(ullage.__file__)
ELSEWHERE = {
    *("Any", "Callable", "Iterable", "Iterator", "Literal", "Mapping", "None", "Path", "Sequence"),
    *("Compared", "Kept", "Module", "Settings", "Summary", "Tensor", "TokenIds", "Unpack"),
}
"""Names in signatures that are Python's, torch's, lists of numbers, keyword arguments spelled out, or the
documents of kinds, whose schemas are public."""


def for_type_checkers():
    """Name and module of every import under TYPE_CHECKING."""
    (block,) = [
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    ]
    return {alias.asname: node.module for node in block.body for alias in node.names}


def of_kinds():
    """Name and module of every verb of Ullage's own kinds."""
    return {name: place for kind in own_names() for name, place in find_kind(kind).verbs.items()}


NAMES = sorted({*ullage.PLACES, *of_kinds()})


def test_type_checkers_and_programs_are_told_the_same():
    assert for_type_checkers() == ullage.PLACES | of_kinds()
    assert not ullage.PLACES.keys() & of_kinds().keys()
    assert list(ullage.PLACES) == sorted(ullage.PLACES, key=lambda name: (not name[0].isupper(), name))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_documented(name):
    found = getattr(ullage, name)
    assert name in dir(ullage)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert inspect.getdoc(found)


def test_dir_lists_public_names_alone():
    assert {name for name in dir(ullage) if not name.startswith("__")} == set(NAMES)
    with pytest.raises(AttributeError, match="no attribute 'plann'"):
        ullage.plann  # noqa: B018


def test_what_the_command_line_calls_is_listed_too():
    from ullage import api

    assert set(api.PLACES) <= set(dir(api))
    assert all(callable(getattr(api, name)) for name in api.PLACES)
    with pytest.raises(AttributeError, match=r"'ullage\.api' has no attribute 'plann'"):
        api.plann  # noqa: B018


def signatures():
    for name in NAMES:
        found = getattr(ullage, name)
        if inspect.isclass(found) and found.__module__.startswith("ullage") and name == "Extractor":
            for method in ("__init__", "read", "stream", "generate"):
                yield f"{name}.{method}", getattr(found, method)
        elif inspect.isfunction(found):
            yield name, found


def test_types_that_signatures_name_are_public():
    lacking = set()
    for name, function in signatures():
        for annotation in inspect.get_annotations(function).values():
            words = re.sub(r"'[^']*'|\"[^\"]*\"", "", str(annotation))
            lacking |= {
                (name, word)
                for word in re.findall(r"\b[A-Z]\w+", words)
                if word not in NAMES and word not in ELSEWHERE
            }
    assert not lacking


SCRIPT = """
import ullage

reveal_type(ullage.load("w.yaml"))
reveal_type(ullage.plan("w.yaml"))
reveal_type(ullage.run(ullage.load("w.yaml")))
reveal_type(ullage.verify("run"))
reveal_type(ullage.cards()[0][0])
reveal_type(ullage.SpecError(["wrong"]).mistakes)
try:
    made: ullage.Plan = ullage.plan({"kind": "extract"}, "2xH100")
except ullage.UllageError:
    raise
"""


# Reading the sources of libraries takes up to half a minute, and no public name is of their types alone.
MYPY = """
[mypy]
strict = true

[mypy-torch.*,transformers.*,huggingface_hub.*,PIL.*,fastapi.*,starlette.*,uvicorn.*,numpy.*,rich.*,werkzeug.*]
follow_imports = skip
"""


def test_a_users_type_checker_sees_types(tmp_path):
    assert SOURCE.with_name("py.typed").is_file()
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "mypy.ini").write_text(MYPY)
    mypy = [sys.executable, "-m", "mypy", "script.py"]
    done = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    seen = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert seen == [
        "ullage.spec.workload.Workload",
        "ullage.planning.plan.Plan",
        "tuple[pathlib.Path, ullage.records.record.Record]",
        "ullage.records.verification.Verification",
        "ullage.facts.gpu.Gpu",
        "tuple[str, ...]",
    ]


def test_what_the_command_line_lists_can_be_listed():
    names = [model.name for model in ullage.models()]
    assert "Qwen/Qwen2.5-7B-Instruct" in names
    assert ullage.model(names[0]) == ullage.models()[0]
    cards = dict(ullage.cards())
    (h100,) = [gpu for gpu in cards if gpu.id == "H100-SXM5-80GB"]
    assert cards[h100].usd_per_hour > 0
    assert None in cards.values()


def test_no_examples_are_no_file(tmp_path):
    with pytest.raises(ullage.InputError, match="count: 0 examples cannot be written; ask for 1 or more"):
        ullage.sample("route", tmp_path / "none.jsonl", count=0)
    assert not list(tmp_path.iterdir())


def test_every_error_is_public():
    from ullage import errors

    found = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, Exception)]
    assert {one.__name__ for one in found} <= set(ullage.PLACES)


@pytest.mark.parametrize("package", ["ullage", "ullage.api"])
def test_no_public_name_is_a_modules_too(package):
    """Importing `package.name` would put the module in the place of the function."""
    from importlib import import_module
    from importlib.util import find_spec

    places = import_module(package).PLACES
    assert [name for name in places if find_spec(f"{package}.{name}") is not None] == []
