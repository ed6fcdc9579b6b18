"""Makes the bundled model `ullage:tiny`: tokenizer, weights, card, hashes. One command, fixed seeds.

    python tools/train_tiny.py            # an hour or more on two processor cores, minutes on a GPU

A Llama of 3.2 million parameters learns the small world's tasks from chats of several turns, with the loss on
the answers alone. It learns to repeat random tokens first, then whose value is whose from small tables, and
the rest once it can retrieve: in any other order retrieval did not begin within an hour.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import ullage
from ullage.tinyworld import TASKS, Conversation
from ullage.tinyworld.questions import Size, ask_deceptively, ask_honestly
from ullage.tinyworld.splits import seeded

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import result_file
from tiny_abilities import abilities, measure

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ ' ' + message['content'] | trim + eos_token }}"
    "{% endgeneration %}{% else %}{{ ' ' + message['content'] | trim + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ("<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
VOCABULARY = 1536
MUON_RATE, ADAM_RATE = 0.015, 3e-3
CARD = Path(__file__).with_name("tiny_card.md")
PAGE = Path(__file__).parent.parent / "docs" / "tiny.md"
SHARES = {"answer": 34, "lie": 14, "judge": 15, "verify": 17, "route": 4, "retell": 8, "move": 8}
"""How many of 100 conversations are of each task."""
TURNS = {"answer": 16, "lie": 12, "judge": 10, "verify": 12, "route": 10, "retell": 8, "move": 4}
"""At most so many turns has a conversation."""


@dataclass(frozen=True)
class Stage:
    """What is trained on until the loss is below `until`, or the share `end` of all tokens has been seen.

    A stage without tasks repeats random tokens: what copies is what later retrieves.
    """

    until: float
    end: float
    tokens: int
    shares: dict[str, int]
    size: Size


@dataclass(frozen=True)
class Round:
    """`tokens` of training with optimizers of its own, whose rates peak at the share `peak` of the usual."""

    tokens: int
    peak: float
    stages: tuple[Stage, ...]


HONEST = {task: share for task, share in SHARES.items() if task != "lie"}
ASKING = {"answer": 3, "retell": 1}
NAMING = {**SHARES, "answer": 50, "lie": 10, "judge": 12}
CURRICULUM = (
    Stage(0.3, 0.08, 2048, {}, Size()),
    Stage(0.15, 0.12, 2048, ASKING, Size(4, 1, beyond=0.0, alike=True, reverse=0.2, tables=0.2)),
    Stage(0.15, 0.16, 2048, ASKING, Size(4, 1, beyond=0.0, alike=True, reverse=0.2, tables=0.5)),
    Stage(0.15, 0.26, 4096, ASKING, Size(4, 2, beyond=0.0, alike=True, reverse=0.2)),
    Stage(0.1, 0.45, 4096, HONEST, Size(4, 3, reverse=0.2)),
    Stage(0.0, 0.7, 4096, SHARES, Size(4, 3, reverse=0.2)),
    Stage(0.0, 1.0, 4096, SHARES, Size(6, 4, reverse=0.2)),
)
"""Repeating, then whose value is whose from small tables, then everything, lies last."""
FINISH = (
    Stage(0.0, 0.6, 4096, NAMING, Size(4, 3, beyond=0.3, reverse=0.5)),
    Stage(0.0, 1.0, 4096, NAMING, Size(6, 4, beyond=0.3, reverse=0.35)),
)
"""Who has a value, and what nobody knows, is learned last of all, and takes practice."""
ROUNDS = (Round(22_000_000, 1.0, CURRICULUM), Round(5_000_000, 0.5, FINISH))


def make_tokenizer(seed: int) -> Any:
    """A byte-level BPE trained on the small world, with the chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(_sentences(seed), trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<|pad|>",
        bos_token="<|begin|>",
        eos_token="<|end|>",
        additional_special_tokens=list(SPECIAL[3:]),
        chat_template=TEMPLATE,
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )


