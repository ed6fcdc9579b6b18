"""The command line: parse, call the library, render. Exit codes: 0 fits, 3 does not fit, 2 bad input."""

import gc
import os

# A short-lived process: collecting cycles while modules load, and asking every installed package for
# pydantic plugins, cost a fifth of a cold start and gain nothing.
gc.set_threshold(200_000)
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
