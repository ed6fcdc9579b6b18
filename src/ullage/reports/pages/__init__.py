"""One description of a page, and what it is shown as.

In: a `Page`, tables and prose as values. Out: lines of a terminal, Markdown, one file of HTML. Says
nothing of what is on it: that is written once, by those who make the page.
"""
