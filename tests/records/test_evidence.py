"""What past runs measured, and what is taken from it."""

import ullage
from ullage.records.evidence import Evidence, Observation, keep_evidence, observations_of, read_evidence
from ullage.records.record import Environment, Measured, Record
from ullage.units import MIB

WHERE = Environment("H200", "590", "2.11", "5.17", "3.11", "0.1.0")


def record(*overheads):
    measured = tuple(
        Measured(f"model extract {index}", "gpu:0", 10, 20, 20 + overhead, 50, 1.0)
        for index, overhead in enumerate(overheads)
    )
    return Record(WHERE, measured, 1, 1, 1.0, 0)


def test_it_is_kept_and_read_back(tmp_path):
    path = tmp_path / "deep" / "evidence.jsonl"
    keep_evidence(observations_of(record(100, 300)), path)
    keep_evidence(observations_of(record(200)), path)
    path.write_text(path.read_text() + "garbage\n{}\n")
    found = read_evidence(path)
    assert [each.overhead for each in found.observations] == [300, 200]
    overhead = found.overhead("H200")
    assert overhead.bytes.low <= 200 < overhead.bytes.expected == 250
    assert overhead.bytes.high > 300
    assert "2 runs" in overhead.source
    assert found.overhead("A100") is None


def test_only_the_newest_versions_count():
    old = Observation("H200", "550", "2.9", "5.0", 999)
    new = Observation("H200", "590", "2.11", "5.17", 100)
    overhead = Evidence((old, new)).overhead("H200")
    assert overhead.bytes.expected == 100
    assert "590" in overhead.source


def test_later_plans_use_it_and_say_so(monkeypatch, tmp_path):
    monkeypatch.setenv("ULLAGE_HOME", str(tmp_path))
    plain = ullage.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB")
    where = Environment(plain.gpus.gpus[0].id, "590", "2.11", "5.17", "3.11", "0.1.0")
    measured = (Measured("model prefill", "gpu:0", 1, 2, 2 + 700 * MIB, 9, 1.0),)
    keep_evidence(observations_of(Record(where, measured, 1, 1, 1.0, 0)))
    later = ullage.estimate_model("Qwen/Qwen2.5-7B-Instruct", "1xA100-80GB")
    items = [item for item in later.bill.items if item.component == "context"]
    assert {item.bytes.expected for item in items} == {700 * MIB}
    assert "measured in 1 run here" in items[0].note
    assert later.devices[0].peak.process.expected > plain.devices[0].peak.process.expected


def test_no_file_is_no_evidence(tmp_path):
    assert read_evidence(tmp_path / "none").observations == ()
