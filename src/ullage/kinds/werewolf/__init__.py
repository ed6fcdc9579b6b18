"""Werewolf: one copy of a model plays the game and is probed for deception."""

from ullage.workloads.kind import RAN, Command, Kind

KIND = Kind(
    "werewolf",
    __name__,
    runner="ullage.kinds.werewolf.run",
    reporter="ullage.kinds.werewolf.results",
    form="ullage.kinds.werewolf.guide_file",
    commands=(
        Command(
            "play",
            "Take a seat in a game of werewolf, beside models, with the view that a model would have.",
            "ullage.kinds.werewolf.commands:play",
            "ullage play examples/small/werewolf-tiny.yaml --seat 1",
            RAN,
        ),
    ),
    demo=(
        "ullage plan examples/small/werewolf-tiny.yaml",
        "ullage run examples/small/werewolf-tiny.yaml --out .demo/werewolf",
        "ullage verify .demo/werewolf",
        "ullage report .demo/werewolf",
    ),
)