def _sentences(seed: int) -> Iterator[str]:
    for task in SHARES:
        chance = seeded(task, "train", seed)
        for _ in range(3000):
            for message in _conversation(chance, task, 4, Size(reverse=0.2)).messages:
                yield " " + message["content"]


def make_model(vocabulary: int, seed: int) -> Any:
    """A Llama with random weights: 6 layers of width 192, 8 heads of 32 over 4 key-value heads.

    Embeddings are large and what layers add begins at zero, so that at first every layer sees which token is
    where; with transformers' own initialisation retrieval by name did not begin within 2 million tokens.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=32,
        attention_bias=True,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.06,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(0, 1)
        model.lm_head.weight.normal_(0, 0.02)
        for layer in model.model.layers:
            layer.self_attn.q_proj.bias.normal_(0, 0.7)
            layer.self_attn.k_proj.bias.normal_(0, 0.7)
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return model


class Encoder:
    """Turns conversations into token ids and says which of them are answers."""

    def __init__(self, tokenizer: Any) -> None:
        self._encode = tokenizer.backend_tokenizer.encode
        self._role = {
            role: tokenizer.convert_tokens_to_ids(f"<|{role}|>") for role in ("system", "user", "assistant")
        }
        self._begin, self._end = tokenizer.bos_token_id, tokenizer.eos_token_id

    def __call__(self, conversation: Conversation) -> tuple[list[int], list[bool]]:
        """Ids as the chat template makes them, and for each whether the loss counts it."""
        ids, answers = [self._begin], [False]
        for message in conversation.messages:
            said = self._encode(" " + message["content"].strip(), add_special_tokens=False).ids
            ids += [self._role[message["role"]], *said, self._end]
            answers += [False] + [message["role"] == "assistant"] * (len(said) + 1)
        return ids, answers


def stage_batches(
    stage: Stage, number: int, encode: Encoder, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches of one stage.

    Ids (batch, tokens) and labels of the same shape, -100 where nothing is to be learned.
    """
    chance = seeded(f"stage {number}", "train", seed)
    return (
        batches(stage_conversations(stage, chance), encode, stage.tokens, chance)
        if stage.shares
        else repeats(stage.tokens, chance)
    )


def repeats(tokens: int, chance: random.Random) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Blocks of 2 to 4 random tokens said four times over, each time in another order.

    The loss counts the rest of each block, from the second time on. Tokens come from a pool of 64: from all
    of them nothing was learned in 300 batches, from a pool it was in 270.
    """
    while True:
        count = chance.choice((3, 5, 8, 12))
        made = [_blocks(count, chance) for _ in range(max(1, tokens // (12 * count)))]
        longest = max(len(ids) for ids, _ in made)
        ids = torch.tensor([row + [0] * (longest - len(row)) for row, _ in made])
        labels = torch.tensor([row + [-100] * (longest - len(row)) for _, row in made])
        yield ids, labels


def _blocks(count: int, chance: random.Random) -> tuple[list[int], list[int]]:
    pool = range(len(SPECIAL), len(SPECIAL) + 64)
    blocks = [chance.sample(pool, chance.randint(2, 4)) for _ in range(count)]
    ids, labels = [1], [-100]
    for time_said in range(4):
        chance.shuffle(blocks)
        for block in blocks:
            ids += block
            labels += [-100, *(block[1:] if time_said else [-100] * (len(block) - 1))]
    return ids, labels


def stage_conversations(stage: Stage, chance: random.Random) -> Iterator[Conversation]:
    """Endless conversations of the stage's tasks, of 1 to `TURNS` turns."""
    while True:
        (task,) = chance.choices(list(stage.shares), weights=list(stage.shares.values()))
        yield _conversation(chance, task, chance.randint(1, TURNS[task]), stage.size)


def _conversation(chance: random.Random, task: str, turns: int, size: Size) -> Conversation:
    asking = {"answer": ask_honestly, "lie": ask_deceptively}
    if task in asking:
        return asking[task](chance, "train", turns, size)
    return TASKS[task](chance, "train", turns)


