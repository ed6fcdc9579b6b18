"""Replies that are to be calls, by a model that has learned one."""

import json

import openai
import pytest

CALL = {"name": "weather", "arguments": {"town": "Norby"}}
SAID = [{"role": "user", "content": "How is it in Norby?"}]


def tool(name):
    parameters = {"type": "object", "properties": {"town": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


def chosen(name):
    return {"type": "function", "function": {"name": name}}


@pytest.fixture(scope="session")
def calling_folder(tmp_path_factory):
    """A small model that says one call twice over, from wherever in it a reply was begun, and ends.

    Its tokens are characters, so that a reply begun for it is read as what it has said itself."""
    import small_models
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ullage.engines.offered import Definition, offered

    folder = small_models.save(tmp_path_factory.mktemp("calling"), chat=True, positions=2048)
    words, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    parts = tool("weather")["function"]
    told = offered([Definition(parts["name"], parts["description"], parts["parameters"])])
    said = [{"role": "system", "content": told}, *SAID]
    prompt = words.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
    whole = f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def ids(text):
        return words(text, add_special_tokens=False)["input_ids"]

    read, rest = ids(prompt), [*ids(whole + whole), words.eos_token_id]
    tokens, labels = torch.tensor([read + rest]), torch.tensor([[-100] * len(read) + rest])
    for _ in range(400):
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.02:
            break
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def calling(begun, calling_folder, small_roles):
    roles = {"caller": {"model": str(calling_folder)}, "script": small_roles["script"]}
    work = {"prompt_tokens": 1200, "new_tokens": 150, "batch": 2, "budget": {"gpus": "cpu"}}
    with begun({"kind": "serve", "roles": roles, **work}) as found:
        yield found.client().chat.completions


def asked(**more):
    return {"model": "caller", "messages": SAID, "tools": [tool("weather")], **more}


def made(choice):
    return [
        {"name": each.function.name, "arguments": json.loads(each.function.arguments)}
        for each in choice.message.tool_calls
    ]


def test_calls_that_were_cut_off_are_told_as_cut_off(calling):
    """vllm 47963: a call that max_tokens had cut off ended as if it were whole."""
    tokens = calling.create(**asked()).usage.completion_tokens
    short = asked(max_tokens=tokens * 3 // 4)
    (cut,) = calling.create(**short).choices
    assert made(cut) == [CALL]
    *_, last = calling.create(**short, stream=True)
    assert cut.finish_reason == last.choices[0].finish_reason == "length"


def test_it_calls_as_often_as_it_likes_where_it_may(calling):
    choice = calling.create(**asked()).choices[0]
    assert (choice.finish_reason, made(choice)) == ("tool_calls", [CALL, CALL])


@pytest.mark.parametrize(
    "more", [{"parallel_tool_calls": False}, {"tool_choice": "required"}, {"tool_choice": chosen("weather")}]
)
def test_one_call_is_one(calling, more):
    choice = calling.create(**asked(**more)).choices[0]
    assert (choice.finish_reason, made(choice)) == ("tool_calls", [CALL])
    parts = [*calling.create(**asked(**more), stream=True)]
    calls = [each for part in parts for each in part.choices[0].delta.tool_calls or ()]
    assert [(each.index, each.function.name) for each in calls] == [(0, "weather")]
    assert "tool_call>" not in str(parts)


def test_what_is_to_be_a_call_and_is_none_is_no_answer(calling):
    """Cut off, or of a function that nobody offered."""
    with pytest.raises(openai.BadRequestError, match="cut off; give it more tokens"):
        calling.create(**asked(tool_choice="required", max_tokens=3))
    with pytest.raises(openai.BadRequestError, match="cannot be read"):
        calling.create(**asked(tools=[tool("tides")], tool_choice="required"))


@pytest.mark.parametrize(
    "more, problem",
    [
        ({"tool_choice": chosen("tides")}, "'tides' is not among the tools"),
        ({"tool_choice": "required", "tools": openai.omit}, "there are no tools"),
        ({"model": "script", "tool_choice": "required"}, "nothing here holds script to it"),
        ({"model": "script", "parallel_tool_calls": False}, "parallel_tool_calls: nothing here holds"),
    ],
)
def test_what_nothing_holds_a_model_to_is_refused(calling, more, problem):
    with pytest.raises(openai.BadRequestError, match=problem):
        calling.create(**asked(**more))
