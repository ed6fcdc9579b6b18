"""One verification by whichever version of Ullage runs this; its scoring's seconds, as JSON.

python benchmarks/pii_speed_walk.py FOLDER WORK OUT      # for benchmarks/pii_speed.py
"""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import ullage

SCORING = ("verifier prefix", "verifier score")


def main() -> None:
    folder, work, out = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    run, record = ullage.run(ullage.load(folder / work), folder / out, base=folder)
    lines = (run / "verified.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line)["candidates"] for line in lines]
    told = {
        "seconds": sum(one.seconds for one in record.measured if one.phase in SCORING),
        "verdicts": [one["verdict"] for row in rows for one in row],
        "singly": record.outcome.get("read_singly", ""),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
