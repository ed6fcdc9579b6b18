"""`python -m ullage`."""

from ullage.cli.main import run

run()
