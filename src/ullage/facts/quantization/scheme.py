"""What is known of a quantization scheme, as one value."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from typing import Final, Literal, NamedTuple

LINEAR: Final = frozenset({"linear"})
"""bitsandbytes replaces nn.Linear modules alone: fused expert tensors stay 16-bit (transformers 5.19,
integrations/bitsandbytes.py), and the head is skipped by get_keys_to_not_convert."""
MATRICES: Final = LINEAR | {"experts"}
EVERY_MATRIX: Final = MATRICES | {"embedding", "head"}

Per = Literal["element", "block", "group", "tile", "row", "column", "matrix"]


class Part(NamedTuple):
    """One tensor that a quantized matrix becomes: `bits` for each of what `per` names.

    `size` elements share a value of a `block` (the matrix flattened) or of a `group` (within a row; the
    checkpoint's own size where it states one, the whole row where neither does). A `tile` is a square of the
    checkpoint's size, or a row where it states none.
    """

    bits: int
    per: Per
    size: int = 0


class Dequantized(NamedTuple):
    """A product that first turns the whole weight into the compute dtype, from `rows` input rows on.

    `unpacked` bytes an element are held beside it while that is done. `fuses`: for a few rows some kernels
    multiply what is stored instead; up to how many, card and shape of the matrix say. Memory counts on none.
    """

    rows: int
    unpacked: int = 0
    fuses: bool = False


class QuantizedInput(NamedTuple):
    """A product that quantizes its input, and holds its result in another dtype; bytes an element of each.

    What it gives is of dtype `gives`, and cast where the model computes in another.
    """

    input: int
    result: int
    gives: str


class Slowdown(NamedTuple):
    """What products of quantized weights take beside those in 16 bits: `host` is a factor of the host's time
    for a layer of seven matrices, to which `unpacking` is added where they are dequantized whole, `compute` a
    factor of the operations of a prompt, `memory` the share of the rate at which 16-bit weights are read.
    `of` is the card that it was measured on."""

    host: float
    memory: float
    compute: float
    unpacking: float = 0.0
    of: str = ""


class OnLoad(NamedTuple):
    """How 16-bit weights are turned into a scheme while they load, and what that loses.

    `config` names the class of transformers that is made with `options`, None where transformers is not asked
    to; `compute` is the option that takes the compute dtype, `package` what does the work. `loss` of a role's
    answers is assumed and relative: only its order is relied on; `trade` is what a user is told. `vllm` is
    what vLLM calls it where that does the same on a GPU, None where it does not; `bits` what a guide's switch
    does (`quantization_bits: 4`).
    """

    config: str | None
    options: tuple[tuple[str, str | bool | int], ...]
    package: str
    loss: float
    trade: str
    compute: str | None = None
    vllm: str | None = None
    bits: int | None = None


class Scheme(NamedTuple):
    """How weights are stored in fewer bits, and all that follows from it.

    `replaces` names the roles of weights it is for: fused experts, embeddings and heads often stay 16-bit.
    `keeps_buffer`: its kernels keep a 16-bit buffer of the largest layer on each device. `stores_tied_head`:
    its checkpoints hold an output layer that is tied, and with `keeps_tied_head` it stays beside the
    embeddings. `loading` are tensors of a matrix that stand there until all are loaded and laid out anew, one
    after the other. `computes_in` is the one dtype its loader takes on a card. `dequantizes_on_request`: a
    checkpoint of it can be loaded in 16 bits. `offloads`: its loader takes some modules off the GPUs beside
    others on them. `slowdown` is what transformers was measured to take with it, None where nobody
    published that, `tensor_cores` what vLLM was on cards of its `least_capability`, which multiply in it.
    `methods` are the `quant_method`s of checkpoints that may hold it. `on_load` says how it is made of 16-bit
    weights, None where only a checkpoint stored in it has it. `least_capability` is the first CUDA compute
    capability that transformers computes with it on, `least_in_vllm` the first for vLLM, None where none is
    known. `packages` are what transformers loads a checkpoint of it with (5.19, `validate_environment` of
    quantizers/quantizer_*.py).
    `elsewhere` is how they hold it where the kernel that this describes does not run. `untrained` says why
    adapters are not trained beside it, "" where they are.
    """

    name: str
    parts: tuple[Part, ...]
    replaces: frozenset[str]
    methods: frozenset[str] = frozenset()
    product: Dequantized | QuantizedInput | None = None
    on_load: OnLoad | None = None
    least_capability: tuple[int, int] | None = None
    least_in_vllm: tuple[int, int] | None = None
    keeps_buffer: bool = False
    stores_tied_head: bool = False
    keeps_tied_head: bool = False
    loading: tuple[Part, ...] = ()
    computes_in: str | None = None
    dequantizes_on_request: bool = False
    offloads: bool = True
    packages: tuple[str, ...] = ()
    slowdown: Slowdown | None = None
    tensor_cores: Slowdown | None = None
    elsewhere: "Scheme | None" = None
    untrained: str = ""

    @property
    def by_transformers(self) -> bool:
        """Whether transformers turns 16-bit weights into it while they load."""
        return self.on_load is not None and self.on_load.config is not None
