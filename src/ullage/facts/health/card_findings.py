"""What of a machine's cards is as it should be: driver, torch's kernels for them, links and copies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ullage.facts.abilities import Capability
from ullage.facts.gpu import LANE_GB
from ullage.facts.health.cards import Card, Cards, Pair
from ullage.facts.health.finding import Finding, note, ok, problem
from ullage.facts.health.tried import Seen, Torch, Tried
from ullage.units import gib

SLOW: Final = 0.5
"""Share of what a card's link could carry under which its copies are slow."""
BUILDS: Final = (
    "install a build of torch that has them: https://pytorch.org/get-started/locally (older cards are in "
    "builds for older versions of CUDA)"
)


def findings_of_cards(cards: Cards, torch: Tried | None) -> Iterator[Finding]:
    """Driver and cards, what joins them, and what torch makes of them; `torch` is None where it is not
    installed."""
    told = None if torch is None else torch.torch
    if cards.problem:
        yield from _no_cards(cards)
    else:
        cuda = f"CUDA {cards.cuda[0]}.{cards.cuda[1]}" if cards.cuda > (0, 0) else "a CUDA it does not name"
        yield ok("driver", f"{cards.driver or 'of unknown version'}, which speaks {cuda}")
        if told is not None:
            yield from _drives(cards, told)
    for card in cards.cards:
        yield from _of_card(card, told)
    for pair in cards.pairs:
        yield _of_pair(pair)
    if told is not None:
        for seen in told.cards:
            yield from _of_seen(seen, [card for card in cards.cards if card.visible])


def has_kernels(kernels: tuple[str, ...], capability: Capability) -> bool:
    """Whether a build of torch computes on a card: a cubin runs on its own major number from its minor one
    on, PTX on every later card, and one of sm_90a on that card alone (CUDA C++ programming guide, "Binary and
    PTX compatibility")."""
    for kernel in kernels:
        found = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", kernel)
        if found is None:
            continue
        built = int(found[2]), int(found[3])
        if found[1] == "compute":
            fits = built <= capability
        elif found[4] == "a":
            fits = built == capability
        else:
            fits = built[0] == capability[0] and built <= capability
        if fits:
            return True
    return False


def _no_cards(cards: Cards) -> Iterator[Finding]:
    if cards.broken:
        yield problem(
            "driver", f"NVIDIA's driver does not answer: {cards.problem}", "nvidia-smi must work first"
        )
    else:
        yield note("cards", f"none is known here: {cards.problem}; what runs here runs on the processor")


def _drives(cards: Cards, torch: Torch) -> Iterator[Finding]:
    """Whether torch is built for these cards, and the driver new enough for it.

    Within one major version a driver takes what a later minor one built (CUDA compatibility guide).
    """
    if not any(card.visible for card in cards.cards):
        return
    if torch.hip or not torch.cuda:
        what = f"for AMD's cards (ROCm {torch.hip})" if torch.hip else "for processors alone"
        yield problem("torch", f"is built {what}, so that no card here is used", BUILDS)
        return
    built = tuple(int(part) for part in torch.cuda.split(".")[:2] if part.isdecimal())
    if cards.cuda > (0, 0) and built[:1] > cards.cuda[:1]:
        yield problem(
            "torch",
            f"is built for CUDA {torch.cuda}, and the driver speaks {cards.cuda[0]}.{cards.cuda[1]} at most",
            f"update the driver, or install a build of torch for CUDA {cards.cuda[0]}",
        )
    elif torch.problem:
        yield problem(
            "torch", f"sees no card: {torch.problem}", "nvidia-smi and CUDA_VISIBLE_DEVICES tell more"
        )


def _of_card(card: Card, torch: Torch | None) -> Iterator[Finding]:
    about = f"gpu {card.index}"
    number = f"{card.capability[0]}.{card.capability[1]}"
    used = f", {gib(card.used)} of it in use" if card.used else ""
    yield ok(about, f"{card.name}, {gib(card.total)}{used}, compute capability {number}")
    if not card.visible:
        yield note(about, "is hidden from programs here", "CUDA_VISIBLE_DEVICES names those that are not")
    if card.partitioned:
        yield note(about, "is cut into parts (MIG); what is planned for the whole card has less room")
    if torch is not None and torch.cuda:
        if has_kernels(torch.kernels, card.capability):
            yield ok(about, f"torch has kernels for compute capability {number}")
        else:
            yield problem(
                about,
                f"torch has no kernels for compute capability {number}, only {' '.join(torch.kernels)}: it "
                "would end with 'no kernel image is available for execution on the device'",
                BUILDS,
            )
    yield from _link(about, card)


def _link(about: str, card: Card) -> Iterator[Finding]:
    link = card.pcie
    if link.generation is not None and link.width is not None:
        most = f" of PCIe {link.most_generation} x{link.most_width}" if link.most_width else ""
        said = f"at PCIe {link.generation} x{link.width}{most}"
        if link.most_width and link.width < link.most_width:
            todo = "another slot or riser may give it all lanes; a virtual machine may hide them"
            yield note(about, f"{said}: fewer lanes than it could have, so that weights load slower", todo)
        else:
            slower = link.most_generation is not None and link.generation < link.most_generation
            yield ok(about, f"{said}{' (an idle card slows its link down)' if slower else ''}")
    if card.nvlinks:
        yield ok(about, f"{card.nvlinks} NVLinks are active")


def _of_pair(pair: Pair) -> Finding:
    about = f"gpu {pair.first} and {pair.second}"
    if pair.nvlink:
        return ok(about, f"are joined by NVLink (else by {pair.way})")
    said = f"are joined by {pair.way}"
    if pair.peer is False:
        return note(
            about,
            f"{said}, and neither reads the other's memory: all between them goes through the host",
        )
    return ok(about, said)


def _of_seen(seen: Seen, visible: list[Card]) -> Iterator[Finding]:
    """What torch's card `cuda:N` is worth; `visible` are NVML's, which may count cards of several kinds in
    another order."""
    about = f"cuda:{seen.index}"
    if seen.problem:
        yield problem(about, f"{seen.name} computes nothing: {seen.problem}", _todo(seen.problem))
        return
    if seen.copies is None:
        return
    pinned, pageable = seen.copies.pinned / 1e9, seen.copies.pageable / 1e9
    said = f"{pinned:.1f} GB/s from pinned host memory, {pageable:.1f} GB/s from other (measured)"
    alike = [card for card in visible[seen.index :][:1] if card.name == seen.name]
    could = _carries(alike[0]) if alike else None
    if could is not None and pinned < SLOW * could:
        todo = "other processes that copy, a slot of another processor or a virtual machine may be why"
        yield note(about, f"{said}; its link could carry {could:.0f} GB/s", todo)
    else:
        yield ok(about, said)


def _carries(card: Card) -> float | None:
    """GB/s of a card's link, one direction, at its most generation and the lanes that it has."""
    lane = LANE_GB.get(f"{card.pcie.most_generation}.0")
    return None if lane is None or card.pcie.width is None else lane * card.pcie.width


def _todo(said: str) -> str:
    if "no kernel image" in said:
        return BUILDS
    if "out of memory" in said.casefold():
        return "end what else runs on it: nvidia-smi lists that"
    return "nvidia-smi tells whether the card itself is well; restart the machine if it does not"