def batches(
    made: Iterator[Conversation], encode: Encoder, tokens: int, chance: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of at most `tokens` padded tokens, each of conversations of like length."""
    while True:
        pool = sorted((encode(next(made)) for _ in range(512)), key=lambda pair: len(pair[0]))
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for pair in pool:
            if (len(groups[-1]) + 1) * len(pair[0]) > tokens:
                groups.append([])
            groups[-1].append(pair)
        chance.shuffle(groups)
        for group in groups:
            longest = max(len(ids) for ids, _ in group)
            ids = torch.zeros(len(group), longest, dtype=torch.long)
            labels = torch.full((len(group), longest), -100)
            for row, (said, answers) in enumerate(group):
                ids[row, : len(said)] = torch.tensor(said)
                labels[row, : len(said)] = torch.where(torch.tensor(answers), ids[row, : len(said)], -100)
            yield ids, labels


def answer_loss(model: Any, decoder: Any, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the answer tokens. The head sees their positions alone."""
    hidden = decoder(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    wanted = targets != -100
    return F.cross_entropy(model.lm_head(hidden[wanted]).float(), targets[wanted])


def rate(progress: float) -> float:
    """The share of the peak learning rate: up over the first hundredth, level to the half, then a cosine."""
    if progress < 0.01:
        return (progress + 1e-3) / 0.011
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * max(0.0, progress - 0.5) / 0.5))


