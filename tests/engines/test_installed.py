"""Engines are found by name: laws for all that are installed, and another package's beside Ullage's own."""

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import jsonschema
import pytest
import yaml
from forks import Forks

from ullage import api
from ullage.errors import InputError, MissingPackageError, SpecError
from ullage.spec.engine import EngineDescription
from ullage.spec.installed import check_installed, engine_names, find_engine
from ullage.spec.parse import parse_workload
from ullage.spec.role import Role
from ullage.units import ZERO

LANGUAGE, PICTURES = "meta-llama/Llama-3.1-8B-Instruct", "FLUX.1-schnell"
ENTRY_POINTS = """
[ullage.engines]
echo = toy_engines:ECHO
loud = toy_engines:LOUD
lacking = toy_engines:LACKING
nameless = toy_engines:NAMELESS
broken = no_such_module:ENGINE
vllm = toy_engines:ECHO
"""
FILE = """
kind: evaluate
roles:
  generator: {model: nowhere, engine: echo, echo: {suffix: "!", times: 2}}
  judge: {model: "ullage:tiny", engine: loud}
budget: {gpus: cpu}
prompt_tokens: 64
new_tokens: 4
examples: 2
evaluate: {input: questions.jsonl, judge_by: text}
"""


@pytest.mark.parametrize("name", engine_names())
def test_every_engine_declares_everything(name):
    engine = find_engine(name)
    assert engine.name == name
    assert name not in Role.model_fields
    assert None not in engine
    assert bool(engine.phases) == engine.local
    assert engine.install
    assert (engine.layer_seconds > 0) == (engine.memory in ("process", "own cache"))
    assert not (engine.captures or engine.trains or engine.splits_layers) or engine.memory == "process"
    if engine.opener:
        opens = "open_painter" if engine.memory == "pipeline" else "open_engine"
        assert callable(getattr(import_module(engine.opener), opens))
    else:
        assert not any((engine.writes, engine.weighs, engine.states, engine.captures))


def test_what_an_engine_leaves_out_is_no_engine():
    with pytest.raises(TypeError):
        EngineDescription(name="half", memory="none")


@pytest.mark.parametrize("name", engine_names())
def test_every_engines_settings_refuse_an_unknown_key_with_its_place(name):
    text = f"kind: pii\nroles:\n  verifier:\n    model: m\n    engine: {name}\n    {name}: {{colour: red}}\n"
    with pytest.raises(SpecError) as caught:
        parse_workload(text, "w.yaml", api.sections())
    (said,) = caught.value.mistakes
    assert said.startswith(f"w.yaml:6:{len(name) + 8}: roles.verifier.{name}.colour: unknown key; valid: ")


@pytest.mark.parametrize("name", engine_names())
def test_weights_are_billed_where_an_engine_is_local_and_nothing_where_it_is_remote(name):
    engine = find_engine(name)
    model = PICTURES if engine.memory == "pipeline" else LANGUAGE
    found = api.estimate_model(model, "1xH100", engine=name, new_tokens=8)
    weights = [item for item in found.bill.items if item.component == "weights"]
    assert bool(weights) == engine.local
    assert engine.local or (found.bill.items, found.phases) == ((), ())
    if not engine.local:
        assert all(device.peak.device == ZERO for device in found.devices)


@pytest.mark.parametrize("name", engine_names())
def test_a_role_written_out_reads_back_as_it_was(name):
    role = Role(model="m", engine=name)
    assert Role.model_validate(role.model_dump(mode="json")) == role
    own = {key: 7 for key in type(role.settings).model_fields if key in ("max_num_seqs", "retries")}
    changed = Role.model_validate({"model": "m", "engine": name, name: own})
    again = Role.model_validate(json.loads(json.dumps(changed.model_dump(mode="json"))))
    assert again == changed
    assert again.settings == changed.settings
    assert (changed == role) == (not own)


@pytest.mark.parametrize("name", engine_names())
def test_another_engines_settings_are_refused_unless_they_repeat_its_defaults(name):
    other = next(each for each in engine_names() if each != name)
    usual = find_engine(name).settings().model_dump()
    assert Role.model_validate({"model": "m", "engine": other, name: usual}) == Role(model="m", engine=other)
    for key in {"max_num_seqs", "retries"} & usual.keys():
        with pytest.raises(ValueError, match=f"has no effect with engine: {other}; give engine: {name}"):
            Role.model_validate({"model": "m", "engine": other, name: {key: 7}})


def test_a_vllm_role_may_bound_its_memory():
    found = api.estimate_model(LANGUAGE, "1xH100", engine="vllm", max_memory={"0": "70GiB"})
    assert found.bill.items


