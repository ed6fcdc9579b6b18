"""Every type of causal language model that transformers has: do `ullage models` and `plan` answer for it?

python benchmarks/traced_types.py [--only doge,blt] [--seconds 60]

The config that its class gives is written as a config.json, and its parameters are counted (`ullage.model`).
Of a small one of the same class (`ullage.runtime.shrunk`), which is as much code and far fewer layers, a
prompt of 32 tokens with 4 that are written is planned (`ullage.plan`) at fidelity auto: by formulas
where they are proven, by traces else; if that is refused, in fp32, and then an extraction from its residual
stream. A type answers where both do; a refusal says why.
Figures: benchmarks/results/traced_types.json; tables.py writes the table.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import extract_families
import result_file

ANSWERED = 150
CARD = "1xH100"
CAPTURE = {"sites": ["blocks.*.hook_resid_post"], "positions": "last"}
WAYS: dict[str, dict[str, Any]] = {
    "writes": {},
    "writes in fp32": {"precision": "fp32"},
    "reads": {"captures": [CAPTURE]},
    "reads in fp32": {"precision": "fp32", "captures": [CAPTURE]},
}
"""As it is asked; in fp32 where a class mixes dtypes; extracted from where it has no cache
that the next token could go on from."""
OPEN = extract_families.OPEN | {"reformer": {"is_decoder": True}}


def asked(family: str) -> dict[str, Any]:
    """One type's row."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from ullage.facts.families.rows import known_types
    from ullage.runtime.shrunk import shrink

    transformers.logging.set_verbosity_error()
    begun = time.perf_counter()
    row: dict[str, Any] = {"family": family, "row": family in known_types(), "answers": False}
    try:
        config = CONFIG_MAPPING[family](**OPEN.get(family, {}))
        row |= counted(config)
        for way, fields in WAYS.items():
            found = planned(shrink(config), fields)
            row.setdefault("said", found.pop("said", ""))  # why it is not planned the first way
            row |= {"way": way} | found
            if "verdict" in row:
                break
        row["answers"] = "parameters" in row and "verdict" in row
    except Exception as error:  # what one type raises is its row
        row["said"] = said(error)
    return row | {"seconds": round(time.perf_counter() - begun, 2)}


def counted(config: Any) -> dict[str, Any]:
    """Its parameters, and whose code counted them."""
    import ullage

    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        try:
            found = ullage.model(folder)
        except ullage.UllageError as error:
            return {"said": said(error, folder)}
    assert isinstance(found, ullage.Architecture)
    return {"parameters": found.parameters, "counted": found.counted or "its row"}


def planned(config: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """How each pass of its plan is known, or why there is none."""
    import ullage

    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        try:
            plan = ullage.plan(_workload(folder, fields), CARD, advice=False)
        except ullage.UllageError as error:
            return {"said": said(error, folder)}
    known = plan.roles["model"].known
    return {"by": {each.activity: each.by for each in known}, "verdict": plan.verdict}


def _workload(folder: str, fields: dict[str, Any]) -> Any:
    """A prompt that is read, and answered where nothing is captured."""
    from ullage import api

    role = {"model": folder, "precision": fields.get("precision", "auto")}
    if "captures" not in fields:
        return api.bare_workload(prompt_tokens=32, new_tokens=4, **role)
    work = {"batch": 1, "prompt_tokens": 32, "new_tokens": 0, "examples": 1, "captures": fields["captures"]}
    return {"kind": "extract", "roles": {"model": role}, **work, "extract": {"input": "texts.jsonl"}}


def said(error: Exception, folder: str = "") -> str:
    """What an exception says, in one line, of the model in `folder`."""
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return (line.replace(folder, "it").replace(Path(folder).name, "it") if folder else line)[-300:]


def summary_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many types answer, and by what."""
    answers = [row for row in rows if row["answers"]]
    return {
        "types": len(rows),
        "answers": len(answers),
        "parameters": sum("parameters" in row for row in rows),
        "without_a_row": sum(not row.get("row", True) for row in rows),
        "answers_without_a_row": sum(not row["row"] for row in answers),
        "ways": dict(Counter(row["way"] for row in answers)),
        "passes": dict(Counter(by for row in answers for by in row["by"].values())),
        "refused": {row["family"]: row.get("said", "") for row in rows if not row["answers"]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    made = result_file.start("traced_types")
    names = given.only.split(",") if given.only else extract_families.types()
    with tempfile.TemporaryDirectory() as home:
        os.environ["ULLAGE_HOME"] = home
        rows = extract_families.rows(names, given.seconds, asked)
    for row in rows:
        row.setdefault("answers", False)
    summary = summary_of(rows)
    print(json.dumps(summary if not given.only else rows, indent=1))
    if given.only:
        return
    claims = {
        f"at least {ANSWERED} types answer": summary["answers"] >= ANSWERED,
        "each refusal says why": all(summary["refused"].values()),
    }
    made.write({"summary": summary, "rows": rows}, claims)


if __name__ == "__main__":
    main()
