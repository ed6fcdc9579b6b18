"""A page that has every part, and the texts that each renderer has to show."""

from ullage.reports.charts import Line, Lines, table
from ullage.reports.pages.page import (
    AtOnce,
    Beside,
    Code,
    Entry,
    Facts,
    Figure,
    Fold,
    Gauge,
    Items,
    Listed,
    Own,
    Page,
    Picture,
    Prose,
    Section,
    Share,
)
from ullage.reports.pages.table import Table
from ullage.reports.pages.words import Span

CHART = Lines("A chart", "A line that rises.", "seconds", "GiB", (Line("used", ((0.0, 1.0), (1.0, 2.5))),))
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
SHADED = (Span("dark", tip="NLL 4.00", shade=0.8), Span(" light", tip="NLL 0.10", shade=0.1, hue="blue"))
LISTED = Listed(
    tuple(
        Entry(
            (Span(f"q{at}", "note"), f" question {at}"),
            (Facts((("Answer", (Prose(SHADED), Code(f"reply {at}"))),)),),
            (("wrong",) if at % 2 else ("right",), None if at % 3 else ("wrong", "failed")),
            (at, -at),
        )
        for at in range(12)
    ),
    (("all", "All"), ("wrong", "Wrong"), ("failed", "Failed")),
    (("worst", "worst first"), ("place", "as asked")),
    "In the eyes of",
    ("judge", "metric"),
    "judge",
)
PAGE = Page(
    "Every part",
    (
        Section("Looked through", (LISTED, Fold("as judge sees it", (Prose("seen"),), view="judge"))),
        Section(
            "Tables and charts",
            (
                Table(
                    ("name", "GiB"),
                    (("one", ("1.25", " ", Span("1.00 to 1.50", "note"))),),
                    frozenset({"GiB"}),
                    "below",
                    "above",
                ),
                Beside((Figure(CHART, "drawn"), table(CHART))),
                Section("Deeper", (Items(("an item", Span("another", "bad"))), Code("paste: me", "yaml")), 3),
            ),
        ),
        Section(
            "Folded",
            (
                Fold(("A ", Span("bold", "strong"), " line"), (Prose("inside"),)),
                Fold(
                    "A game",
                    (Prose(("said ", Span("[lie]", "secret"))), Prose("a wolf", "secret")),
                    reveal="show it",
                ),
                Facts((("time", (Prose("3 s"),)), ("picture", (Picture(PNG, "a red dot"),)))),
                AtOnce(
                    (Share((Gauge(0.5, 0.6, "12 of 24 GiB", "good"),), 1),), Prose("at once"), "--details"
                ),
                Own("words"),
            ),
        ),
    ),
    (Prose("An opening."), Prose("A warning.", "bad")),
)
TEXTS = (
    *("Every part", "An opening.", "A warning.", "Looked through", "question 11", "as judge sees it", "seen"),
    *("above", "below", "1.25", "1.00 to 1.50", "A line that rises.", "2.5", "Deeper", "an item", "another"),
    *("paste: me", "inside", "A game", "[lie]", "a wolf", "3 s", "a red dot"),
    *("12 of 24 GiB", "at once"),
)
