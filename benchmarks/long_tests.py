"""All cases of the tests of which `make test` does the first alone: results/long_tests.json.

python benchmarks/long_tests.py
"""

from __future__ import annotations

import result_file
import suites


def main() -> None:
    made = result_file.start("long_tests")
    found = suites.run_tests(["--long", "-m", "long", "--dist", "worksteal"])
    made.write(found._asdict(), {"every case passes": not found.failed and found.tests > 0})


if __name__ == "__main__":
    main()
