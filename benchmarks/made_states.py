"""Stores of random states, written as an extraction writes them."""

import numpy as np
import torch

from ullage.capture.index import write_index
from ullage.capture.store import Example, ShardStore
from ullage.capture.stored import open_states

MODEL = "made"


def site(layer):
    return f"blocks.{layer}.hook_resid_post"


def save(folder, states, tokens=5, dtype=torch.float32, shard_bytes=16 * 1024):
    """A store of `states` {site: (rows, hidden)}, so many rows a dialogue, named 0, 1, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    store = ShardStore(folder / "states", shard_bytes, ())
    written = []
    rows = len(next(iter(states.values())))
    for at, begin in enumerate(range(0, rows, tokens)):
        kept = {
            name: torch.from_numpy(each[begin : begin + tokens]).to(dtype) for name, each in states.items()
        }
        count = len(next(iter(kept.values())))
        text = "x" * count
        offsets = tuple((place, place + 1) for place in range(count))
        ids = tuple(10 + at % 7 for _ in range(count))
        one = Example(at, str(at), text, ids, offsets, count, kept, "model", "extract")
        written += store.add(at, [one])
    written += store.finish()
    write_index(folder / "states", lambda: iter(written), {"model": MODEL})
    return open_states(folder)


def separable(rows, hidden, seed=0, tokens=5, strength=1.0, layers=1):
    """States of layers, correlated and of unlike sizes, the labels they tell, and whose each row is."""
    chance = np.random.default_rng(seed)
    dialogues = -(-rows // tokens)
    labels = chance.permutation(np.arange(dialogues) % 2 == 0)
    whose = np.arange(rows) // tokens
    states = {}
    for layer in range(layers):
        mixed = chance.normal(size=(hidden, hidden)) / np.sqrt(hidden) + np.eye(hidden)
        direction = chance.normal(size=hidden) / np.sqrt(hidden)
        noise = chance.normal(size=(rows, hidden)) @ mixed * np.exp(chance.normal(size=hidden))
        shift = np.where(labels[whose], 1.0, -1.0)[:, None] * direction * strength
        states[site(layer)] = (noise + shift + 3 * chance.normal(size=hidden)).astype(np.float32)
    return states, labels, whose


def records(labels):
    return [{"id": str(at), "text": "x" * 5, "label": int(each)} for at, each in enumerate(labels)]
