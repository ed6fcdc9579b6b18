"""What was measured of assistants, as sections of docs/measured.md."""

from __future__ import annotations

from result_file import figures


def killed_assistants(kills: str) -> str:
    """Runs of requests that were killed; `kills` says how made."""
    found = figures("assistant_faults")
    return f"""## Assistants, killed

{kills}: {found["kills"]} kills at random moments over {found["runs"]} runs of {found["requests"]} requests by {found["users"]} users, with a memory; {found["byte_identical"]} of the {found["runs"]}
resumed runs end with the answers and pictures of one left alone, byte for byte. {found["unanswered"]} requests were left without an answer, {found["answered_twice"]}
answered twice; of {found["notes_looked_for"]:,} notes of rounds that were kept {found["notes_lost"]} were lost, and {found["other_notes"]} stood there at the end that a run left
alone has not, or lacked.
"""


def remembering_talks(talks: str) -> str:
    """A real model's talks; `talks` says how made."""
    found = figures("assistant_talk")
    talk, without = found["talk with a memory"], found["talk without a memory"]
    rows = "\n".join(
        f"| {name} | {_share(found[name]['retrieved'])} | {_share(found[name]['answered'])} | {_share(found[name]['told'])} |"
        for name in ("later talk", "forgotten")
    )
    return f"""## What an assistant remembers

{talks}: SmolLM2-135M-Instruct in every text role. In a talk of {talk["turns"]} turns a fact of turn 2 is asked for in turn 9, when turn 2 has left the
prompt: with a memory the answer {_has(talk["answered"])} it and what the user is told {_has(talk["told"])}; without one {_has(without["answered"])} and {_has(without["told"])}. Of {found["facts"]}
facts, each told in one talk and asked for in another, and once more when they were forgotten (95 % intervals):

| asked in | note before the specialist | in its answer | in what the user is told |
|---|---|---|---|
{rows}

After forgetting {found["bytes_left"] + talk["bytes_left"]} of the texts were found in the files of the memories.
"""


def _share(found: dict) -> str:
    return f"{found['hits']} of {found['of']} ({found['low']:.2f}-{found['high']:.2f})"


def _has(held: bool) -> str:
    return "has" if held else "lacks"
