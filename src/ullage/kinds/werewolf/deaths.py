"""How players leave the table: announced, with last words and the hunter's shot where the rules give them."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.kinds.werewolf.asks import NOBODY
from ullage.kinds.werewolf.events import What
from ullage.kinds.werewolf.identities import HUNTER
from ullage.kinds.werewolf.table import Steps, Table


def leave(table: Table, seats: Sequence[int], what: What, may_speak: bool) -> Steps[None]:
    """The players of `seats` die or are exiled together; whom a hunter shoots goes with them."""
    told = table.rules.reveal == "all" or (table.rules.reveal == what == "exiled")
    for seat in seats:
        table.living.remove(seat)
        table.dying.append(seat)
        table.add(what, target=seat, word=table.identities[seat] if told else "")
    for seat in seats:
        if may_speak:
            (answer,) = yield (table.ask(seat, "last_words"),)
            table.add("last_words", actor=seat, word=answer.value)
            table.heard(seat, answer.score)
        if table.identities[seat] == HUNTER and table.living:
            (answer,) = yield (table.ask(seat, "shoot", (*table.named(table.living), NOBODY)),)
            if answer.value != NOBODY:
                table.add("shot", actor=seat, target=table.seat_of(answer.value))
                yield from leave(table, [table.seat_of(answer.value)], "dies", may_speak and what == "dies")
        table.dying.remove(seat)