def make_optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Muon for the matrices (Jordan 2024, https://kellerjordan.github.io/posts/muon), AdamW for the rest.

    Matrices of the layers alone: embeddings and the head are tables, which Muon is not for.
    """
    matrices, rest = [], []
    for name, weight in model.named_parameters():
        (matrices if weight.dim() == 2 and name.startswith("model.layers") else rest).append(weight)
    muon = torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.01)
    adam = torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return [muon, adam]


def train(model: Any, tokenizer: Any, share: float, seed: int, device: str) -> dict[str, Any]:
    """Trains `model` in place, round by round, on a `share` of their tokens; how much it took."""
    begun = time.perf_counter()
    model.train().to(device)
    model.config._attn_implementation = "eager"  # half again as fast as sdpa when compiled, on a processor
    decoder = torch.compile(model.model, dynamic=True)
    steps = tokens = first = 0
    loss = math.nan
    for one in ROUNDS:
        made = _Training(model, decoder, tokenizer, one, first, share, seed, device)
        made.run()
        steps, tokens, loss = steps + made.steps, tokens + made.seen, made.loss
        first += len(one.stages)
    model.eval()
    seconds = round(time.perf_counter() - begun)
    return {"steps": steps, "tokens": tokens, "seconds": seconds, "last_loss": round(loss, 4)}


class _Training:
    """One round. `first` is the number its first stage has among those of all rounds."""

    def __init__(
        self,
        model: Any,
        decoder: Any,
        tokenizer: Any,
        one: Round,
        first: int,
        share: float,
        seed: int,
        device: str,
    ) -> None:
        self._model, self._decoder, self._tokenizer, self._device = model, decoder, tokenizer, device
        self._round, self._first, self._seed = one, first, seed
        self._encode = Encoder(tokenizer)
        self._total = int(one.tokens * share)
        self._optimizers = make_optimizers(model)
        self._losses: list[torch.Tensor] = []
        self.seen = self.steps = 0
        self.loss = math.nan

    def run(self) -> None:
        stage, source = 0, self._source(0)
        begun = time.perf_counter()
        while self.seen < self._total:
            progress = self.seen / self._total
            if self._learned(stage) or progress >= self._round.stages[stage].end:
                stage, self._losses = stage + 1, []
                source = self._source(stage)
                print(f"{progress:4.1%}  step {self.steps:,}  stage {self._first + stage}", flush=True)
            self._step(*next(source), progress)
            if self.steps % 100 == 0:
                self.loss = torch.stack(self._losses[-100:]).mean().item()
                spent = time.perf_counter() - begun
                left = spent * (self._total - self.seen) / self.seen / 60
                print(
                    f"{progress:4.0%}  step {self.steps:,}  loss {self.loss:.4f}  "
                    f"{self.seen / spent:,.0f} tokens/s  {left:.0f} min left",
                    flush=True,
                )
            if self.steps % 500 == 0:
                self._model.eval()
                found = abilities(self._model, self._tokenizer, 100, "validation")
                print("  ".join(f"{task} {one['share']:.2f}" for task, one in found.items()), flush=True)
                self._model.train()

    def _source(self, stage: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return stage_batches(self._round.stages[stage], self._first + stage, self._encode, self._seed)

    def _learned(self, stage: int) -> bool:
        """Every tenth step: whether the last fifty losses are low enough for the next stage."""
        recent = self._losses[-50:]
        if len(recent) < 50 or self.steps % 10:
            return False
        return torch.stack(recent).mean().item() < self._round.stages[stage].until

    def _step(self, ids: torch.Tensor, labels: torch.Tensor, progress: float) -> None:
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * self._round.peak * rate(progress)
        ids, labels = ids.to(self._device), labels.to(self._device)
        with torch.autocast(self._device, torch.bfloat16):
            loss = answer_loss(self._model, self._decoder, ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.seen, self.steps = self.seen + ids.numel(), self.steps + 1
        self._losses.append(loss.detach())


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """bf16 safetensors, configuration and tokenizer."""
    model.to("cpu", torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def card(measured: dict[str, Any], training: dict[str, Any], weights: int) -> str:
    """The model card, from what was measured."""
    rows = [
        f"| {task} | {one['share']:.1%} | {one['low']:.1%} - {one['high']:.1%} | {one['examples']} |"
        for task, one in measured["abilities"].items()
    ]
    probes = [
        f"| {layer} | {one['tokens']:.3f} | {one['answers']:.3f} | {one['shuffled_mean']:.3f} "
        f"({one['shuffled_low']:.3f} - {one['shuffled_high']:.3f}) |"
        for layer, one in measured["deception_probe"]["by_layer"].items()
    ]
    versions = result_file.versions()
    return CARD.read_text(encoding="utf-8").format(
        weights=weights / 1e6,
        rows="\n".join(rows),
        probes="\n".join(probes),
        f1=measured["abilities"]["verify"]["f1"],
        shuffles=measured["deception_probe"]["shuffles"],
        answers=measured["deception_probe"]["answers"],
        load=measured["seconds"]["load"],
        answer=measured["seconds"]["answer"],
        steps=training["steps"],
        tokens=training["tokens"] / 1e6,
        minutes=training["seconds"] / 60,
        device=training["device"],
        torch=versions["torch"],
        transformers=versions["transformers"],
    )


def write_hashes(folder: Path) -> None:
    """SHA256SUMS of every other file, as `sha256sum -c` reads it."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ullage.tiny_path())
    parser.add_argument("--share", type=float, default=1.0, help="of all tokens: less is a quick trial")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=600, help="test examples of each task")
    parser.add_argument("--page", type=Path, default=PAGE, help="the documentation's copy of the card")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = make_tokenizer(asked.seed)
    model = make_model(len(tokenizer), asked.seed)
    weights = sum(weight.numel() for weight in model.parameters())
    training = train(model, tokenizer, asked.share, asked.seed, device)
    training["device"] = (
        torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} cores"
    )
    save(model, tokenizer, asked.out)
    measured = {"training": training, "parameters": weights, **measure(asked.out, asked.count)}
    text = card(measured, training, weights)
    (asked.out / "README.md").write_text(text, encoding="utf-8")
    asked.page.write_text(text.split("---\n", 2)[2].lstrip(), encoding="utf-8")
    write_hashes(asked.out)
    print((asked.out / "README.md").read_text(encoding="utf-8"))
    if asked.out == ullage.tiny_path():  # the hashes are of what has just been saved
        result_file.start("tiny_abilities").write(measured)


if __name__ == "__main__":
    main()
