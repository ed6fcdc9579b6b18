"""How much of a card's peaks is reached, and how long a host takes: what every time of a plan rests on."""

# Annotations are not postponed here: NamedTuple would compile every one of them at each start.

from typing import Final, NamedTuple

from ullage.facts.quantization.scheme import Slowdown


class Pace(NamedTuple):
    """What is reached of a machine's peaks, and what the host takes beside.

    Shares: `memory` of a card's bandwidth when weights are read, `cache` when caches are copied and read,
    `compute` of its dense operations, `attention` of those for attention, `full` of both in fp32, `bus` of a
    bus's line rate from pinned memory. Bytes per second: `disk` from a file onto a card, `pageable` from host
    memory that is not pinned. Of a sum over several cards (all-reduce) the share of their links' line rate,
    `nvlink`, and `between` cards that only a bus joins, and seconds beside its bytes, `nvlink_call` and
    `between_call`. Factors of the host's time for a layer: `host`, and `split` where layers lie on several
    devices. Seconds more for a layer with experts: `mixture`, and `expert` for each that is chosen;
    `grouped` is how many times longer an operation of their products takes, `masked` one of attention with a
    mask of padding (1 where no sequence is padded). Of an engine that serves by itself: seconds from its
    `start` until it loads and those in which it is `compiled` and its graphs are captured, of each `step`
    beside what the model takes, and of a `routed` layer of experts. `packed` is a factor of the rate at which
    what is stored of a scheme is multiplied, up to `fused` rows where kernels that need not dequantize first
    are to be had; `dequantizing` the share of a card's bandwidth that doing so reaches, `decoded` how many
    elements one of its multiprocessors turns out a clock. `slowdown` is of a scheme that nobody published.
    """

    memory: float
    cache: float
    compute: float
    attention: float
    full: float
    host: float
    disk: float
    pageable: float
    bus: float
    nvlink: float
    nvlink_call: float
    between: float
    between_call: float
    split: float
    mixture: float
    expert: float
    grouped: float
    masked: float
    start: float
    compiled: float
    step: float
    routed: float
    packed: float
    fused: int
    dequantizing: float
    decoded: float
    slowdown: Slowdown

    def __hash__(self) -> int:
        """Of what paces differ in: times are asked for by the thousand."""
        return hash((self.memory, self.cache, self.compute))


