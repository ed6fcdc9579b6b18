"""Other people's probes and activations become Ullage's own: probes with cards, stores with labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ullage.errors import FormatError, InputError
from ullage.probes.archives import check_archive
from ullage.probes.card import Card, Origin, save_probe
from ullage.probes.pickles import read_pickle
from ullage.probes.probe import Probe, Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Floats = NDArray[np.float64]

ENUMS: Final = (
    "deception.detectors.utils.types.ProbeArchitecture",
    "lie_detectors.types.ProbeArchitecture",
)
"""What checkpoints of the lie-detectors collection pickle beside tensors: an enum of texts."""
ZIP: Final = b"PK"
PICKLE: Final = b"\x80"


def import_file(file: Path, out: Path, site: str, model: str, allow_pickle: bool) -> dict[str, object]:
    """Converts what is in `file` into `out`; the document written. As `ullage.import_probe`."""
    if file.is_dir():
        from ullage.probes.collected import import_activations

        return import_activations(file, out, site)
    try:
        probe, card = _read(file, site, model, allow_pickle)
    except KeyError as error:
        raise FormatError(f"{file}: no probe of a known form: it lacks {error.args[0]}") from error
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise FormatError(f"{file}: no probe of a known form: {said}") from error
    return save_probe(probe, card, out)


def _read(file: Path, site: str, model: str, allow_pickle: bool) -> tuple[Probe, Card]:
    try:
        with file.open("rb") as opened:
            begun = opened.read(2)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    if begun[:2] == ZIP:
        return _checkpoint(file, site, model)
    if begun[:1] == PICKLE:
        if not allow_pickle:
            raise InputError(
                f"{file}: is a plain pickle, which is a program; --allow-pickle reads tensors and arrays "
                "from it and runs nothing"
            )
        return _detector(_mapping(read_pickle(file), file), file, site, model)
    raise FormatError(f"{file}: neither a checkpoint (.pt), nor a pickle, nor a folder of activations")


def _checkpoint(file: Path, site: str, model: str) -> tuple[Probe, Card]:
    """A probe of the lie-detectors collection; nothing in the file is executed."""
    import torch

    def plain(value: str) -> str:
        return str(value)

    try:
        check_archive(file, file.stat().st_size)
    except FormatError as error:
        raise FormatError(f"{file}: {error}") from error
    try:
        with torch.serialization.safe_globals([(plain, name) for name in ENUMS]):
            raw = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        said = " ".join(str(error).split())
        asked = re.search(r"GLOBAL ([\w.]+)", said)
        what = f"asks for {asked[1]}; nothing of it was run" if asked else said[:200]
        raise FormatError(f"{file}: not a checkpoint of tensors: {what}") from error
    found = _mapping(raw, file)
    if "directions" in found:
        return _detector(found, file, site, model)
    tensors = _mapping(found.get("state_dict", found), file)
    settings = found.get("hyperparams") or {}
    layer = settings.get("layer") if isinstance(settings, Mapping) else None
    known: Mapping[str, Any] = settings if isinstance(settings, Mapping) else {}
    return _lie_detector(tensors, known, _site(site, layer, file), model)


def _lie_detector(
    tensors: Mapping[str, Any], settings: Mapping[str, Any], site: str, model: str
) -> tuple[Probe, Card]:
    """Scores as that library's own `forward`: a difference of means is taken of raw states."""
    import numpy as np

    held = {name: _numbers(value, name) for name, value in tensors.items() if name != "threshold"}
    threshold = float(_numbers(tensors["threshold"], "threshold")) if "threshold" in tensors else None
    if threshold is not None and not np.isfinite(threshold):
        raise FormatError("threshold: is NaN or infinity")
    intercept = 0.0
    if "direction" in held:
        method, form, inside = "difference", "linear", {"weight": held["direction"]}
    elif "linear.weight" in held:
        method, form, inside = "logistic", "linear", {"weight": held["linear.weight"].reshape(-1)}
        intercept = float(held["linear.bias"].reshape(-1)[0])
    elif "net.0.weight" in held:
        method, form = "mlp", "mlp"
        names = (("inner", "net.0.weight"), ("inner_bias", "net.0.bias"), ("weight", "net.2.weight"))
        inside = {mine: held[name] for mine, name in names}
        inside["weight"] = inside["weight"].reshape(-1)
        intercept = float(held["net.2.bias"].reshape(-1)[0])
    else:
        raise FormatError(f"no probe of a known form: it has {', '.join(list(tensors)[:8]) or 'nothing'}")
    width = inside["inner"].shape[1] if form == "mlp" else len(inside["weight"])
    mean, scale = held.get("dataset_mean", np.zeros(width)), held.get("dataset_std", np.ones(width))
    probe = Probe(form, (site,), width, mean, scale, inside, intercept, Reading())  # type: ignore[arg-type]
    strength = settings.get("l2_lambda")
    card = Card(
        method,
        Origin(model),
        float(strength) if isinstance(strength, int | float) else None,
        threshold=threshold,
        control="its own training" if threshold is not None else "",
        source="lie-detectors checkpoint",
    )
    return probe, card


