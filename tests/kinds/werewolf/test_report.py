"""The page, the summary and the tables of an experiment, from the rows a run wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted_games import FULL, at_random, play

from ullage import api
from ullage.kinds.werewolf.conditions import Condition
from ullage.kinds.werewolf.replay import Scale, replay, scale_of, tokens_of
from ullage.kinds.werewolf.results import games_in, report, turns_in
from ullage.kinds.werewolf.rows import Heard, game_row, turn_row
from ullage.kinds.werewolf.scores import Scores, unavailable
from ullage.kinds.werewolf.table import Table
from ullage.records.folder import RunFolder
from ullage.records.record import Environment, Record

RECORD = Record(Environment("cpu", "", "", "", "", ""), (), 0, 0, 0.0, 0)
EXAMPLE = Path(__file__).parents[3] / "examples" / "werewolf.yaml"


def words(ask, answer):
    """A token a word, with the space before it."""
    if ask.legal is not None:
        return {}
    if not answer.value.strip():
        return {"lie": unavailable("no token was written")}
    ends = [at for at, letter in enumerate(answer.value) if letter == " "] + [len(answer.value)]
    offsets = tuple(
        (answer.begin + begin, answer.begin + end) for begin, end in zip([0, *ends], ends, strict=False)
    )
    return {"lie": Scores(tuple(0.1 * place for place in range(len(offsets))), offsets)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four games in two conditions, as a run writes them."""
    path = tmp_path_factory.mktemp("run")
    with (path / "turns.jsonl").open("w") as turns, (path / "games.jsonl").open("w") as games:
        for condition in ("control", "treatment"):
            for seed in range(2):
                found = play(Table(FULL, seed, Condition(condition)), at_random(seed))
                for ask, answer in found.turns:
                    heard = words(ask, answer)
                    row = turn_row(seed, found.game.table, ask, answer, Heard((), 0, "player", heard, heard))
                    turns.write(json.dumps(row.written()) + "\n")
                games.write(json.dumps(game_row(seed, found.game).written()) + "\n")
    return path


@pytest.fixture(scope="module")
def written(folder):
    workload = api.load(EXAMPLE, ["name=<b>lies</b>", "werewolf.conditions=[control, treatment]"])
    return {path.name: path for path in report(RunFolder(folder), workload, folder, RECORD)}


def test_a_run_has_two_tables_a_summary_and_a_page(written):
    assert set(written) == {"turns.parquet", "games.parquet", "results.json", "report.html"}
    found = json.loads(written["results.json"].read_text())
    assert found["games"] == 4
    assert [arm["condition"] for arm in found["arms"]] == ["control", "treatment"]
    assert found["chance"]["exact"] == "2/15"
    assert found["pairs"][0]["games"] == 2
    assert {row["column"] for row in found["probes"][0]["rows"]} == {
        "with roles",
        "without roles",
        "shuffled",
    }
    assert sum(found["truths"].values()) > 0


def test_the_page_tells_every_game_again_and_shows_who_was_who_on_demand(written, folder):
    page = written["report.html"].read_text()
    assert "<b>lies</b>" not in page
    assert "&lt;b&gt;lies&lt;/b&gt;" in page
    assert page.count('<details class="reveals">') == 4
    assert "http" not in page.split("</style>")[1]
    for game in games_in(folder):
        seats = "; ".join(
            f"{name}: {identity}" for name, identity in zip(game.names, game.identities, strict=True)
        )
        assert f'<p class="secret">The {game.winner} win' in page
        assert seats in page


def test_a_replay_has_every_event_and_every_word(folder):
    turns = list(turns_in(folder))
    scale = scale_of(turns, "lie")
    for game in games_in(folder):
        own = [turn for turn in turns if (turn.condition, turn.game) == (game.condition, game.game)]
        lines = list(replay(game, own, "lie", scale))
        assert len(lines) == len(game.events)
        for line, event in zip(lines, game.events, strict=True):
            text = "".join(token.text for token in line.tokens)
            if event.what in ("said", "question", "answer", "last_words", "thought"):
                assert text == (event.word or "(says nothing)")
                assert line.speaker.startswith(game.names[event.actor])
            assert line.private == (event.seen_by is not None)
        assert [line.heading for line in lines if line.heading][:2] == ["Night 1", "Day 1"]
        said = [line for line in lines if line.truth]
        assert {line.truth for line in said} <= {"lie", "true", "unverifiable"}


def test_tokens_outside_of_what_was_said_are_not_shown(folder):
    turn = next(
        turn for turn in turns_in(folder) if turn.purpose == "statement" and turn.value == "I am a villager."
    )
    scores = Scores((0.9, 0.2, 0.4), ((0, 6), (6, 10), (10, 40)))
    shifted = type(turn)(**{name: getattr(turn, name) for name in turn.__slots__} | {"begin": 6})
    tokens = list(tokens_of(shifted, scores, Scale(0.0, 1.0)))
    assert [(token.text, token.score) for token in tokens] == [("I am", 0.2), (" a villager.", 0.4)]


def test_a_page_without_a_probe_is_written_too(folder, tmp_path):
    rows = [{**json.loads(line), "scores": {}, "stripped": {}} for line in (folder / "turns.jsonl").open()]
    (tmp_path / "turns.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "games.jsonl").write_bytes((folder / "games.jsonl").read_bytes())
    written = report(RunFolder(tmp_path), api.load(EXAMPLE), tmp_path, RECORD)
    assert "Probe" not in written[-1].read_text()