def test_no_engine_loads_anything_heavy_before_it_is_opened():
    code = (
        "import sys; from ullage.spec.installed import *; [find_engine(name) for name in engine_names()];"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "numpy", "vllm", "openai", "ullage.runtime", "ullage.capture"}
    assert "ullage.engines.vllm" in done.stdout.split()
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize("name", engine_names())
def test_a_missing_package_is_one_line_that_says_what_to_install(name, monkeypatch):
    monkeypatch.setattr("ullage.spec.installed.find_spec", lambda module: None)
    engine = find_engine(name)
    if not engine.needs:
        check_installed(name, "roles.a")
        return
    with pytest.raises(MissingPackageError) as caught:
        check_installed(name, "roles.a")
    expected = f'needs {engine.needs[0]}; install it with: pip install "{engine.install}"'
    assert str(caught.value) == f"roles.a: engine: {name} {expected}"


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A folder in which a package with engines of its own is installed, and a workload that uses them."""
    folder = tmp_path_factory.mktemp("toys")
    shutil.copy(Path(__file__).with_name("toy_engines.py"), folder)
    info = folder / "toy_engines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-engines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "w.yaml").write_text(FILE)
    rows = [{"id": f"q{n}", "question": "Where?", "references": ["echo echo!"]} for n in range(2)]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def loading(toys):
    """Runs a command that loads torch, as `ullage` does, in forks of one process."""
    forks = Forks({"PYTHONPATH": str(toys)})

    def call(*words):
        done = forks.run(*words, folder=toys)
        return done.returncode, done.stdout, done.stderr

    yield call
    forks.close()


def ullage(folder, *words):
    """The command line where the package of `folder` is installed: (exit code, stdout, stderr)."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "ullage", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_another_packages_engines_are_planned(toys):
    code, out, err = ullage(toys, "plan", "w.yaml", "--json")
    assert (code, err) == (0, "")
    plan = json.loads(out)
    assert {item["role"] for item in plan["items"]} == {"", "judge"}
    assert {time["phase"] for time in plan["times"]} == {
        "judge load",
        "judge check prefill",
        "judge check decode",
        "judge score prefill",
        "judge score decode",
    }


def test_another_packages_engines_are_run_with_their_settings(toys, loading):
    code, _, err = loading("run", "w.yaml", "--out", "done", "--quiet")
    assert code == 0
    assert err.startswith("ullage: generator: 2 of 2 answers came without log-probabilities, ")
    assert err.count("\n") == 1
    said = [json.loads(line)["text"] for line in (toys / "done" / "greedy.jsonl").read_text().splitlines()]
    assert said == ["echo echo!"] * 2
    kept = json.loads((toys / "done" / "manifest.json").read_text())["plan"]["settled"]
    assert kept["roles"]["generator"]["echo"] == {"suffix": "!", "times": 2}
    code, out, _ = ullage(toys, "verify", "done", "--json")
    assert code == 0
    assert any(each["what"] == "weights" for each in json.loads(out)["comparisons"])
    assert loading("report", "done")[0] == 0


def test_the_schema_lists_another_packages_engines(toys):
    code, out, _ = ullage(toys, "schema")
    # `broken` and `nameless` cannot be loaded, so nothing is known of their settings.
    assert code == 0
    schema = json.loads(out)
    role = schema["$defs"]["Role"]["properties"]
    assert {"echo", "loud"} <= set(role["engine"]["enum"])
    assert set(role["echo"]["properties"]) == {"suffix", "times"}
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(FILE))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("suffix", "sufix", "w.yaml:4:52: roles.generator.echo.sufix: unknown key; nearest: suffix"),
        ("times: 2", "times: 4", "w.yaml:4:72: roles.generator.echo.times: 4 must be at most 3"),
        (
            'suffix: "!"',
            "suffix: 3",
            "w.yaml:4:60: roles.generator.echo.suffix: 3 is not text: said at the end",
        ),
        (
            "engine: loud",
            "engine: laud",
            "w.yaml:5:41: roles.judge.engine: 'laud' is not valid; nearest: loud",
        ),
        ("engine: loud", "echo: {times: 2}", "w.yaml:5:33: roles.judge.echo: has no effect with engine: tra"),
        (
            "engine: loud",
            "engine: broken",
            "engine broken of entry point no_such_module:ENGINE cannot be loaded",
        ),
        ("engine: loud", "engine: nameless", "engine nameless of entry point toy_engines:NAMELESS is no Eng"),
    ],
)
def test_a_mistake_in_another_packages_settings_is_told_as_any_other(toys, old, new, said):
    (toys / "wrong.yaml").write_text(FILE.replace(old, new))
    code, _, err = ullage(toys, "plan", "wrong.yaml")
    assert code == 2
    assert err.startswith(f"ullage: error: {said.replace('w.yaml', 'wrong.yaml')}")
    assert err.count("\n") == 1


def test_an_engine_whose_package_is_missing_is_planned_and_not_run(toys, loading):
    (toys / "lacking.yaml").write_text(
        FILE.replace('engine: echo, echo: {suffix: "!", times: 2}', "engine: lacking")
    )
    assert ullage(toys, "plan", "lacking.yaml")[0] == 0
    code, _, err = loading("run", "lacking.yaml", "--out", "never")
    assert code == 2
    wanted = 'needs no_such_module; install it with: pip install "toy-engines[all]"'
    assert err == f"ullage: error: roles.generator: engine: lacking {wanted}\n"
    assert not (toys / "never").exists()


def test_an_engine_that_cannot_do_what_a_role_is_for_is_refused_before_anything_is_planned():
    text = "kind: evaluate\nroles:\n  generator: {model: m, engine: diffusers}\n"
    text += "  similarity: {model: m, engine: vllm}\n  judge: {model: m, engine: diffusers}\n"
    with pytest.raises(SpecError) as caught:
        parse_workload(text, "w.yaml", api.sections())
    assert [line.split(", as role")[0] for line in caught.value.mistakes] == [
        "w.yaml:3:33: roles.generator.engine: diffusers is not an engine that writes replies",
        "w.yaml:4:34: roles.similarity.engine: vllm is not an engine that gives the states of texts",
        "w.yaml:5:29: roles.judge.engine: diffusers is not an engine that weighs choices",
    ]
    assert caught.value.mistakes[1].endswith("use transformers")


def test_a_name_that_no_engine_has_is_refused_by_the_library_too():
    with pytest.raises(InputError, match="engine: 'vlm' is not valid; nearest: vllm"):
        api.estimate_model(LANGUAGE, engine="vlm")
