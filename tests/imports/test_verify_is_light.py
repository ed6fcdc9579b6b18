"""A finished run can be verified where there is no torch."""

import json
import subprocess
import sys

import ullage
from ullage.planning.document import plan_document
from ullage.records.folder import RunFolder
from ullage.records.manifest import Manifest
from ullage.records.record import Environment, Measured, Record

PROBE = """
import sys
import ullage.cli.main as m
try:
    m.main(["verify", sys.argv[1], "--json"])
except SystemExit:
    pass
heavy = {"torch", "transformers", "numpy", "pyarrow", "safetensors"}
print("heavy:", sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""


def test_verify_loads_no_heavy_library(tmp_path):
    plan = ullage.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB")
    where = Environment("A100", "590", "2.11", "5.17", "3.11", "0.1.0")
    measured = (Measured("model prefill", "gpu:0", 10**10, 2 * 10**10, None, None, 1.0, {"weights": 10**10}),)
    folder = RunFolder(tmp_path)
    folder.write_manifest(Manifest(".", (), where, plan_document(plan)))
    folder.write_record(Record(where, measured, 1, 1, 1.0, 0))
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    document, _, heavy = done.stdout.rpartition("heavy:")
    assert heavy.strip() == "[]"
    found = json.loads(document)["comparisons"]
    assert {each["what"] for each in found} == {"live", "reserved", "weights"}
