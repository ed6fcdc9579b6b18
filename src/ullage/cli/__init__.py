"""The command line: parse, call the library, render. Exit codes: 0 fits, 3 does not fit, 2 bad input."""
