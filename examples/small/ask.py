"""Asks the bundled model one held-out example of each task, and says whether the answer is right."""

from transformers import AutoModelForCausalLM, AutoTokenizer

import ullage
from ullage.tinyworld import TASKS, examples

tokenizer = AutoTokenizer.from_pretrained(ullage.tiny_path())
model = AutoModelForCausalLM.from_pretrained(ullage.tiny_path())

for task in TASKS:
    example = examples(task, "test", 1, seed=1)[0]
    prompt = tokenizer.apply_chat_template(
        example.messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**prompt, max_new_tokens=40, do_sample=False)
    reply = tokenizer.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    print(f"\n{task}: {example.system}\n  {example.turn.user}".replace("\n- ", "\n  - "))
    print(f"  -> {reply}   ({'right' if example.accepts(reply) else 'wrong: ' + example.turn.answer})")
