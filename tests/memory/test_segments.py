"""Segments around a pass, replayed: laws, and published measurements."""

import json
import statistics
from dataclasses import replace

import pytest

import ullage
from ullage.facts.abilities import nvidia
from ullage.facts.catalog import find_model
from ullage.memory.forward.one_pass import Pass
from ullage.memory.forward.segments import Layers, typical_segments, unused_segments
from ullage.memory.forward.tape import ONE, ROWS, Amounts
from ullage.memory.forward.tensors import Tensors
from ullage.memory.weights.precision import resolve_precision
from ullage.spec.role import Role
from ullage.units import MIB
from ullage.workloads.loading import parse

LLAMA = "meta-llama/Llama-2-7b-chat-hf"


def layers(name=LLAMA, caches=True, every=False, depth=None, **fields):
    model = find_model(name)
    model = replace(model, layers=model.layers[:depth])
    work = Pass(1, 2048, 0, "sdpa", False, caches)._replace(**fields)
    precision = resolve_precision(Role(model=name, precision="bf16"), model, nvidia((9, 0)))
    return Layers(model, precision, work, False, every, (2, 4))


def test_a_release_is_of_the_tensor_that_was_held_as_it_else_of_its_size():
    tape = Tensors(caches=False)
    first, second = ROWS * 4, ROWS * 4
    tape.hold(first)
    tape.hold(second)
    tape.hold(ROWS * 8)
    tape.drop(first)
    tape.drop(ROWS * 12)  # of the two that are left
    assert [(step.number, step.comes) for step in tape.steps] == [
        (0, True),
        (1, True),
        (2, True),
        (0, False),
        (1, False),
        (2, False),
    ]
    tape.touch(ONE)
    tape.drop(ROWS * 5)  # nothing is there
    assert [step.comes for step in tape.steps[6:]] == [True, False]
    amounts = Amounts(1, 2, 3, 4, 5)
    assert [step.size.of(amounts) for step in tape.steps[:3]] == [12, 12, 24]


def test_a_cache_keeps_copies_and_what_it_copies_is_gone():
    tape = Tensors(caches=True)
    key, value = ROWS * 4, ROWS * 4
    tape.hold(key)
    tape.hold(value)
    assert tape.cache(key, value)
    assert tape.kept == [2, 3]
    assert [step.number for step in tape.steps if not step.comes] == [0, 1]
    assert not Tensors(caches=False).cache(key, value)


@pytest.mark.parametrize("caches", [True, False])
def test_large_passes_leave_the_same_share(caches):
    one, four = (unused_segments(layers(caches=caches, new=8192, batch=batch)) for batch in (1, 4))
    assert four == 4 * one > 0


def test_without_a_cache_depth_makes_no_difference_with_one_it_does():
    few, many = (layers(caches=False, depth=depth, new=8192) for depth in (12, 32))
    assert unused_segments(few) == unused_segments(many)
    few, many = (layers(depth=depth, new=8192) for depth in (12, 32))
    assert unused_segments(many) > 1.5 * unused_segments(few)


def test_what_is_typical_grows_with_the_pass():
    found = [
        typical_segments(layers(masked=True, batch=batch, new=new))
        for batch, new in ((2, 100), (2, 1000), (3, 1000), (3, 5000), (30, 5000))
    ]
    assert found == sorted(found)
    assert found[0] > MIB


@pytest.mark.parametrize(
    "model", ["Qwen/Qwen2.5-0.5B", "meta-llama/Llama-3.2-1B-Instruct", "google/gemma-2-2b"]
)
def test_a_sequence_more_never_takes_less_where_tokens_are_chosen_in_slices(model):
    """Vocabularies of 152, 128 and 256 thousand: slices hold 27, 32 and 16 sequences."""
    highs = []
    for batch in (*range(2, 60), 100, 200, 400):
        section = {"kind": "evaluate", "roles": {"generator": {"model": model}, "judge": {"model": model}}}
        workload = parse(
            json.dumps(section | {"batch": batch, "prompt_tokens": 355, "budget": {"gpus": "2xB200"}}),
            "workload.json",
        )
        device = max(ullage.plan(workload, advice=False).devices, key=lambda each: each.peak.device.high)
        highs.append(device.peak.device.high)
    assert highs == sorted(highs)


def test_published_reserved_bytes_are_met_and_none_is_above_the_high_value():
    from accuracy import forward_rows

    found = forward_rows("reserved")
    assert len(found) == 14
    assert statistics.median(abs(row["error_percent"]) for row in found) < 2
    assert all(row["high_covers"] for row in found)
    assert {row["precision"] for row in found} == {"fp16", "gptq-int4"}
