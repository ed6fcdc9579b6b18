"""Encoders in this process: two texts scored together, or the state of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NoReturn

from ullage.engines.engine import Pair, Prompt, Sampling
from ullage.engines.prompts import PromptEncoder
from ullage.errors import FormatError, UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor

    from ullage.runtime.loader import Loaded

Pooling = Literal["mean", "first"]
"""What of a text's states its vector is: their mean over its tokens, or that of the first token."""


class Encoder:
    """One loaded encoder and its tokenizer.

    Texts are data: a special token written out in one is read as the letters it is made of. None is cut.
    """

    def __init__(self, loaded: Loaded, name: str) -> None:
        self._model, self._device, self._name = loaded.model, loaded.device, name
        self._prompts = PromptEncoder(loaded.tokenizer, name, self._rows())
        if self._prompts.tokenizer.pad_token_id is None:
            raise FormatError(f"{name}: its tokenizer has no padding token, so its texts cannot be batched")

    def lengths(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each text."""
        return [*map(len, self._prompts.all_ids(prompts))]

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling, seeds: Sequence[int]) -> NoReturn:
        """Raises UnsupportedError."""
        raise UnsupportedError(f"{self._name}: is an encoder, which writes nothing; name a decoder")

    def score(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> NoReturn:
        """Raises UnsupportedError."""
        raise UnsupportedError(f"{self._name}: is an encoder, which goes on with nothing; name a decoder")

    def _rows(self) -> int | None:
        """How many token ids the model has embeddings of."""
        held = getattr(self._model, "get_input_embeddings", lambda: None)()
        return getattr(held, "num_embeddings", None)

    def _read(self, texts: Sequence[str], others: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The texts, or pairs of them, as the model takes them: (texts, tokens), padded on the right."""
        said = [self._prompts.inert(text) for text in texts]
        beside = None if others is None else [self._prompts.inert(text) for text in others]
        made: Mapping[str, Tensor] = self._prompts.tokenizer(
            said, beside, padding=True, padding_side="right", return_tensors="pt"
        )
        rows = self._rows()
        if rows is not None and int(made["input_ids"].max()) >= rows:
            raise FormatError(
                f"{self._name}: its tokenizer writes ids up to {int(made['input_ids'].max()):,}, and the "
                f"model has {rows:,} embeddings; give it the tokenizer it was trained with"
            )
        return {key: each.to(self._device) for key, each in made.items()}


class PairEncoder(Encoder):
    """Scores pairs: a cross-encoder of one label, or a model of inference of several."""

    def pair_lengths(self, pairs: Sequence[Pair]) -> list[int]:
        """Tokens of each pair, the special ones around its texts too."""
        if not pairs:
            return []
        firsts, seconds = ([self._prompts.inert(text) for text in side] for side in zip(*pairs, strict=True))
        return [len(ids) for ids in self._prompts.tokenizer(firsts, seconds)["input_ids"]]

    def compare(self, pairs: Sequence[Pair]) -> list[tuple[float, ...]]:
        """For each pair the logit of each label; one pass."""
        import torch

        firsts, seconds = zip(*pairs, strict=True)
        with torch.inference_mode():
            logits = self._model(**self._read(firsts, seconds)).logits
        return [tuple(row) for row in logits.float().cpu().tolist()]


class TextEncoder(Encoder):
    """Gives each text a vector, pooled of its states."""

    def __init__(self, loaded: Loaded, name: str, pooling: Pooling = "mean") -> None:
        from transformers import PreTrainedConfig

        super().__init__(loaded, name)
        config = loaded.model.config
        assert isinstance(config, PreTrainedConfig)
        self._pooling, self._width = pooling, config.hidden_size

    def embed(self, prompts: Sequence[Prompt], batch: int) -> Tensor:
        """(prompts, width), each of length 1, fp32 on the host; so many texts at once.

        Reimers and Gurevych 2019, Sentence-BERT, arXiv:1908.10084, section 3, with the mean as their default.
        """
        import torch

        texts = [self._prompts.text(prompt) for prompt in prompts]
        found = [torch.empty(0, self._width)]
        with torch.inference_mode():
            for at in range(0, len(texts), batch):
                read = self._read(texts[at : at + batch])
                states = self._model(**read).last_hidden_state.float()
                found.append(torch.nn.functional.normalize(self._pooled(states, read), dim=-1).cpu())
        return torch.cat(found)

    def _pooled(self, states: Tensor, read: Mapping[str, Tensor]) -> Tensor:
        if self._pooling == "first":
            return states[:, 0]
        inside = read["attention_mask"][..., None]
        return (states * inside).sum(1) / inside.sum(1)