def _detector(found: Mapping[str, Any], file: Path, site: str, model: str) -> tuple[Probe, Card]:
    """Apollo's detectors: one direction a layer, whose scores are the mean over layers."""
    import numpy as np

    missing = [name for name in ("layers", "directions") if name not in found]
    if missing:
        raise FormatError(f"{file}: no detector: it lacks {' and '.join(missing)}")
    numbers = _numbers(found["layers"], "layers").reshape(-1).tolist()
    if not all(each.is_integer() for each in numbers):
        raise FormatError(f"{file}: layers are no whole numbers")
    layers = [int(each) for each in numbers]
    directions = _numbers(found["directions"], "directions")
    if directions.ndim != 2 or len(directions) != len(layers):
        raise FormatError(f"{file}: directions are {directions.shape}, not one a layer of {len(layers)}")
    normal = found.get("normalize", found.get("scaler_mean") is not None)
    mean, scale = np.zeros(directions.shape), np.ones(directions.shape)
    if normal:
        if found.get("scaler_mean") is None or found.get("scaler_scale") is None:
            raise FormatError(f"{file}: says it is standardised, and lacks scaler_mean or scaler_scale")
        mean = _numbers(found["scaler_mean"], "scaler_mean").reshape(directions.shape)
        scale = _numbers(found["scaler_scale"], "scaler_scale").reshape(directions.shape)
    intercept = found.get("intercept")
    strength = found.get("reg_coeff")
    probe = Probe(
        "linear",
        tuple(_site(site, layer, file) for layer in layers),
        directions.shape[1],
        mean.reshape(-1),
        scale.reshape(-1),
        {"weight": directions.reshape(-1) / len(layers)},
        0.0 if intercept is None else float(_numbers(intercept, "intercept").reshape(-1)[0]),
        Reading(),
    )
    card = Card(
        "logistic" if normal else "difference",
        Origin(model),
        float(strength) if isinstance(strength, int | float) else None,
        source="deception-detection pickle",
    )
    return probe, card


def _site(pattern: str, layer: object, file: Path) -> str:
    if "{l}" not in pattern:
        return pattern
    if not isinstance(layer, int) or isinstance(layer, bool) or layer < 0:
        raise InputError(f"{file}: does not say which layer it reads; name its site: --site blocks.12....")
    return pattern.replace("{l}", str(layer))


def _mapping(value: object, file: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise FormatError(f"{file}: holds a {type(value).__name__}, not named tensors")
    return value


def _stored(tensor: Tensor) -> int:
    """Values in a tensor's storage: an expanded one claims more, and a copy would have them all."""
    return tensor.untyped_storage().nbytes() // tensor.element_size()


def _numbers(value: object, name: str) -> Floats:
    """Whatever holds numbers, as an array. Raises FormatError."""
    import numpy as np
    import torch

    try:
        plain = value
        if isinstance(value, torch.Tensor):
            if value.layout == torch.strided and value.numel() > _stored(value):
                raise TypeError(f"{value.numel():,} values, and fewer are stored")
            plain = value.detach().to(torch.complex128 if value.is_complex() else torch.float64).numpy()
        found = np.asarray(plain)
        if value is None or found.dtype.kind == "c":
            raise TypeError("it is empty" if value is None else "they are complex")
        return np.asarray(found, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise FormatError(f"{name}: no numbers: {' '.join(str(error).split())[:100]}") from error
