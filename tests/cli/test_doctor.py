"""`ullage doctor`: machines, and files that can and cannot be run there, by the command and the library."""

import json
import socket
import sys

import jsonschema
import made_machines
import pytest
import yaml
from made_machines import A6000, Nvml

import ullage
from ullage.cli.main import main
from ullage.errors import InputError
from ullage.planning.device_maps import device_maps
from ullage.runtime.health import asking

TINY = {"model": "ullage:tiny"}
FILE = {
    "kind": "assistant",
    "roles": {"router": TINY, "voice": TINY, "near": TINY},
    "budget": {"gpus": "cpu"},
    "prompt_tokens": 64,
    "new_tokens": 8,
    "assistant": {},
}


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch):
    """A connection of this process fails the test; processes that try libraries are told of no hub."""

    def refuse(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def doctor(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)

    def call(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *map(str, arguments)])
        output = capsys.readouterr()
        assert ended.value.code == code, output.out + output.err
        return output.out or output.err

    return call


def document(doctor, *arguments, code=0):
    found = json.loads(doctor(*arguments, "--json", code=code))
    jsonschema.validate(found, ullage.document_schema("diagnosis"))
    return found


def write(tmp_path, **changes):
    path = tmp_path / "work.yaml"
    path.write_text(yaml.safe_dump(FILE | changes))
    return path


def roles(**changed):
    return FILE["roles"] | changed


def of(found, about, *, role=None):
    """The finding about something, of the file or one of its roles."""
    findings = found["file"]["findings"]
    if role is not None:
        findings = next(each["findings"] for each in found["file"]["roles"] if each["name"] == role)
    (each,) = [each for each in findings if each["about"] == about]
    return each


def lacking(monkeypatch, *modules):
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


def test_a_machine_without_anything_is_told_of_and_is_no_error(doctor, monkeypatch):
    lacking(monkeypatch, "torch", "torchvision", "bitsandbytes", "flash_attn", "pynvml", "transformers")
    shown = doctor()
    assert "torch: not installed: files are planned here, and not run" in shown
    assert 'nvidia-ml-py is not installed: pip install "ullage[run]"' in shown
    assert "what runs here runs on the processor" in shown
    assert "memory: " in shown
    assert "PROBLEM" not in shown
    found = document(doctor)
    assert (found["problems"], found["file"], found["libraries"]) == (0, None, [])


def test_two_cards_joined_by_nvlink_are_measured_and_told(doctor, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(A6000 | {"links": 4}, A6000 | {"links": 4}))
    monkeypatch.setattr(asking, "PACKAGES", {"torch": "torch"})
    monkeypatch.syspath_prepend(str(made_machines.torch(tmp_path / "path", cards=2)))
    found = document(doctor)
    assert [card["nvlinks"] for card in found["cards"]["cards"]] == [4, 4]
    assert found["cards"]["pairs"][0]["nvlink"] is True
    (torch,) = found["libraries"]
    assert all(card["copies"]["pinned"] > card["copies"]["pageable"] > 0 for card in torch["torch"]["cards"])
    shown = doctor()
    assert "gpu 0: NVIDIA RTX A6000, 48.00 GiB, compute capability 8.6" in shown
    assert "are joined by NVLink" in shown
    assert "GB/s from pinned host memory" in shown
    assert "importing (torch " in shown


def test_a_file_that_can_be_run_says_where_each_part_would_be_loaded(doctor, tmp_path):
    file = write(tmp_path, budget={"gpus": "2x(cpu, 48MiB)"})
    found = document(doctor, file, "--quick")
    planned = ullage.plan(file)
    assert (found["file"]["runs"], found["file"]["fits"]) == (True, True)
    assert found["file"]["verdict"] == planned.verdict
    for role in found["file"]["roles"]:
        assert role["device_map"] == device_maps(planned)[role["name"]]
        assert {each["state"] for each in role["findings"]} == {"ok"}
    shown = doctor(file, "--quick")
    assert "it can be run here" in shown
    assert "on gpu:0: embed_tokens, layers.0-" in shown
    library = ullage.doctor(file, quick=True)
    assert library.file.runs
    assert "problems" in repr(library)


