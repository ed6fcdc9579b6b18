"""What past runs measured, and what is taken from it."""

from ullage.records.evidence import Evidence, Observation, keep_evidence, observations_of, read_evidence
from ullage.records.record import Environment, Measured, Record

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
    interval, source = found.overhead("H200")
    assert (interval.low, interval.expected) == (200, 250)
    assert interval.high > 300
    assert "2 runs" in source
    assert found.overhead("A100") is None


def test_only_the_newest_versions_count():
    old = Observation("H200", "550", "2.9", "5.0", 999)
    new = Observation("H200", "590", "2.11", "5.17", 100)
    interval, source = Evidence((old, new)).overhead("H200")
    assert interval.expected == 100
    assert "590" in source


def test_no_file_is_no_evidence(tmp_path):
    assert read_evidence(tmp_path / "none").observations == ()
