"""Bytes per element of compute and storage dtypes, and which precision a role runs in."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ullage.errors import UnsupportedError
from ullage.facts.abilities import Abilities, of_capability
from ullage.facts.architecture import Architecture, Model, StoredQuantization
from ullage.facts.dtypes import DTYPES, SHORT_NAMES
from ullage.facts.quantization.known import scheme_of
from ullage.facts.quantization.scheme import Scheme
from ullage.spec.role import Role


@dataclass(frozen=True, slots=True)
class ResolvedPrecision:
    """How weights are stored on the device and what the arithmetic runs in.

    `storage` is `fp32`, `fp16`, `bf16` or a quantization scheme's name; `compute` one of the first
    three; `quantization` the checkpoint's own where that is what runs. With `keeps_waiting`, what waits off
    the cards is not quantized; `elsewhere`: the scheme's own kernel does not run there.
    """

    storage: str
    compute: str
    reason: str
    quantization: StoredQuantization | None = None
    keeps_waiting: bool = False
    elsewhere: bool = False

    def __hash__(self) -> int:
        return hash((self.storage, self.compute))

    @property
    def element_bytes(self) -> int:
        """Bytes of one activation element."""
        return DTYPES[self.compute]

    @property
    def unquantized(self) -> ResolvedPrecision:
        """The same without its scheme."""
        return ResolvedPrecision(self.compute, self.compute, self.reason)

    @property
    def unexplained(self) -> ResolvedPrecision:
        """The same without its reason, which bears on nothing."""
        return replace(self, reason="")

    @property
    def scheme(self) -> Scheme | None:
        """How `storage` quantizes, None for a plain dtype. Raises UnsupportedError for another name."""
        found = scheme_of(self.storage, self.quantization)
        return found.elsewhere if self.elsewhere and found is not None else found

    @property
    def turned_into(self) -> Scheme | None:
        """The scheme, where the checkpoint's own weights are in none. Raises as `scheme`."""
        return None if self.quantization is not None else self.scheme


def comes_stored(role: Role, precision: ResolvedPrecision) -> bool:
    """Whether a checkpoint alone could bring a role's weights in their scheme: its own is in none, and its
    engine does not turn weights into that while it loads them."""
    scheme = precision.turned_into
    return scheme is not None and (scheme.on_load is None or not role.runs_with.quantizes(scheme.on_load))


def leaves_experts(architecture: Architecture, precision: ResolvedPrecision) -> bool:
    """Whether what turns weights into a scheme passes over the experts there are: transformers stacks their
    matrices, and its quantizers take single ones."""
    scheme = precision.turned_into
    if scheme is None or "experts" in scheme.replaces:
        return False
    return any(each.role == "experts" for layer in architecture.layers for each in layer.weights)


def resolve_precision(role: Role, model: Model, abilities: Abilities) -> ResolvedPrecision:
    """How a role's weights are held on such a card, by which kernels.

    Raises UnsupportedError for a precision that a quantized checkpoint cannot be loaded in.
    """
    found = _resolved(role, model, abilities)
    if role.runs_with.memory != "process" or abilities.platform in ("cuda", "unknown"):
        return found
    scheme = found.scheme
    return found if scheme is None or scheme.elsewhere is None else replace(found, elsewhere=True)