def test_whether_a_file_can_be_served_is_told_and_no_reason_not_to_run_it(doctor, tmp_path):
    found = of(document(doctor, write(tmp_path), "--quick"), "serve")
    assert found["state"] == "ok"
    assert "ullage serve would serve its roles here: fits" in found["said"]
    small = write(tmp_path, budget={"gpus": "1x(cpu, 8MiB)"})
    found = of(document(doctor, small, "--quick", code=3), "serve")
    assert found["state"] == "note"
    assert "do not fit, however they take turns" in found["said"]


def test_what_a_run_lacks_is_told_role_by_role_and_is_exit_code_1(doctor, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    lacking(monkeypatch, "bitsandbytes", "chromadb")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/config.json").write_text((ullage.tiny_path() / "config.json").read_text())
    file = write(
        tmp_path,
        roles=roles(
            voice={"model": "ullage:tiny", "precision": "nf4"},
            served={"model": "ullage:tiny", "engine": "vllm", "residency": "persistent"},
            hosted={"model": "gpt-4o", "engine": "openai"},
            bare={"model": "empty"},
            script={"model": "nothing.jsonl", "engine": "scripted"},
        ),
        assistant={"memory": {"chroma_dir": "notes", "embedder": "words"}},
    )
    found = document(doctor, file, "--quick", code=1)
    assert found["file"]["runs"] is False
    assert of(found, "precision nf4", role="voice")["todo"] == "pip install bitsandbytes"
    assert of(found, "engine", role="served")["todo"] == 'pip install "ullage[vllm]"'
    assert "set the environment variable OPENAI_API_KEY" in of(found, "server", role="hosted")["said"]
    assert "has no weights in safetensors" in of(found, "checkpoint", role="bare")["said"]
    assert "nothing.jsonl is not there" in of(found, "script", role="script")["said"]
    assert of(found, "checkpoint", role="near")["state"] == "ok"
    assert "it cannot be run here as things are" in doctor(file, "--quick", code=1)


def test_what_is_not_here_is_not_fetched_but_told_with_its_size(doctor, tmp_path, monkeypatch):
    file = write(tmp_path, roles=roles(near={"model": "Qwen/Qwen2.5-0.5B-Instruct"}))
    found = document(doctor, file, "--quick")
    (role,) = [each for each in found["file"]["roles"] if each["name"] == "near"]
    assert of(found, "checkpoint", role="near")["state"] == "note"
    assert "--download fetches about 0.92 GiB" in of(found, "checkpoint", role="near")["todo"]
    assert role["fetched"] == pytest.approx(494_032_768 * 2)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = document(doctor, file, "--quick", code=1)
    assert "HF_HUB_OFFLINE is set" in of(found, "checkpoint", role="near")["said"]


def test_a_hubs_model_that_nobody_knows_here_is_a_problem_and_no_question_to_the_hub(doctor, tmp_path):
    file = write(tmp_path, roles=roles(near={"model": "nobody/knows-it"}))
    found = document(doctor, file, "--quick", code=1)
    assert of(found, "plan")["state"] == "problem"
    assert found["file"]["verdict"] is None
    assert "nobody/knows-it is not here" in of(found, "model", role="near")["said"]
    assert of(found, "checkpoint", role="voice")["state"] == "ok"


def test_a_plan_that_does_not_fit_is_exit_code_3_where_nothing_else_is_wrong(doctor, tmp_path):
    file = write(tmp_path, budget={"gpus": "1x(cpu, 8MiB)"})
    found = document(doctor, file, "--quick", code=3)
    assert (found["file"]["runs"], found["file"]["fits"]) == (True, False)
    assert "does not fit on 1x" in of(found, "verdict")["said"]
    assert "all that it needs is here, and it does not fit" in doctor(file, "--quick", code=3)


def test_cards_that_are_here_are_what_is_planned_for_and_others_are_not(doctor, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(A6000, A6000))
    found = document(doctor, write(tmp_path, budget={"gpus": "2xRTX A6000"}), "--quick")
    assert of(found, "cards")["state"] == "ok"
    assert found["file"]["gpus"] == "2x RTX A6000"
    found = document(doctor, write(tmp_path, budget={"gpus": "2xA100-80GB"}), "--quick")
    assert "and here is 2x RTX A6000" in of(found, "cards")["said"]
    assert found["file"]["gpus"] == "2x RTX A6000"
    assert document(doctor, write(tmp_path), "--gpus", "local", "--quick")["file"]["gpus"] == "2x RTX A6000"


def test_cards_that_torch_cannot_use_are_no_cards_to_run_a_file_on(doctor, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(A6000))
    monkeypatch.setattr(asking, "PACKAGES", {"torch": "torch"})
    monkeypatch.syspath_prepend(str(made_machines.torch(tmp_path / "path", cuda="")))
    found = document(doctor, write(tmp_path, budget={}), code=1)
    assert "built for processors alone, so that no card here is used" in of(found, "torch")["said"]
    assert document(doctor, write(tmp_path), "--gpus", "cpu")["file"]["runs"]


def test_a_torch_that_cannot_be_imported_runs_no_role_that_is_held_here(doctor, tmp_path, monkeypatch):
    code = "raise OSError('libcudart.so.12: cannot open shared object file: No such file or directory')"
    monkeypatch.setattr(asking, "PACKAGES", {"torch": "torch"})
    monkeypatch.syspath_prepend(str(made_machines.library(tmp_path / "path", "torch", code, "2.11.0")))
    found = document(doctor, write(tmp_path), code=1)
    for role in found["file"]["roles"]:
        assert any("OSError: libcudart.so.12" in each["said"] for each in role["findings"])
    assert "2.11.0 cannot be imported: OSError: libcudart" in doctor()
    assert found["file"]["verdict"] == "fits"


def test_a_driver_that_does_not_answer_leaves_the_processor(doctor, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(A6000, error=(18, "mismatch")))
    found = document(doctor, write(tmp_path, budget={}), "--quick")
    assert found["file"]["gpus"] == "1x CPU"
    assert found["cards"]["broken"] is True
    assert found["problems"] == 1


def test_what_loads_a_quantized_checkpoint_and_what_a_kind_makes_use_of_is_looked_for(
    doctor, tmp_path, monkeypatch
):
    from ullage.facts.health import extras

    version_of = extras.version_of
    monkeypatch.setattr(extras, "version_of", lambda name: None if name == "chromadb" else version_of(name))
    config = json.loads((ullage.tiny_path() / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored/config.json").write_text(json.dumps(config))
    notes = {"memory": {"chroma_dir": "notes", "embedder": "words"}}
    file = write(tmp_path, roles=roles(near={"model": "stored"}), assistant=notes)
    found = document(doctor, file, "--quick", code=1)
    assert of(found, "precision gptq-int4", role="near")["todo"] == "pip install optimum gptqmodel"
    assert "nothing is remembered beyond a talk" in of(found, "extra memory")["said"]
    assert of(found, "extra memory")["todo"] == 'pip install "ullage[memory]"'


def test_a_disk_without_room_for_what_would_be_fetched_is_a_problem(doctor, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**29))
    small = {"model": "Qwen/Qwen2.5-0.5B-Instruct"}
    found = document(doctor, write(tmp_path, roles=roles(near=small, far=small)), "--quick", code=1)
    assert "about 0.92 GiB takes more than the 0.50 GiB free" in of(found, "disk")["said"]


def test_cards_that_are_not_here_give_way_to_this_machine_which_is_said(doctor, tmp_path):
    file = write(tmp_path, budget={"gpus": "2xA100-80GB"})
    found = document(doctor, file, "--quick")
    assert "the file is for 2x A100-SXM4-80GB, and here is no card" in of(found, "cards")["said"]
    assert "--gpus local" in of(found, "cards")["todo"]
    assert found["file"]["gpus"] == "1x CPU"


def test_a_card_that_a_scheme_does_not_run_on_is_told(doctor, tmp_path, monkeypatch):
    old = {"name": "Tesla K80", "capability": (3, 7), "total": 12 * 2**30}
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(old))
    file = write(tmp_path, budget={}, roles=roles(voice={"model": "ullage:tiny", "precision": "nf4"}))
    found = document(doctor, file, "--quick", code=1)
    said = json.dumps(found["file"])
    assert "compute capability 6.0" in said


def test_a_broken_torchvision_breaks_what_takes_pictures_and_nothing_else(
    doctor, tmp_path, monkeypatch, perception_folder, artist_folder
):
    path = tmp_path / "path"
    made_machines.torch(path, cuda="")
    code = "raise RuntimeError('operator torchvision::nms does not exist')"
    made_machines.library(path, "torchvision", code, "0.28.0")
    monkeypatch.setattr(asking, "PACKAGES", {"torch": "torch", "torchvision": "torchvision"})
    monkeypatch.syspath_prepend(str(path))
    pictures = {"model": str(perception_folder), "images": 1, "image_size": "32x32"}
    artist = {"model": str(artist_folder), "engine": "diffusers", "image_size": "32x32", "steps": 1}
    file = write(tmp_path, roles=roles(perception=pictures, artist=artist))
    found = document(doctor, file, code=1)
    for role in ("perception", "artist"):
        assert "pip uninstall torchvision" in of(found, "torchvision", role=role)["todo"]
    for role in ("router", "voice", "near"):
        (own,) = [each for each in found["file"]["roles"] if each["name"] == role]
        assert {each["state"] for each in own["findings"]} == {"ok"}
    assert found["problems"] == 3
    document(doctor, write(tmp_path))


def test_a_development_run_needs_none_of_the_files_models(doctor, tmp_path):
    far = {"model": "nobody/knows-it"}
    file = write(tmp_path, roles=roles(far=far), assistant={"development_mode": True})
    found = document(doctor, file, "--quick")
    assert "a run of it loads none of them" in of(found, "run")["said"]


def test_measured_runs_that_inform_plans_are_counted(doctor, tmp_path):
    (tmp_path / "texts.txt").write_text("one two\n")
    for name in ("first", "second"):
        workload = {"kind": "extract", "roles": {"model": TINY}, "extract": {"input": "texts.txt"}}
        workload |= {"captures": [{"sites": ["ln_final"]}], "budget": {"gpus": "cpu"}, "prompt_tokens": 8}
        ullage.run(ullage.load(workload), tmp_path / name, base=tmp_path)
    found = document(doctor, "--quick")
    assert found["runs"] == 2
    assert "2 measured runs on CPU inform plans" in doctor("--quick")


def test_a_file_whose_input_is_not_there_cannot_be_run(doctor, tmp_path):
    workload = {"kind": "extract", "roles": {"model": TINY}, "extract": {"input": "texts.txt"}}
    workload |= {"captures": [{"sites": ["ln_final"]}], "budget": {"gpus": "cpu"}, "prompt_tokens": 8}
    path = tmp_path / "w.json"
    path.write_text(json.dumps(workload))
    found = document(doctor, path, "--quick", code=1)
    assert "texts.txt is not there" in of(found, "files")["said"]


def test_a_plan_that_was_written_down_is_looked_at_too(doctor, tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps(ullage.plan(write(tmp_path)).to_json()))
    assert document(doctor, tmp_path / "plan.json", "--quick")["file"]["runs"]


def test_what_is_no_workload_is_bad_input(doctor, tmp_path):
    assert "no such file" in doctor(tmp_path / "none.yaml", "--quick", code=2).casefold()
    (tmp_path / "bad.yaml").write_text("kind: assistant\nroles: {}\n")
    assert "error" in doctor(tmp_path / "bad.yaml", "--quick", code=2)
    with pytest.raises(InputError):
        ullage.doctor(3, quick=True)


def test_what_changes_a_file_is_refused_where_there_is_none(doctor, tmp_path):
    assert "--set batch=2: changes a workload file" in doctor("--set", "batch=2", code=2)
    assert "gpus cpu: says which cards a file is for" in doctor("--gpus", "cpu", code=2)
    (tmp_path / "plan.json").write_text(json.dumps(ullage.plan(write(tmp_path)).to_json()))
    assert "gpus cpu: a plan has its cards already" in doctor("plan.json", "--gpus", "cpu", code=2)
