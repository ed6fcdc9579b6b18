"""`python -m ullage`."""

from ullage.cli.main import program

program()
