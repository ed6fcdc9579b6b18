"""What of the libraries that compute is as it should be: torch, and those that are built for one torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ullage.facts.abilities import FLASH_CAPABILITY
from ullage.facts.health.cards import Cards
from ullage.facts.health.finding import Finding, note, ok, problem
from ullage.facts.health.tried import Libraries, Torch, Tried

NMS: Final = "torchvision::nms"
REINSTALL: Final = "pip install --force-reinstall --no-build-isolation --no-cache-dir flash-attn"
UNSEEN: Final = "Could not import module CLIPImageProcessor"
"""What transformers and diffusers show of a torchvision that does not go with torch."""


def findings_of_libraries(tried: Libraries, cards: Cards) -> Iterator[Finding]:
    """torch, and each library that is built for one version of it."""
    torch = tried.get("torch")
    if torch is None:
        yield note("torch", "not installed: files are planned here, and not run", 'pip install "ullage[run]"')
        return
    yield _torch(torch)
    yield torchvision(tried)
    yield bitsandbytes(tried)
    yield flash(tried, cards)


def _torch(torch: Tried) -> Finding:
    about = "torch"
    if torch.problem:
        todo = 'install it anew: pip install --force-reinstall "ullage[run]"'
        return problem(about, f"{torch.version} cannot be imported: {torch.problem}", todo)
    if torch.torch is None:
        return ok(about, f"{torch.version} is installed; it was not tried")
    return ok(about, f"{torch.version}, {_built(torch.torch)}")


def _built(torch: Torch) -> str:
    if torch.hip:
        return f"built for ROCm {torch.hip}"
    if not torch.cuda:
        return "built for processors alone"
    return f"built for CUDA {torch.cuda}, with kernels for {' '.join(torch.kernels)}"


def torchvision(tried: Libraries) -> Finding:
    """Nothing here needs it; where it does not go with torch it breaks what takes or makes pictures."""
    found, about = tried.get("torchvision"), "torchvision"
    if found is None:
        return ok(about, "not installed, and nothing here needs it: Pillow prepares pictures")
    if not found.problem:
        return ok(about, f"{found.version}{_untried(found)}")
    beside = tried["torch"].version
    why = f"operator {NMS} does not exist" if NMS in found.problem else found.problem
    return problem(
        about,
        f"{found.version} is not built for torch {beside} ({why}); diffusers and models that take pictures "
        f"then fail, and all they show may be '{UNSEEN}'",
        "pip uninstall torchvision (nothing here needs it), or install the build that goes with this torch",
    )


def bitsandbytes(tried: Libraries) -> Finding:
    """What turns weights into int8 and nf4."""
    found, about = tried.get("bitsandbytes"), "bitsandbytes"
    if found is None:
        return note(
            about, "not installed: no weights are turned into int8 or nf4", 'pip install "ullage[run]"'
        )
    if found.problem:
        works = f"works on {', '.join(found.works_on)} alone" if found.works_on else "does not work"
        return problem(
            about,
            f"{found.version} {works}: {found.problem}",
            "pip install --upgrade bitsandbytes; python -m bitsandbytes tells which CUDA it looks for",
        )
    on = f", quantizes on {' and '.join(found.works_on)}" if found.works_on else ""
    return ok(about, f"{found.version}{on}{_untried(found)}")


def flash(tried: Libraries, cards: Cards) -> Finding:
    """What `attention: flash` takes, and nothing else."""
    found, about = tried.get("flash_attn"), "flash-attn"
    able = any(card.capability >= FLASH_CAPABILITY for card in cards.cards)
    if found is None:
        return ok(about, "not installed; attention: flash alone needs it, and torch's own kernels do without")
    if found.problem:
        return problem(
            about,
            f"{found.version} cannot be imported beside torch {tried['torch'].version}: {found.problem}",
            f"{REINSTALL}, or remove it: torch's own kernels do without",
        )
    if not able:
        return note(about, f"{found.version}, and no card here of compute capability 8.0 that it runs on")
    return ok(about, f"{found.version}{_untried(found)}")


def _untried(found: Tried) -> str:
    return "" if found.seconds else " is installed; it was not tried"
