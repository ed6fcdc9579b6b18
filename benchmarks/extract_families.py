"""Hidden states of every family: which sites hold, proven on a small model of each type's default config.

python benchmarks/extract_families.py [--only llama,gpt2] [--seconds 60]

Every type of transformers' causal language models is built small (`ullage.runtime.shrunk`) and proven
(`ullage.capture.proof`). A type counts as whole when every site that its blocks define holds, as states when
the residual stream does; the rest is refused by the identity that broke or in transformers' own words. One
process does them one after the other; one that takes too long is ended and counted as refused.
Figures: benchmarks/results/extract_families.json; tables.py writes the table.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

import result_file

OPEN: dict[str, dict[str, object]] = {
    "deepseek_v2": {"num_experts_per_tok": 6},
    "dots1": {"n_routed_experts": 128, "num_experts_per_tok": 6, "n_shared_experts": 2},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "kimi_linear": {"num_experts": 64},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 16},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
    "xmod": {"default_language": "en_XX", "is_decoder": True},
}
"""Fields that a type's class leaves open, or without which it is no decoder."""
ENCODERS = (
    "bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert rembert roberta "
    "roberta-prelayernorm roc_bert roformer xlm-roberta xlm-roberta-xl"
)
for _name in ENCODERS.split():
    OPEN[_name] = {"is_decoder": True}
WANTED = {"whole": 85, "states": 110}


def types() -> list[str]:
    """The causal language models of the transformers that is installed."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def proven(family: str) -> dict[str, Any]:
    """One type's row."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from ullage.capture.proof import prove
    from ullage.capture.sites import held_in
    from ullage.errors import UnsupportedError

    transformers.logging.set_verbosity_error()
    try:
        proof = prove(CONFIG_MAPPING[family](**OPEN.get(family, {})))
    except UnsupportedError as error:
        said = str(error).removeprefix(f"{family}: ")
        built = "no small model of it can be made" not in said
        return {"family": family, "built": built, "holds": "nothing", "said": said, "sites": []}
    except Exception as error:  # the class has no default config
        said = " ".join(str(error).split())[:200]
        return {"family": family, "built": False, "holds": "nothing", "said": said, "sites": []}
    broken = proof.broken()
    return {
        "family": family,
        "built": True,
        "holds": "whole" if proof.whole else "states" if proof.states else "nothing",
        "sites": held_in(proof.places),
        "broken": {hook: str(each) for hook, each in broken.items()},
        "streamed": not proof.streamed,
        "generated": not proof.generated,
        "said": "",
        "seconds": proof.seconds,
    }


def _serve(pipe: Any, work: Callable[[str], dict[str, Any]]) -> None:
    import torch

    torch.set_num_threads(1)
    with suppress(EOFError):
        while True:
            pipe.send(work(pipe.recv()))


def rows(
    families: list[str], seconds: float, work: Callable[[str], dict[str, Any]] = proven
) -> list[dict[str, Any]]:
    """What `work` finds of each, in a process of its own, within `seconds`."""
    found: list[dict[str, Any]] = []
    context = get_context("spawn")
    here, worker = None, None
    for family in families:
        if worker is None:
            here, there = context.Pipe()
            worker = context.Process(target=_serve, args=(there, work), daemon=True)
            worker.start()
        here.send(family)
        try:
            if not here.poll(seconds):
                raise TimeoutError(f"took more than {seconds:.0f} s")
            found.append(here.recv())
        except (EOFError, TimeoutError) as error:
            worker.kill()
            worker = None
            said = str(error) or "its process ended"
            found.append({"family": family, "built": False, "holds": "nothing", "said": said, "sites": []})
        print(found[-1]["family"], found[-1].get("holds", ""), found[-1].get("seconds", ""), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    made = result_file.start("extract_families")
    names = given.only.split(",") if given.only else types()
    table = rows(names, given.seconds)
    counted = Counter(row["holds"] for row in table)
    summary = {
        "types": len(table),
        "built": sum(row["built"] for row in table),
        "whole": counted["whole"],
        "states": counted["whole"] + counted["states"],
        "streamed": sum(row.get("streamed", False) for row in table),
        "generated": sum(row.get("generated", False) for row in table),
        "slowest": max((row["seconds"] for row in table if "seconds" in row), default=0.0),
    }
    print(json.dumps(summary))
    if given.only:
        return
    claims = {f"{name}_at_least_{count}": summary[name] >= count for name, count in WANTED.items()}
    claims["a_proof_takes_5_s_at_most"] = summary["slowest"] <= 5
    made.write({"summary": summary, "rows": table}, claims)


if __name__ == "__main__":
    main()