def _resolved(role: Role, model: Model, abilities: Abilities) -> ResolvedPrecision:
    """The precision chain: what the file says, else the checkpoint's own, else what the card can.

    On a card that lacks a dtype the chain falls back bf16 -> fp16 -> fp32 and says so in the reason.
    Raises UnsupportedError for a precision that a quantized checkpoint cannot be loaded in.
    """
    quantization = model.quantization if isinstance(model, Architecture) else None
    half, why = _half(abilities)
    asked = role.precision
    if asked in ("auto", "stored") and quantization is not None:
        return _as_stored(role, half, quantization, abilities)
    checkpoint = model.checkpoint
    if asked in ("auto", "stored") and checkpoint is not None and checkpoint.format == "gguf":
        why = "transformers dequantizes a GGUF file as it loads it; q4_k and its like count it as stored"
        return ResolvedPrecision(half, half, why)
    if asked == "stored":
        stored = SHORT_NAMES.get(model.dtype, "fp32")
        return ResolvedPrecision(stored, stored, f"the checkpoint stores {model.dtype}")
    if asked == "auto":
        return ResolvedPrecision(half, half, why)
    if abilities.processor and asked in ("fp16", "bf16"):
        return ResolvedPrecision(asked, asked, "as the file says; processors compute it slowly")
    if not abilities.known and asked in ("fp16", "bf16"):
        return ResolvedPrecision(asked, asked, f"as the file says; this is {abilities.what}")
    if asked == "bf16" and half != "bf16":
        return ResolvedPrecision(half, half, f"bf16 was asked for, but {why}")
    if asked == "fp16" and half == "fp32":
        return ResolvedPrecision(half, half, f"fp16 was asked for, but {why}")
    if quantization is not None:
        return _of_checkpoint(asked, half, model.name, quantization)
    if asked in DTYPES:
        return ResolvedPrecision(asked, asked, "as the file says")
    waits = role.llm_int8_enable_fp32_cpu_offload
    return ResolvedPrecision(asked, half, "as the file says", keeps_waiting=waits)


def _as_stored(role: Role, half: str, stored: StoredQuantization, abilities: Abilities) -> ResolvedPrecision:
    """A quantized checkpoint as it is; in 16 bits on a card that does not compute with it: transformers
    turns it into those, while engines that hold their weights themselves have kernels of their own."""
    name = f"the checkpoint is {stored.method} at {stored.bits} bits"
    scheme = scheme_of(stored.method, stored) if role.runs_with.memory == "process" else None
    if (
        scheme is not None
        and scheme.dequantizes_on_request
        and not abilities.reaches(scheme.least_capability)
    ):
        why = f"{name}, which needs {of_capability(scheme.least_capability)}; this is {abilities.what}"
        return ResolvedPrecision(half, half, why)
    if scheme is not None and scheme.computes_in is not None and not abilities.processor:
        why = f"{name}, which transformers computes with in {scheme.computes_in}"
        return ResolvedPrecision(stored.method, scheme.computes_in, why, stored)
    return ResolvedPrecision(stored.method, half, name, stored)


def _of_checkpoint(asked: str, half: str, name: str, stored: StoredQuantization) -> ResolvedPrecision:
    """A quantized checkpoint in a precision the file names. Raises UnsupportedError where that cannot be."""
    held = scheme_of(stored.method, stored)
    if asked in DTYPES:
        if held is not None and held.dequantizes_on_request:
            return ResolvedPrecision(asked, asked, "as the file says")
        raise UnsupportedError(
            f"{name} is stored as {stored.method}, which is not dequantized on load; use precision: stored"
        )
    scheme = scheme_of(asked)
    if scheme is None or stored.method not in scheme.methods:
        raise UnsupportedError(
            f"{name} is stored as {stored.method}; it cannot be loaded as {asked}. "
            "Use precision: stored, or an unquantized checkpoint"
        )
    return ResolvedPrecision(stored.method, half, "as the file says", stored)


def _half(abilities: Abilities) -> tuple[str, str]:
    if abilities.processor:
        return "fp32", "there is no GPU, and a processor computes fp32 best"
    if not abilities.known:
        return "fp32", f"it is not known whether {abilities.what} has less; say it, as sm86 or CDNA 3.0"
    if abilities.bf16:
        return "bf16", f"{abilities.what} has bf16"
    if abilities.fp16:
        need = " (it needs 8.0)" if abilities.capability is not None else ""
        return "fp16", f"{abilities.what} lacks bf16{need}"
    return "fp32", f"{abilities.what} lacks fp16 arithmetic (it needs 5.3)"
