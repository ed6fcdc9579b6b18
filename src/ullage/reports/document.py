"""Plans and models as JSON documents, versioned; docs/json.md describes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ullage.units import Interval, total

if TYPE_CHECKING:
    from ullage.facts.architecture import Model
    from ullage.planning.bill import Totals
    from ullage.planning.plan import DevicePlan, Plan

VERSION = 1
LEVELS = ("live", "reserved", "process", "device")


def interval(value: Interval) -> dict[str, int]:
    """Bytes, low to high."""
    return {"low": value.low, "expected": value.expected, "high": value.high}


def totals(value: Totals) -> dict[str, dict[str, int]]:
    return {level: interval(getattr(value, level)) for level in LEVELS}


def header(kind: str) -> dict[str, Any]:
    return {"document": kind, "version": VERSION}


def plan_document(plan: Plan, kind: str = "plan") -> dict[str, Any]:
    """Everything a plan says; `kind` is plan or estimate."""
    return {
        **header(kind),
        "workload": plan.workload,
        "kind": plan.kind,
        "gpus": plan.gpus.name,
        "verdict": plan.verdict,
        "devices": [_device(device, plan) for device in plan.devices],
        "total": set_totals(plan.devices),
        "items": [
            {
                "role": item.role,
                "component": item.component,
                "device": item.device,
                "phase": item.phase,
                "layers": list(item.layers) if item.layers is not None else None,
                "bytes": interval(item.bytes),
                "basis": item.basis,
                "level": item.level,
                "note": item.note,
            }
            for item in plan.bill.items
        ],
        "placement": plan.placement,
        "decisions": [{"subject": d.subject, "choice": d.choice, "reason": d.reason} for d in plan.decisions],
        "times": [
            {
                "phase": time.phase,
                "seconds": time.seconds,
                "total_seconds": time.total_seconds,
                "tokens_per_second": time.tokens_per_second,
                "bound": time.bound,
            }
            for time in plan.times
        ],
        "cost": None
        if plan.cost is None
        else {
            "usd_per_hour": plan.cost.usd_per_hour,
            "usd_per_1000_examples": plan.cost.usd_per_1000_examples,
            "provider": plan.cost.provider,
            "as_of": plan.cost.as_of,
            "source": plan.cost.source,
        },
        "advice": [
            {
                "changes": [{"path": path, "value": value} for path, value in entry.changes],
                "gpus": entry.gpus,
                "verdict": entry.verdict,
                "quality_loss": entry.quality_loss,
                "note": entry.quality_note,
                "seconds_per_1000_examples": entry.seconds_per_1000_examples,
                "usd_per_1000_examples": entry.usd_per_1000_examples,
                "saves": entry.saves,
                "peak": interval(entry.peak),
            }
            for entry in plan.advice
        ],
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
    }


def _device(device: DevicePlan, plan: Plan) -> dict[str, Any]:
    return {
        "name": device.name,
        "gpu": device.gpu,
        "usable": device.usable,
        "budget": device.budget,
        "ullage": device.ullage,
        "verdict": device.verdict,
        "peak_phase": device.peak_phase,
        **totals(device.peak),
        "phases": [
            {"name": phase.name, **totals(plan.bill.totals[device.name][phase.name])}
            for phase in plan.phases
            if phase.name in plan.bill.totals.get(device.name, {})
        ],
    }


def set_totals(devices: Iterable[DevicePlan]) -> dict[str, dict[str, int]]:
    """The four totals summed over the GPUs' own peaks; host memory and disk are not GPUs."""
    cards = [device.peak for device in devices if device.name.startswith("gpu:") or device.gpu == "CPU"]
    return {level: interval(total(getattr(peak, level) for peak in cards)) for level in LEVELS}


def model_document(model: Model) -> dict[str, Any]:
    """A model's parameters by component."""
    from ullage.facts.architecture import Pipeline

    common = {**header("model"), "name": model.name, "model_type": model.model_type}
    common |= {"parameters": model.parameters, "dtype": model.dtype, "source": model.source}
    stored = model.checkpoint.bytes if model.checkpoint is not None else None
    if isinstance(model, Pipeline):
        parts = {component.name: component.parameters for component in model.components}
        return {**common, "parameters_by_component": parts, "stored_bytes": stored}
    kinds: dict[str, int] = {}
    for layer in model.layers:
        kinds[layer_label(layer)] = kinds.get(layer_label(layer), 0) + 1
    return {
        **common,
        "parameters_by_component": model.parameters_by_component,
        "active_parameters": model.active_parameters,
        "published_parameters": model.published_parameters,
        "tied": model.tied,
        "hidden_size": model.hidden_size,
        "vocab_size": model.vocab_size,
        "max_positions": model.max_positions,
        "layers": kinds,
        "quantization": model.quantization.method if model.quantization is not None else None,
        "stored_bytes": stored,
    }


def layer_label(layer: Any) -> str:
    """`full attention + dense`, `mamba2 + experts`, ..."""
    from ullage.facts.architecture import Attention, Dense, LatentAttention

    mixer, part = layer.mixer, layer.feed_forward
    names = []
    if isinstance(mixer, Attention):
        names.append(f"{mixer.kind} attention")
    elif isinstance(mixer, LatentAttention):
        names.append("latent attention")
    elif mixer is not None:
        names.append(mixer.kind)
    if part is not None:
        names.append("dense" if isinstance(part, Dense) else "experts")
    return " + ".join(names) or "nothing"
