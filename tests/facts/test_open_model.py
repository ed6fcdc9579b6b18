"""A model by name, by file and by folder."""

import json

import every_family
import pytest

from ullage.errors import FormatError, InputError, UnknownNameError
from ullage.facts.model import open_model


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps(every_family.config("llama")))
    return tmp_path / "mine"


def test_a_folder_and_its_config_are_one_model(folder):
    by_folder, by_file = open_model(str(folder)), open_model(str(folder / "config.json"))
    assert by_folder.name == by_file.name == "mine"
    assert by_folder.parameters == by_file.parameters == every_family.architecture("llama").parameters


def test_the_bundled_model_keeps_its_name():
    assert open_model("ullage:tiny").name == "ullage:tiny"


@pytest.mark.parametrize("name", ["./gone", "/nowhere/config.json", "~/gone", "model.gguf", "x.safetensors"])
def test_what_looks_like_a_path_and_is_not_there_is_called_missing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match="no such file or folder"):
        open_model(name)


def test_a_folder_and_a_file_that_hold_no_model_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"without config\.json"):
        open_model(str(tmp_path))
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    with pytest.raises(FormatError, match=r"it holds small\.gguf: name that file"):
        open_model(str(tmp_path))
    (tmp_path / "weights.bin").write_bytes(b"?")
    with pytest.raises(FormatError, match=r"neither a config\.json nor a \.gguf"):
        open_model(str(tmp_path / "weights.bin"))


def test_a_pipeline_without_networks_is_refused_by_folder_and_by_index(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    for place in (tmp_path, tmp_path / "model_index.json"):
        with pytest.raises(InputError, match="names no network"):
            open_model(str(place))


@pytest.mark.parametrize("name", ["nobody/no-such-model", "a*b/c", "$(x)"])
def test_an_unknown_name_is_told_and_the_cache_is_not_searched_by_pattern(name):
    with pytest.raises(UnknownNameError):
        open_model(name)