LIKELY: Final = Pace(
    # `memory`, `cache`, `split` and the engine's time for a layer were fitted to the 112 rows of Qwen2.5's
    # speed benchmark (A100, transformers 4.46; docs/accuracy.md).
    memory=0.66,
    cache=0.37,
    # 0.3 to 0.7 in practice; up to 131,072 positions through 8 layers of 4,096 on an H200: 0.48 to 0.51, and
    # of prompts of 8,192 to 65,536 tokens 0.35 for attention (benchmarks/results/gpu-NVIDIA-H200.json).
    compute=0.5,
    attention=0.35,
    # QLoRA of 8 layers of 4,096 without autocast, 4,096 tokens, on an H200: 0.5 s a step, of which 0.3 in
    # fp32 (benchmarks/results/gpu-NVIDIA-H200.json).
    full=0.75,
    host=1.0,
    disk=2e9,  # assumed: a local NVMe drive
    pageable=10.7e9,  # an H200's machine, benchmarks/results/gpu-NVIDIA-H200.json
    bus=0.85,  # 55 of 63 GB/s there
    # Two H100 with a bridge, a gibibyte: 115 of 300 GB/s (github.com/NVIDIA/nccl-tests issue 194). vLLM's own
    # kernel, up to 32 KiB over 2 to 8 H100: 9 us (github.com/sgl-project/sglang pull request 2904); in steps
    # of vLLM 11 to 59 a sum (QwQ-32B over 2 to 8 A100, benchmarks/measured/vllm-throughput.csv).
    nvlink=0.4,
    nvlink_call=20e-6,
    # NCCL over four V100 on PCIe 3.0: 19 us, and 9 of 15.8 GB/s (github.com/haohervchb/sglang-V100 pull
    # request 2); over two RTX PRO 6000 18 of 63 (github.com/flashinfer-ai/flashinfer pull request 5023).
    between=0.4,
    between_call=20e-6,
    split=1.27,  # layers over several devices run under accelerate's hooks
    # One product of all experts that were chosen, as transformers 5 takes where it can: of Mixtral-8x7B,
    # Qwen3-30B-A3B, gpt-oss-20b and DeepSeek-V2-Lite on an H200 (same source), an operation of 768 columns
    # 3.7 times as long as others, of 14,336 1.2 times.
    mixture=0.45e-3,
    expert=0.0,
    grouped=2.5,
    # Batches of 8 x 16,384 and 32 x 4,096 tokens with a mask there: 5.5 and 5.7, both halves of it.
    masked=5.5,
    # vLLM: 16 s until its configuration stood (github.com/vllm-project/vllm issue 44881); "init engine" of
    # ten published logs took 3 to 4 s without graphs, 19 to 540 with them, half of these 40 and less.
    start=20.0,
    compiled=40.0,
    # These two, here and below: benchmarks/measured/vllm-throughput.csv.
    step=1e-3,
    routed=0.05e-3,
    packed=1.0,
    # bitsandbytes 0.50 (`_gemm_4bit_use_custom_cuda` of its backends/cuda/ops.py): from 4 rows up to 64 on an
    # H100, 256 on an RTX 4090, by the shape of a matrix; most of a layer's on all cards.
    fused=16,
    dequantizing=0.85,  # batches of 8 on an RTX 4090 (benchmarks/measured/bitsandbytes-0.45-speed.csv)
    # Batches of 8 and 32 on an H100: 1.5 with bitsandbytes 0.45 (same source); on such cards 1.4 to 2.1 times
    # as many since pull request 1747 of its repository.
    decoded=2.5,
    slowdown=Slowdown(host=1.3, memory=0.5, compute=1.3),
)
FAST: Final = Pace(
    memory=0.85,
    cache=0.75,  # batches of 32 on an RTX 4090, whose L2 is large (same source as `host`)
    compute=0.75,
    attention=0.65,  # assumed: what FlashAttention-2 reaches on an A100
    full=0.95,
    host=0.38,  # a desktop's, beside an RTX 4090 (benchmarks/measured/bitsandbytes-0.45-speed.csv)
    disk=6.5e9,  # what the page cache gave there
    pageable=12e9,
    bus=0.9,
    nvlink=0.8,  # assumed: of switches that add up themselves (NVLS)
    nvlink_call=4e-6,  # one shot, from sglang's own kernel (same source)
    between=0.6,
    between_call=4e-6,  # one shot over a PCIe switch (same source)
    split=1.0,
    mixture=0.2e-3,
    expert=0.0,
    grouped=1.0,
    masked=1.0,
    start=8.0,
    compiled=12.0,
    step=0.2e-3,  # scheduled while the card works
    routed=0.0,
    packed=1.5,  # assumed: nearly as fast as 16-bit weights
    fused=512,  # the most that version takes of large matrices
    dequantizing=1.1,  # what is written is read again from an RTX 4090's L2 (same source)
    decoded=4.0,  # assumed: an H100 bound by its memory
    slowdown=Slowdown(host=0.9, memory=1.0, compute=1.0),
)
SLOW: Final = Pace(
    memory=0.5,
    cache=0.25,  # static caches of 4.3 GB on an H200: 0.29 (same source)
    compute=0.3,
    attention=0.2,
    full=0.5,
    # A layer of Llama-2-7B in fp16 took 1.73 ms beside an RTX 3090 (perf.md of github.com/h2oai/h2ogpt), 1.4
    # in the cloud, beside a T4 (same source), one of Gemma-2 1.77 beside an H200.
    host=2.2,
    disk=0.4e9,  # assumed: a network drive
    pageable=5e9,
    bus=0.7,
    nvlink=0.12,  # a mebibyte in vLLM's own kernel: 1.5 of it in 31 us, of 450 GB/s (same source)
    nvlink_call=45e-6,  # eight A100 under vLLM 0.7 (benchmarks/measured/vllm-throughput.csv)
    between=0.15,  # assumed: where cards reach one another by host memory alone
    between_call=42e-6,  # eight RTX 4090, 8 bytes (github.com/NVIDIA/nccl issue 1530)
    split=1.6,
    mixture=0.6e-3,
    expert=0.12e-3,  # assumed: one after the other, as where no such product is to be had
    grouped=4.0,
    masked=7.0,
    start=60.0,
    compiled=300.0,
    step=8e-3,  # before 0.8
    routed=0.4e-3,
    packed=1.0,
    fused=1,  # bitsandbytes 0.49
    dequantizing=0.5,
    decoded=1.4,  # with bitsandbytes 0.45, on an H100 (same source)
    slowdown=Slowdown(host=4.0, memory=0.2, compute=3.0),
)
"""What is reached on a good day and on a bad one: low and high values of times."""
