"""Werewolf: one copy of a model plays the game and is probed for deception."""

from ullage.kinds.werewolf.phases import phases
from ullage.kinds.werewolf.section import Section


class _Kind:
    name = "werewolf"
    section = Section
    phases = staticmethod(phases)
    runner = ""
    reporter = ""


KIND = _Kind()
