"""Memory and tools in a workload file: planned, and every mistake told at once."""

import subprocess
import sys

import pytest

import ullage
from ullage.errors import SpecError
from ullage.kinds.assistant.section import Section
from ullage.phases.blocks import own_section

FILE = {
    "kind": "assistant",
    "budget": {"gpus": "cpu"},
    "roles": {name: {"model": "ullage:tiny"} for name in ("router", "helper", "voice")},
    "prompt_tokens": 128,
    "new_tokens": 8,
    "examples": 10,
}


def loaded(engine="transformers", **section):
    roles = FILE["roles"] | {"router": {"model": "ullage:tiny", "engine": engine}}
    workload = ullage.load(FILE | {"roles": roles, "assistant": section})
    return own_section(workload, Section)


def test_a_file_says_what_is_remembered_and_what_may_be_called():
    memory = {"chroma_dir": "./memories", "limit": 50}
    tools = ["calculator", "retrieval", "my_tools.town:weather"]
    section = loaded(memory=memory, tools=tools, callers=["helper"])
    assert (section.memory.limit, section.memory.characters, section.memory.found) == (50, 4000, 5)
    assert section.memory.embedding_role(section.router) == "router"
    assert section.tools == tuple(tools)
    assert section.callers == ("helper",)
    assert section.tool_limits.seconds == 10.0


def test_notes_need_a_model_that_somebody_asks_or_none():
    rules = {"by": "rules", "rules": [{"to": "helper", "words": ["help"]}]}
    roles = {name: {"model": "ullage:tiny"} for name in ("helper", "voice")}
    for embedder, ok in (({}, False), ({"embedder": "words"}, True), ({"embedder": "helper"}, True)):
        section = {"routing": rules, "memory": {"chroma_dir": "notes", **embedder}}
        given = FILE | {"roles": roles, "assistant": section}
        if ok:
            assert ullage.load(given).section.memory is not None
        else:
            with pytest.raises(SpecError, match=r"assistant\.memory: no router is asked"):
                ullage.load(given)


def test_without_options_nothing_is_remembered_or_called():
    section = loaded()
    assert (section.memory, section.tools, section.callers) == (None, (), None)


@pytest.mark.parametrize(("embedder", "role"), [(None, "router"), ("helper", "helper"), ("words", None)])
def test_a_role_embeds_or_words_do(embedder, role):
    section = loaded(memory={"chroma_dir": "m", "embedder": embedder})
    assert section.memory.embedding_role(section.router) == role


def test_all_mistakes_are_told_at_once():
    with pytest.raises(SpecError) as raised:
        loaded(
            memory={"chroma_dir": " ", "embedder": "nobody", "similarity_weight": 0, "tags_weight": 0,
                    "significance_weight": 0},
            tools=["calculator", "os.system", "../up:x", "a.b:f", "c:f", "d:calculator", "a:b:c", "a:b "],
            callers=["voice"],
            tool_limits={"output": "lots", "memory": "1KiB"},
        )  # fmt: skip
    told = "\n".join(raised.value.mistakes)
    for part in (
        "assistant.memory.chroma_dir: names no folder",
        "assistant.memory: all weights are 0",
        "assistant.memory.embedder: no role is called 'nobody'; name one, or words",
        "assistant.tools.1: 'os.system' is no tool; there are calculator, retrieval, and functions of",
        "assistant.tools.2: '../up:x' is no tool",
        "assistant.tools.4: two tools are called f: a.b:f and c:f",
        "assistant.tools.5: two tools are called calculator: calculator and d:calculator",
        "assistant.tools.6: 'a:b:c' is no tool",
        "assistant.tools.7: 'a:b ' is no tool",
        "assistant.callers.0: no specialist is called 'voice'; there are helper",
        "assistant.tool_limits.output: 'lots' is no size",
        "assistant.tool_limits.memory: is from 67,108,864",
    ):
        assert part in told
    assert len(raised.value.mistakes) == 12


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"tools": ["retrieval"]}, "assistant.tools.0: needs assistant.memory"),
        ({"callers": ["helper"]}, "assistant.callers: have no tools to call"),
        ({"memory": {}}, "assistant.memory.chroma_dir"),
        ({"memory": {"chroma_dir": "m", "limit": 0}}, "assistant.memory.limit: 0 must be at least 1"),
        ({"memory": {"chroma_dir": "m", "size": 1}}, "size"),
        ({"tool_limits": {"seconds": 0}}, "assistant.tool_limits.seconds"),
    ],
)
def test_a_mistake_is_told_where_it_is(section, message):
    with pytest.raises(SpecError, match=message):
        loaded(**section)


def test_a_router_without_states_cannot_embed():
    with pytest.raises(SpecError, match="role router has engine: openai, which gives no states to embed"):
        loaded("openai", memory={"chroma_dir": "m"})
    assert loaded("openai", memory={"chroma_dir": "m", "embedder": "words"}).memory


def test_planning_a_memory_and_tools_imports_and_starts_none_of_it(tmp_path):
    (tmp_path / "mine.py").write_text("raise RuntimeError('imported')\n")
    code = (
        "import sys, ullage\n"
        f"given = {FILE!r} | {{'assistant': {{'memory': {{'chroma_dir': 'm'}}, 'tools': ['mine:f']}}}}\n"
        "ullage.plan(given, fidelity='formula')\n"
        "print(sorted({'chromadb', 'torch', 'numpy', 'mine', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "[]\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
