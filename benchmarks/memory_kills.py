"""An assistant's memory whose process gets SIGKILL at random moments, while notes are added and forgotten.

    python benchmarks/memory_kills.py [--kills 100]      # writes results/memory_kills.json

A process adds notes of three users and now and then forgets some, telling of each once it is done. After
each kill the memory is opened again: every note whose adding was told of is there, found by its own text and
with its own user alone; of those whose forgetting was told of none is there, and no byte of their texts is in
any file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import result_file

from ullage.kinds.assistant.memory.chroma_memory import id_of, open_chroma
from ullage.kinds.assistant.memory.embedder import by_words
from ullage.kinds.assistant.memory.erasure import look_for
from ullage.kinds.assistant.memory.memory import Memory, Note, Query

USERS = ("ada", "bob", "Ada")
WIDTH = 64
Name = tuple[str, str]
"""A user and the key of a note."""


def text_of(user: str, key: str) -> str:
    """Words that no other note has."""
    chance = random.Random(f"{user} {key}")
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(chance.randint(3, 12))]
    return " ".join(words)


@dataclass
class Told:
    """What a process told of: notes it `added`, those it has `forgotten`, those it was about to forget."""

    added: set[Name] = field(default_factory=set)
    forgotten: set[Name] = field(default_factory=set)
    doubtful: set[Name] = field(default_factory=set)

    def take(self, message: tuple[str, list[Name]]) -> None:
        what, names = message
        if what == "added":
            self.added |= set(names)
        elif what == "forgetting":
            self.doubtful |= set(names)
        elif what == "forgotten":
            self.forgotten |= set(names)
            self.doubtful -= set(names)

    @property
    def standing(self) -> set[Name]:
        """Notes that have to be there."""
        return self.added - self.forgotten - self.doubtful


def work(folder: Path, seed: int, begun: int, there: list[Name], tell: Connection) -> None:
    """Adds and forgets until it is killed."""
    chance = random.Random(seed)
    with open_chroma(folder, by_words(WIDTH)) as memory:
        tell.send(("ready", []))
        number = begun
        while True:
            if len(there) > 8 and chance.random() < 0.15:
                user = chance.choice(there)[0]
                gone = [name for name in there if name[0] == user and chance.random() < 0.4]
                tell.send(("forgetting", gone))
                memory.delete(user, [id_of(key) for _, key in gone])
                there = [name for name in there if name not in gone]
                tell.send(("forgotten", gone))
            else:
                name = (chance.choice(USERS), f"k{number}")
                number += 1
                memory.add(name[0], Note(name[1], text_of(*name), ("t",), chance.random()))
                there.append(name)
                tell.send(("added", [name]))


def standing_in(memory: Memory, names: Iterable[Name]) -> set[Name]:
    """Those of `names` that are found by their own text, and only with their user."""
    found = set()
    for user, key in names:
        text = text_of(user, key)
        near = {other: memory.search(other, Query(text, count=1)) for other in USERS}
        mine = [other for other, notes in near.items() if notes and notes[0].text == text]
        assert mine in ([], [user]), f"a note of {user} is found by {mine}"
        if mine:
            found.add((user, key))
    return found


def starting() -> Any:
    """Processes that begin with all imports done."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["chromadb", "memory_kills"])
    return processes


def kill_beginnings(processes: Any, folder: Path, kills: int, chance: random.Random) -> int:
    """Kills as many processes that make a new memory; how many of these can be opened and used afterwards."""
    good = 0
    for kill in range(kills):
        listen, tell = processes.Pipe(duplex=False)
        begun = folder / f"begun-{kill}"
        worker = processes.Process(target=work, args=(begun, kill, 0, [], tell), daemon=True)
        worker.start()
        tell.close()
        time.sleep(chance.uniform(0, 0.3))
        worker.kill()
        worker.join()
        listen.close()
        with open_chroma(begun, by_words(WIDTH)) as memory:
            memory.add("ada", Note("last", "what was added afterwards"))
            good += memory.search("ada", Query("what was added afterwards", count=1))[0].similarity > 0.99
    return good


def kill_memory(folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kills as many processes that write the memory in `folder`; what was found after each."""
    processes = starting()
    chance = random.Random(seed)
    told = Told()
    number = lost = back = traces = untold = 0
    for kill in range(kills):
        listen, tell = processes.Pipe(duplex=False)
        there = sorted(told.standing)
        worker = processes.Process(target=work, args=(folder, seed + kill, number, there, tell), daemon=True)
        worker.start()
        tell.close()
        assert listen.recv() == ("ready", [])
        for _ in range(chance.randint(0, 15)):
            told.take(listen.recv())
        time.sleep(chance.uniform(0, 0.1))
        worker.kill()
        worker.join()
        try:
            while True:
                told.take(listen.recv())
        except EOFError:
            pass
        number += 10_000  # what was not told of may be there
        gone = [text_of(*name) for name in sorted(told.forgotten)]
        with open_chroma(folder, by_words(WIDTH)) as memory:
            lost += len(told.standing - standing_in(memory, told.standing))
            back += len(standing_in(memory, told.forgotten))
            there_now = standing_in(memory, told.doubtful)
            told.forgotten |= told.doubtful - there_now
            told.doubtful = set()
            left = look_for(folder, gone)
        traces += len(left.left)
        untold += left.untold
    return {
        "kills": kills,
        "added": len(told.added),
        "forgotten": len(told.forgotten),
        "lost": lost,
        "back": back,
        "traces": traces,
        "untold": untold,
        "bytes_looked_at": left.bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    chosen = parser.parse_args()
    made = result_file.start("memory_kills")
    with tempfile.TemporaryDirectory() as name:
        figures = kill_memory(Path(name) / "memory", chosen.kills)
        beginnings = chosen.kills // 5
        figures["beginnings"] = beginnings
        figures["beginnings_used"] = kill_beginnings(starting(), Path(name), beginnings, random.Random(1))
    made.write(
        figures,
        {
            "every note that was told of is there": figures["lost"] == 0,
            "a memory killed while it is made can be used": figures["beginnings_used"] == beginnings,
            "no forgotten note comes back": figures["back"] == 0,
            "no byte of a forgotten text is in a file": figures["traces"] == figures["untold"] == 0,
        },
    )


if __name__ == "__main__":
    main()
