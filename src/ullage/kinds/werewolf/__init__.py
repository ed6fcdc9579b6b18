"""Werewolf: one copy of a model plays the game and is probed for deception."""

from ullage.workloads.kind import Kind

KIND = Kind(
    "werewolf",
    __name__,
    runner="ullage.kinds.werewolf.run",
    reporter="ullage.kinds.werewolf.results",
)
