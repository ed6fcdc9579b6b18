"""A server on this machine that speaks OpenAI's protocol, by plain passes of a transformers model."""

import torch
from remote_server import Server


def served(model, tokenizer):
    """The likeliest reply, token by token, with as many log-probabilities as are asked for."""

    def behave(body, seen):
        ids = tokenizer.apply_chat_template(
            body["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=False
        )
        content, cache = [], None
        for _ in range(body["max_tokens"]):
            with torch.inference_mode():
                out = model(ids, past_key_values=cache, use_cache=True)
            logprobs, cache = out.logits[0, -1].float().log_softmax(-1), out.past_key_values
            top = logprobs.topk(body["top_logprobs"])
            told = [
                {"token": tokenizer.decode([token]), "logprob": weight, "bytes": None}
                for weight, token in zip(top.values.tolist(), top.indices.tolist(), strict=True)
            ]
            content.append({**told[0], "top_logprobs": told})
            ids = top.indices[None, :1]
        message = {"role": "assistant", "content": "".join(one["token"] for one in content)}
        choice = {"index": 0, "finish_reason": "length", "message": message, "logprobs": {"content": content}}
        usage = {"prompt_tokens": 1, "completion_tokens": len(content), "total_tokens": 1 + len(content)}
        told = {"id": "1", "object": "chat.completion", "created": 0, "model": "served"}
        return 200, {**told, "choices": [choice], "usage": usage}

    return Server(behave)
