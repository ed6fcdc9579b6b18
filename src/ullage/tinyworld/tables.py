"""Everything there is in the small world. No job, pet or illness that follows `a` begins with a vowel."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    """Ada Adam Berta Bruno Cora Carl Dina David Elsa Emil Fanny Felix Greta Georg Hilda Henrik Irma Ivan Jana
    Jonas Karin Kurt Lotte Lars Maren Martin Nora Nils Olga Oskar Petra Paul Rosa Rolf Selma Simon Tilda
    Tomas Wanda Viktor"""
)
LAST_NAMES = _words(
    """Adler Baker Berg Carter Clay Dahl Drake Falk Fisher Frost Gale Green Grove Hale Holm Hunter Keller
    Koch Lang Lind Marsh Mason Miller Moor Nord Page Quist Reed Rivers Rose Sand Shaw Stone Storm Thorn
    Vale Wagner Weber West Wolf"""
)
PLACES = _words(
    """Arden Brell Corvo Drosa Elvik Fenna Garth Hollen Istra Jarrow Kestel Lunda Mirren Norby Ostra Pellan
    Quarn Rask Selby Torven Ulmen Varda Wexel Zarin"""
)
RIVERS = _words(
    """Alba Bode Cend Dorn Erle Fyris Gota Havel Isar Jagst Kyll Lahn Main Neisse Oder Pegau Queich Rott
    Saar Tauber Ucker Vils Werra Zorn"""
)
DISHES = _words(
    """beans bread cakes cheese cider dates figs fish grapes ham honey jam lamb lemons melons noodles nuts
    olives pears pies plums rice soup tea"""
)
JOBS = _words(
    """barber builder chemist cook dancer dentist driver farmer florist gardener judge lawyer librarian
    miner nurse painter pilot plumber potter sailor singer tailor teacher weaver"""
)
PETS = _words(
    """bat beetle camel cat crow deer dog donkey duck ferret fox frog goat goose hamster horse lizard mouse
    parrot pig pony rabbit snake turtle"""
)
COLOURS = _words(
    """beige black blue brown cream crimson gold gray green lilac mint navy orange pink plum purple red
    ruby sand silver teal violet white yellow"""
)
ILLNESSES = _words("""asthma cancer diabetes epilepsy gout malaria migraine measles""")
THINGS = _words(
    """boat bridge chair clock door fence garden lamp letter mirror roof stove table tower wall wheel"""
)
IDEAS = _words("""beauty courage duty fear freedom grief hope justice love luck memory peace time truth""")
AGES = tuple(str(age) for age in range(20, 80))
DEEDS = (
    "break a promise",
    "eat meat",
    "forgive a thief",
    "hide a mistake",
    "keep a secret",
    "leave a friend",
    "read a private letter",
    "take a gift",
    "tell a lie",
    "trust a stranger",
)
