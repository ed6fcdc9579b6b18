"""Types whose hidden states are known to be readable, whether the planner counts their bytes or not.

As `benchmarks/extract_families.py` found them with transformers 5.19, on small models of their default
configs; what is read of a model rests on the proof of its own config (`ullage.capture.proof`), not on this
list.
"""

from __future__ import annotations

from typing import Final

_WHOLE: Final = """
afmoe apertus arcee aria_text axk1 bamba bigbird_pegasus biogpt blenderbot bloom codegen cohere cohere2
cohere2_moe ctrl cwm deepseek_v2 deepseek_v3 deepseek_v32 dots1 emu3 ernie4_5 ernie4_5_moe exaone4
exaone_moe falcon falcon_mamba flex_olmo fuyu gemma gemma2 gemma3 gemma3_text gemma4_unified
gemma4_unified_text glm glm4 glm4_moe glm4_moe_lite glm_moe_dsa got_ocr2 gpt-sw3 gpt2 gpt_bigcode gpt_neo
gpt_neox gpt_oss gptj granite granitemoe granitemoeshared helium hy_v3 hyperclovax jais2 jamba kimi_linear
laguna lfm2 lfm2_moe llama llama4 llama4_text mamba mamba2 mbart megatron-bert mellum minicpm3 minimax_m2
minimax_m3_vl_text ministral ministral3 mistral mixtral modernbert-decoder moshi mpt nanochat nemotron
nemotron_h olmo olmo2 olmo3 olmo_hybrid olmoe opt pegasus persimmon phi phi3 phi4_multimodal phimoe qwen2
qwen2_moe qwen3 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next recurrent_gemma
roberta-prelayernorm seed_oss smollm3 solar_open stablelm starcoder2 vaultgemma whisper xglm
xlm-roberta-xl xlstm youtu
"""
_STATES: Final = """
axk2 bart bert bert-generation big_bird bitnet blenderbot-small camembert data2vec-text diffllama doge
electra ernie falcon_h1 gemma4 gemma4_text git gpt_neox_japanese granite_swa granitemoe_swa
granitemoehybrid hunyuan_v1_dense hunyuan_v1_moe inkling_text jetmoe longcat_flash marian mimo_v2_flash
minimax mvp openai-gpt plbart rembert roberta roc_bert roformer trocr xlm-roberta xmod zamba zamba2 zaya
"""
WHOLE: Final = frozenset(_WHOLE.split())
"""Every site that their blocks define holds."""
STATES: Final = frozenset(_STATES.split())
"""The residual stream holds, and some of the other sites."""


def said_of(model_type: str) -> str:
    """What to say of a type whose bytes nobody counts; "" where its sites are not known to hold."""
    if model_type in WHOLE:
        held = "every site of its blocks holds"
    elif model_type in STATES:
        held = "its residual stream holds"
    else:
        return ""
    return f" From Python, ullage.Extractor reads its hidden states: {held}."
