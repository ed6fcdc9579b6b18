"""Activations whose last tokens lie apart, as lmprobe lays whole sequences out."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

import ullage
from ullage.errors import FormatError
from ullage.probes.importing import import_file

SITE = "blocks.{l}.hook_resid_post"
COUNTS = (3, 1, 2)
IDS = ([1, 1, 0], [0], [2, 0])
OFFSETS = ([0, 1, 0], [1], [0, 2])


def laid_out(folder, **columns):
    """Two layers of three prompts; shard 0 has the last token of each. The rows in the prompts' order."""
    (folder / "index").mkdir(parents=True)
    rows = torch.randn(sum(COUNTS), 4)
    shards = {0: rows[[2, 3, 5]], 1: rows[:2], 2: rows[4:5]}
    for layer in (0, 1):
        for shard, held in shards.items():
            save_file({f"hidden.layer_{layer}": held + layer}, folder / f"{layer}_{shard}")
    table = {"text": ["a b c", "d", "e f"], "label": [0, 1, 1], "num_tokens": list(COUNTS)}
    table |= {name: [0, 0, 0] for name in ("shard_index", "row_offset", "token_offset")}
    table |= {"token_shard_ids": list(IDS), "token_shard_offsets": list(OFFSETS), **columns}
    hidden = {"layers": [0, 1], "storage": "full_sequence", "last_token_shards": 1}
    hidden |= {"file_pattern": "{layer}_{shard}", "key_pattern": "hidden.layer_{layer}"}
    said = {b"lmprobe:tensors": json.dumps({"hidden_layers": hidden}).encode()}
    kept = pa.table({name: value for name, value in table.items() if value is not None})
    pq.write_table(kept.replace_schema_metadata(said), folder / "index/a.parquet")
    return rows


def test_whole_sequences_are_put_together_from_where_each_token_lies(tmp_path):
    rows = laid_out(tmp_path / "theirs")
    import_file(tmp_path / "theirs", tmp_path / "out", SITE, "", False)
    store = ullage.open_states(tmp_path / "out")
    for layer in (0, 1):
        assert torch.equal(store.matrix(SITE.replace("{l}", str(layer))), rows + layer)
    assert [len(row["tokens"]) for row in store.rows] == list(COUNTS)


@pytest.mark.parametrize(
    "columns",
    [
        {"token_shard_ids": None},
        {"token_shard_ids": [[1, 1], [0], [2, 0]]},
        {"token_shard_offsets": [[0, 1, 0], [1], [0, 3]]},
        {"token_shard_offsets": [[0, 1, 0], [-1], [0, 2]]},
        {"token_shard_ids": [[1, 1, 0], None, [2, 0]]},
        {"num_tokens": [3, 0, 2]},
    ],
    ids=str,
)
def test_tokens_that_lie_nowhere_are_refused_and_leave_nothing(columns, tmp_path):
    laid_out(tmp_path / "theirs", **columns)
    with pytest.raises(FormatError) as raised:
        import_file(tmp_path / "theirs", tmp_path / "out", SITE, "", False)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out/states").exists()
