"""A mistake names file, line, column, field, what is wrong and the nearest valid name."""

from __future__ import annotations

import pytest

from ullage import api
from ullage.errors import SpecError
from ullage.spec.parse import parse_workload

GOOD = """\
kind: werewolf
roles:
  player:
    model: some/model
"""
TWO = """\
kind: evaluate
roles:
  generator: {model: some/model}
  judge: {model: some/model}
"""
PART = "    "  # a line of the player


def told(text: str, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_workload(text, "w.yaml", api.sections(), overrides)
    return list(caught.value.mistakes)


def parsed(text: str, *overrides: str):
    return parse_workload(text, "w.yaml", api.sections(), overrides)


FIELDS = {
    PART + "precison: nf4": "w.yaml:5:5: roles.player.precison: unknown key; nearest: precision",
    PART
    + "use_quantised: true": "w.yaml:5:5: roles.player.use_quantised: unknown key; nearest: use_quantized",
    PART
    + "precision: bf61": "w.yaml:5:16: roles.player.precision: 'bf61' is not valid; nearest: bf16; valid:",
    PART + "batch: 0": "w.yaml:5:12: roles.player.batch: 0 must be at least 1",
    PART + "batch: -3": "w.yaml:5:12: roles.player.batch: -3 must be at least 1",
    PART + "batch: true": "w.yaml:5:12: roles.player.batch: true is not a whole number",
    PART + "batch: '8'": "w.yaml:5:12: roles.player.batch: '8' is not a whole number",
    PART + "batch: 1.5": "w.yaml:5:12: roles.player.batch: 1.5 is not a whole number",
    PART + "batch: 1e3": "w.yaml:5:12: roles.player.batch: 1000.0 is not a whole number",
    PART + "engine:": "w.yaml:5:12: roles.player.engine: nothing is not valid; valid: transformers",
    PART + "trust_remote_code: 1": "w.yaml:5:24: roles.player.trust_remote_code: 1 is not true or false",
    PART
    + "placement: gpu0": "w.yaml:5:16: roles.player.placement: 'gpu0' is no placement; valid: auto, balanced",
    PART + "placement: 5": "w.yaml:5:16: roles.player.placement: 5 is not text or a list",
    PART + "placement: []": "w.yaml:5:16: roles.player.placement: names no device",
    PART + "placement: [gpu:0, 1]": "w.yaml:5:24: roles.player.placement.1: 1 is not text",
    PART + "placement: [gpu:0, cpu]": "w.yaml:5:24: roles.player.placement.1: 'cpu' is no GPU",
    PART + "placement: [gpu:0, gpu:0]": "w.yaml:5:24: roles.player.placement.1: gpu:0 stands twice",
    PART + "max_memory: {0: 47GX}": "w.yaml:5:21: roles.player.max_memory.0: '47GX' is no size; write",
    PART + "max_memory: {gpu: 4GB}": "w.yaml:5:18: roles.player.max_memory.gpu: a device is the number of",
    PART + "image_size: 10by20": "w.yaml:5:17: roles.player.image_size: '10by20' is not a list: width, heig",
    PART + "image_size: [1024]": "w.yaml:5:5: roles.player.image_size.1: is missing",
    PART + "cache: {knd: static}": "w.yaml:5:13: roles.player.cache.knd: unknown key; nearest: kind",
    PART + "cache: static": "w.yaml:5:12: roles.player.cache: 'static' is not a mapping of keys to values",
    PART
    + "tensor_parallel: 2": "w.yaml:5:22: roles.player.tensor_parallel: only engine: vllm splits tensors",
    PART + "vllm: {block_size: 32}": "w.yaml:5:5: roles.player.vllm: has no effect with engine: transforme",
    PART + "quantization_bits: 5": "w.yaml:5:24: roles.player.quantization_bits: 5 is not 4 or 8",
    PART + "quantization_bits: [4]": "w.yaml:5:24: roles.player.quantization_bits: [4] is not 4 or 8",
    PART + "quantization: {}": "w.yaml:5:19: roles.player.quantization: {} is not 4bit or 8bit",
    PART + "use_quantized: 1": "w.yaml:5:20: roles.player.use_quantized: 1 is not true or false",
    PART + "use_quantized: true": "w.yaml:5:20: roles.player.use_quantized: says nothing of the bits",
    PART + "{use_quantized: true}": "w.yaml:6:1: broken YAML:",
    "batch: -1": "w.yaml:5:8: batch: -1 must be at least 1",
    "prompt_tokens: 99999999999": "w.yaml:5:16: prompt_tokens: 99999999999 must be at most 1000000000",
    "promt_tokens: 8": "w.yaml:5:1: promt_tokens: unknown key; nearest: prompt_tokens",
    "werewolff: {}": "w.yaml:5:1: werewolff: unknown key; nearest: werewolf",
    "section: {}": "w.yaml:5:1: section: unknown key; a kind's own part is named like it: werewolf",
    "pii: {}": "w.yaml:5:1: pii: belongs to kind pii, but this file is of kind werewolf; remove it",
    "werewolf: {playrs: 5}": "w.yaml:5:12: werewolf.playrs: unknown key; nearest: players",
    "werewolf: {players: 2}": "w.yaml:5:21: werewolf.players: 2 must be at least 3",
    "werewolf: 7": "w.yaml:5:11: werewolf: 7 is not a mapping of keys to values",
    "ullage: 2": "w.yaml:5:9: ullage: 2 is not valid; valid: 1",
    "schedule: sequentially": "w.yaml:5:11: schedule: 'sequentially' is not valid; nearest: sequential",
    "training: {}": "w.yaml:5:1: training: kind werewolf trains nothing; remove it, or use kind extract",
    "budget: {gpu: A100}": "w.yaml:5:10: budget.gpu: unknown key; nearest: gpus",
    "budget: {gpus: 3}": "w.yaml:5:16: budget.gpus: 3 is not text: as 2xA100-80GB",
    "budget: {gpus: 'A100+'}": "w.yaml:5:16: budget.gpus: 'A100+' names no GPUs; write 2xA100-80GB",
    "budget: {gpus: '0x A100'}": "w.yaml:5:16: budget.gpus: '0x A100' names no GPUs",
    "budget: {reserve: lots}": "w.yaml:5:19: budget.reserve: 'lots' is no size; write for example 47GiB or",
    "budget: {reserve: 100%}": "w.yaml:5:19: budget.reserve: 100% leaves nothing",
    "budget: {reserve: -1GB}": "w.yaml:5:19: budget.reserve: '-1GB' is no size",
    "budget: {host_memory: 9999999999TB}": "w.yaml:5:23: budget.host_memory: '9999999999TB' is more than",
    "memory: {precision_mode: fp8}": "w.yaml:5:26: memory.precision_mode: 'fp8' is not valid",
    "memory: {memory_warning_threshold: 85}": "w.yaml:5:36: memory.memory_warning_threshold: 85 must be at",
    "memory: {enable_gradient_checkpointing: true}": "w.yaml:5:41: memory.enable_gradient_checkpointing: s",
    "captures: [{sites: []}]": "w.yaml:5:20: captures.0.sites: names no site",
    "captures: [{}]": "w.yaml:5:12: captures.0.sites: is missing: hook names, as blocks.{l}.hook_resid_pos",
    "captures: [{sites: [a], layers: x}]": "w.yaml:5:33: captures.0.layers: 'x' is not valid; valid: all,",
    "captures: [{sites: [a], layers: [0, b]}]": "w.yaml:5:37: captures.0.layers.1: 'b' is not a whole numb",
    "captures: [{sites: [a], role: plyer}]": "w.yaml:5:31: captures.0.role: no role is called 'plyer'; nea",
    "captures: [{sites: [a], positions: span}]": "w.yaml:5:12: captures.0.span_tokens: is missing; positio",
    "captures: [{sites: [a], span_tokens: 4}]": "w.yaml:5:38: captures.0.span_tokens: has no effect",
    "captures: {sites: [a]}": "w.yaml:5:11: captures: {'sites': ['a']} is not a list",
}


@pytest.mark.parametrize("line", FIELDS)
def test_a_wrong_line_is_told_with_its_place_and_its_cure(line: str) -> None:
    assert told(GOOD + line + "\n")[0].startswith(FIELDS[line])


FORMS = {
    "": "w.yaml:1:1: the file is empty; it needs kind and roles",
    "# nothing\n": "w.yaml:1:1: the file is empty; it needs kind and roles",
    "[1, 2]": "w.yaml:1:1: the file must be a mapping of keys to values",
    "hello": "w.yaml:1:1: the file must be a mapping of keys to values",
    "kind: pii\nkind: pii\n": "w.yaml:2:1: key 'kind' stands twice, first on line 1",
    "kind: pii\nroles:\n\tverifier: a\n": "w.yaml:3:1: broken YAML: found character that cannot start any "
    "token; this is a tab: indent with spaces",
    "kind: [": "w.yaml:2:1: broken YAML:",
    '{"kind": "pii",\n "roles" 3}': "w.yaml:2:10: broken YAML:",
    "kind: pii\n---\nkind: pii\n": "w.yaml:2:1: a second document begins; a file holds one workload",
    "a: &a {x: 1}\nb: {<<: *a}\n": "w.yaml:2:5: merge keys (<<) are not read here; write the keys out",
    "a: &a [*a]": "w.yaml:1:8: alias *a contains itself",
    "a: *b": "w.yaml:1:4: alias *b: no anchor &b stands before it",
    "? [a]\n: b\n": "w.yaml:1:3: a key must be a word",
    "yes: b\n": "w.yaml:1:1: a key must be a word; put it in quotes",
    "batch: .nan": "w.yaml:1:8: .nan: a number must be finite",
    "batch: -.inf": "w.yaml:1:8: -.inf: a number must be finite",
    "batch: 1.0e+999": "w.yaml:1:8: 1.0e+999: a number must be finite",
    "batch: 99999999999999999999": "w.yaml:1:8: 99999999999999999999: the number is too large",
    "batch: " + "9" * 5000: "w.yaml:1:8: cannot read the value '999999",
    "kind: !!python/object:os.system x": "w.yaml:1:7: tag 'tag:yaml.org,2002:python/object:os.system' mean",
    "kind: !thing {}": "w.yaml:1:7: tag '!thing' means nothing here; leave it out",
    "kind: pii\0": "w.yaml:1:1: broken YAML: unacceptable character",
    "kind: \ud800": "w.yaml:1:1: broken YAML: 'utf-8' codec can't encode",
    "kind: pii # " + "x" * 1_000_000: "w.yaml:1:1: longer than 1000000 characters",
}


@pytest.mark.parametrize("text", FORMS, ids=lambda text: repr(text[:20]))
def test_what_is_not_a_sane_mapping_is_one_clear_error(text: str) -> None:
    assert told(text)[0].startswith(FORMS[text])


KINDS = {
    "roles: {player: m}": "w.yaml:1:1: kind: is missing; one of: assistant, evaluate, extract, pii, serve",
    "kind: werwolf\nroles: {player: m}": "w.yaml:1:7: kind: 'werwolf' is not a kind of workload; nearest:",
    "kind: [pii]\nroles: {a: m}": "w.yaml:1:7: kind: \"['pii']\" is not a kind of workload",
    "kind: pii": "w.yaml:1:1: roles: is missing: each role's name and its model",
    "kind: pii\nroles: {}": "w.yaml:2:1: roles: kind pii needs a role called 'verifier'",
    "kind: pii\nroles:": "w.yaml:2:7: roles: nothing is not a mapping of keys to values",
    "kind: pii\nroles: {verifyer: m}": "w.yaml:2:1: roles: kind pii needs a role called 'verifier'; is it "
    "the one called 'verifyer'?",
    "kind: evaluate\nroles: {generator: m, jugde: m}": "w.yaml:2:23: roles.jugde: kind evaluate has no such "
    "role; nearest: judge",
    "kind: extract\nroles: {a: m, b: m}": "w.yaml:2:1: roles: kind extract takes one role, not 2",
    "kind: extract\nroles: {a b: m}": "w.yaml:2:9: roles.a b: a role's name is a word of letters",
    "kind: extract\nroles: {a: {model: m, engine: vllm}}": "w.yaml:2:31: roles.a.engine: kind extract read",
    "kind: assistant\nroles: {router: m, voice: m}": "w.yaml:2:1: roles: kind assistant needs a specialist",
    "kind: assistant\nroles: {router: m, voice: m, s: m}\nassistant: {voice: s, specialists: [s]}": "w."
    "yaml:2:20: roles.voice: kind assistant has no such role",
    TWO + "captures: [{sites: [a]}]": "w.yaml:5:12: captures.0.role: is missing; one of: generator, judge",
    TWO
    + "memory: {activation_cache_filter: [a]}": "w.yaml:5:10: memory.activation_cache_filter: needs a work",
    GOOD + "captures: [{sites: [a]}]\nmemory: {activation_cache_filter: [a]}": "w.yaml:6:10: memory."
    "activation_cache_filter: captures are given too",
    GOOD + "captures: [{sites: [a]}]\nmemory: {activation_cache_filter: []}": "w.yaml:6:10: memory."
    "activation_cache_filter: captures are given too; remove it",
    GOOD + "captures: [{sites: ['*'], positions: mean}]": "w.yaml:5:38: captures.0.positions: mean of ",
    GOOD
    + PART
    + "engine: vllm\ncaptures: [{sites: [a]}]": "w.yaml:6:12: captures.0: role player has engine: vllm",
    GOOD
    + PART
    + "precision: bf16\n"
    + PART
    + "quantization_bits: 4": "w.yaml:5:16: roles.player.precision: 'bf16' "
    "contradicts the quantization switch, which means nf4",
    GOOD
    + PART
    + "quantization: 8bit\n"
    + PART
    + "quantization_bits: 4": "w.yaml:5:19: roles.player.quantization: contradicts quantization_bits: 4",
    GOOD
    + PART
    + "use_quantized: false\n"
    + PART
    + "precision: nf4": "w.yaml:5:20: roles.player.use_quantized: is false",
    "kind: pii\nroles: {verifier: m}\npii: {explain_fraction: 0.5}": "w.yaml:3:25: pii.explain_fraction: ",
    "kind: pii\nroles: {verifier: m}\nnew_tokens: 0\npii: {explain: all}": "w.yaml:4:16: pii.explain: the m",
    "kind: pii\nroles: {verifier: m}\nnew_tokens: 0\npii: {locate: true}": "w.yaml:4:15: pii.locate: the",
}


@pytest.mark.parametrize("text", KINDS)
def test_what_does_not_go_together_is_told_with_its_place(text: str) -> None:
    assert any(line.startswith(KINDS[text]) for line in told(text)), told(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "kind: pii\nbatch: -1\nroles:\n  verifier: {modl: a}\nbudget: {reserve: 5}\n"
    places = [":".join(line.split(":")[1:3]) for line in told(text)]
    assert places == ["2:8", "4:3", "4:14", "5:19"]


NAMED = """kind: evaluate
roles: {generator: {model: a}, judge: {model: b}}
probes:
  one: {path: a, hiden: 3, role: generator}
  two: {path: b, role: nobody}
  "4 x": {path: c, role: generator, columns: x}
  four: 7
captures:
  - {sites: 3, role: judge}
  - {sites: [blocks.0.hook_resid_post], role: noone}
"""


def test_names_are_told_beside_what_is_wrong_with_the_shape_of_others() -> None:
    lines = [line.split(": ", 1)[0] + ": " + line.split(": ")[1] for line in told(NAMED)]
    assert lines == [
        "w.yaml:4:18: probes.one.hiden",
        "w.yaml:5:3: probes.two",
        "w.yaml:5:24: probes.two.role",
        "w.yaml:6:3: probes.4 x",
        "w.yaml:6:46: probes.4 x.columns",
        "w.yaml:7:9: probes.four",
        "w.yaml:9:13: captures.0.sites",
        "w.yaml:10:47: captures.1.role",
    ]


def test_a_thousand_mistakes_are_counted_not_listed() -> None:
    lines = told(GOOD + "\n".join(f"key{i}: 1" for i in range(1000)))
    assert len(lines) == 51
    assert lines[-1] == "w.yaml: and 950 more mistakes"


def test_a_role_named_like_a_field_confuses_nothing() -> None:
    assert told("kind: extract\nroles: {cache: {modle: m}}")[1].endswith(
        "roles.cache.modle: unknown key; nearest: model"
    )


def test_a_file_that_is_not_text_is_an_error_of_input(tmp_path) -> None:
    from ullage.errors import InputError

    path = tmp_path / "w.yaml"
    path.write_bytes(b"\xff\xfe\x00k")
    with pytest.raises(InputError, match="UTF-8"):
        api.load(path)


def test_json_is_read_as_it_is() -> None:
    role = '{"verifier": {"model": "a/b", "use_quantized": false}}'
    text = f'{{\n\t"kind": "pii",\n\t"batch": 4,\n\t"roles": {role}\n}}'
    assert parsed(text).batch == 4


def test_aliases_repeat_a_role_without_sharing_it() -> None:
    text = "kind: evaluate\nroles:\n  generator: &m {model: a, quantization_bits: 4}\n  judge: *m\n"
    assert [role.precision for role in parsed(text).roles.values()] == ["nf4", "nf4"]


GUIDE_KEYS = {
    "use_quantized: true, quantization_bits: 4": "nf4",
    "use_quantized: true, quantization_bits: 8": "int8",
    "use_quantized: false, quantization_bits: 4": "auto",
    "use_quantized: false": "auto",
    "use_quantized: true, precision: nf4-dq": "nf4-dq",
    "quantization: 4bit": "nf4",
    "quantization: 8bit, precision: int8": "int8",
}


@pytest.mark.parametrize("keys", GUIDE_KEYS)
def test_the_guides_quantization_keys_mean_what_they_mean_there(keys: str) -> None:
    workload = parsed(f"kind: pii\nroles: {{verifier: {{model: a, {keys}}}}}")
    assert workload.roles["verifier"].precision == GUIDE_KEYS[keys]


def test_precision_mode_decides_for_roles_that_leave_theirs_open() -> None:
    text = "kind: evaluate\nroles: {generator: a, judge: {model: b, precision: int8}}\n"
    roles = parsed(text + "memory: {precision_mode: fp16}").roles
    assert (roles["generator"].precision, roles["judge"].precision) == ("fp16", "int8")


def test_an_activation_cache_filter_is_a_capture_and_an_empty_one_is_every_site() -> None:
    text = "kind: extract\nroles: {model: a}\nmemory: {activation_cache_filter: [%s]}"
    (every,) = parsed(text % "").captures
    assert every.sites == ("*",)
    assert parsed("kind: extract\nroles: {model: a}").captures == ()
    (capture,) = parsed(text % "blocks.0.hook_resid_post").captures
    assert capture.sites == ("blocks.0.hook_resid_post",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('{"": {a: 1}}', "roles.verifier.device_map.\"\": {'a': 1} is not text or a whole number"),
        ("{lm_head: [1]}", "roles.verifier.device_map.lm_head: [1] is not text or a whole number"),
    ],
)
def test_a_value_in_a_mapping_is_told_by_its_key_alone(given: str, told: str) -> None:
    with pytest.raises(SpecError) as raised:
        parsed(f"kind: pii\nroles: {{verifier: {{model: a, device_map: {given}}}}}")
    (mistake,) = raised.value.mistakes
    assert mistake.endswith(told)
