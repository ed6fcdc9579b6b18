"""States for probes: those that are there, or those of an extraction that is planned and run for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, MissingExtraError, UllageError, UnknownNameError
from ullage.probes.standing import Frames

if TYPE_CHECKING:
    from ullage.capture.stored import StoredStates
    from ullage.facts.architecture import Architecture
    from ullage.probes.card import Origin
    from ullage.probes.labels import Labelled
    from ullage.probes.writing_out import WrittenOut
    from ullage.runtime.tokenizer import Tokenizer
    from ullage.spec.role import Role

ROLE: Final = "model"
FULL_PASS_TOKENS: Final = 2048
FULL_PASS_TOKENS_ON_CARDS: Final = 16384
"""Tokens of a pass from which more of them make it no faster, token for token."""
FEWEST: Final = 8


@dataclass(frozen=True, slots=True)
class Read:
    """States, where they are from, and ids of dialogues that were too long to be read; where one row stands
    for a text, `means` says that it may be the mean of its tokens."""

    states: StoredStates
    origin: Origin
    too_long: frozenset[str] = frozenset()
    means: bool = True

    def frames(self) -> Frames:
        """What the template of the model they are of writes around messages, as far as it can be had."""
        return Frames(lambda: _tokenizer_of(self.origin.model))


@dataclass(frozen=True, slots=True)
class Extraction:
    """How a model reads texts: planned for `gpus`, `batch` texts a pass (default: as many as fill it);
    `skip_too_long` leaves out texts beyond its window."""

    gpus: str = "local"
    precision: str = "auto"
    batch: int | None = None
    skip_too_long: bool = False
    download: bool = False
    quiet: bool = True


@dataclass(frozen=True, slots=True)
class Reader:
    """States of texts are had of `model`, at `sites`."""

    model: str
    sites: tuple[str, ...]
    layers: Sequence[int] | None = None
    how: Extraction = field(default_factory=Extraction)

    def read(self, labelled: Sequence[Labelled], out: Path, where: str) -> Read:
        """Writes the texts and a workload file into `out`, and runs that: `out`/run holds the states.

        Raises InputError, with a line for each, for dialogues that cannot be read, before any model is
        loaded.
        """
        body, texts, too_long = self._workload(labelled, where)
        folder = self._run(body, texts, out)
        found = stored(folder)
        return replace(found, too_long=too_long)

    def check(self, labelled: Sequence[Labelled], where: str) -> None:
        """What `read` would refuse before any model is loaded. Raises InputError, or DoesNotFitError for what
        no batch makes fit."""
        import transformers

        from ullage.runtime.quantization import quantization_config
        from ullage.workloads.execution import check_able, refuse_unfit
        from ullage.workloads.loading import load
        from ullage.workloads.planned import plan

        body, _, _ = self._workload(labelled, where)
        if self.how.batch is None:
            body["batch"] = 1
        found = plan(load(body), self.how.gpus, base=Path(), advice=False)
        check_able(found)
        refuse_unfit(found)
        for role in found.roles.values():
            quantization_config(transformers, role.precision)

    def score(
        self, labelled: Sequence[Labelled], probes: Mapping[str, str], out: Path, where: str
    ) -> tuple[Path, frozenset[str]]:
        """Scores the texts by `probes`, folders by name, in one pass: the run's folder, `out`/run, whose
        `scores.jsonl` has a line for each; and ids of what is too long.

        What an earlier call with the same left unfinished in `out` is gone on with. Raises InputError as
        `read`, and for what something else has left there.
        """
        from ullage.workloads.runs import resume

        body, texts, too_long = self._workload(labelled, where)
        del body["captures"]
        body |= {"name": f"scores of {Path(where).name}", "probes": dict(probes)}
        run = out / "run"
        if out.exists() and any(out.iterdir()):
            if not _is_of(out, body, texts):
                raise InputError(f"{out}: holds something else; remove it, or give another --out")
            if (run / "manifest.json").exists():
                resume(run, download=self.how.download, quiet=self.how.quiet)
                return run, too_long
        return self._run(body, texts, out), too_long

    def _run(self, body: dict[str, object], texts: str, out: Path) -> Path:
        """Writes file and texts, and runs them in a batch that fits."""
        from ullage.workloads.loading import load
        from ullage.workloads.runs import run

        out.mkdir(parents=True, exist_ok=True)
        (out / "texts.jsonl").write_text(texts, encoding="utf-8")
        file = out / "workload.json"
        while True:
            file.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
            workload = load(file)
            if self.how.batch is not None or workload.batch <= 1 or self._fits(workload, out):
                break
            body["batch"] = workload.batch // 2
        folder, _ = run(
            workload, out / "run", self.how.gpus, base=out, download=self.how.download, quiet=self.how.quiet
        )
        return folder

    def _fits(self, workload: object, base: Path) -> bool:
        from ullage.spec.workload import Workload
        from ullage.workloads.planned import plan

        assert isinstance(workload, Workload)
        return plan(workload, self.how.gpus, base=base, advice=False).verdict != "does not fit"

    def _workload(
        self, labelled: Sequence[Labelled], where: str
    ) -> tuple[dict[str, object], str, frozenset[str]]:
        """The file that is planned and run, the texts it names, and what is left out of them."""
        from ullage.facts.gpu_set import parse_gpu_set

        written = self._written(labelled, where)
        longest = max(each.tokens for each in written.texts)
        processor = parse_gpu_set(self.how.gpus).abilities.processor
        full = FULL_PASS_TOKENS if processor else FULL_PASS_TOKENS_ON_CARDS
        whole = max(FEWEST, full // longest)
        body: dict[str, object] = {
            "kind": "extract",
            "name": f"states of {Path(where).name}",
            "roles": {ROLE: {"model": self.model, "precision": self.how.precision}},
            "batch": 1 << (whole.bit_length() - 1) if self.how.batch is None else self.how.batch,
            "budget": {"gpus": self.how.gpus},
            "prompt_tokens": longest,
            "new_tokens": 0,
            "examples": len(written.texts),
            "captures": [
                {
                    "sites": list(self.sites),
                    "layers": "all" if self.layers is None else list(self.layers),
                    "positions": "span",
                    "span_tokens": max(each.span_tokens for each in written.texts),
                    "keep": "disk",
                }
            ],
            "extract": {"input": "texts.jsonl", "special_tokens": written.special_tokens},
        }
        lines = (
            json.dumps(
                {"id": each.id, "text": each.text, "span": each.span, "counted": each.counted},
                ensure_ascii=False,
            )
            for each in written.texts
        )
        return body, "".join(f"{line}\n" for line in lines), frozenset(written.too_long)

    def _written(self, labelled: Sequence[Labelled], where: str) -> WrittenOut:
        from ullage.probes.writing_out import write_out
        from ullage.runtime.loader import load_tokenizer
        from ullage.spec.parse import parse_role

        role: Role = parse_role({"model": self.model, "precision": self.how.precision})
        tokenizer = load_tokenizer(role, None, self.how.download)
        if tokenizer is None:
            raise InputError(
                f"{self.model}: has no tokenizer; extract states by token ids, and give --states"
            )
        window = _architecture(self.model).max_positions
        return write_out(labelled, tokenizer, window, where, self.how.skip_too_long)


def _is_of(out: Path, body: Mapping[str, object], texts: str) -> bool:
    """Whether a folder holds this very work, in whatever batch it fits."""
    try:
        file = json.loads((out / "workload.json").read_text(encoding="utf-8"))
        there = (out / "texts.jsonl").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    wanted = json.loads(json.dumps(body))
    return isinstance(file, dict) and there == texts and {**file, "batch": 0} == {**wanted, "batch": 0}


def _architecture(model: str) -> Architecture:
    from ullage.facts.architecture import Architecture
    from ullage.workloads.opened import opened_model

    found = opened_model(model)
    if not isinstance(found, Architecture):
        raise InputError(f"{model}: a diffusion pipeline has no layers to read")
    return found


def stored(folder: str | Path) -> Read:
    """The states of a finished run, and what they are of."""
    from ullage.fields import Fields
    from ullage.probes.card import Origin
    from ullage.probes.origin import origin_of
    from ullage.records.folder import RunFolder

    try:
        from ullage.capture.stored import open_states

        states = open_states(folder)
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "run", "opening states") from error
    if len(states.roles) > 1:
        raise InputError(f"{folder}: has states of {' and '.join(states.roles)}; give those of one role")
    ((role, held),) = states.roles.items()
    run = RunFolder(Path(folder))
    if not run.started:
        return Read(states, Origin(held["model"]))
    manifest = run.manifest()
    settled = Fields(manifest.plan, f"{folder}: not the plan of a run").inner("settled")
    means = any(each.value("positions") == "mean" for each in settled.each("captures"))
    return Read(states, origin_of(manifest, role, held["model"]), means=means)


def _tokenizer_of(model: str) -> Tokenizer | None:
    """None where the model is not here any more."""
    from ullage.runtime.loader import load_tokenizer
    from ullage.spec.parse import parse_role

    try:
        return load_tokenizer(parse_role({"model": model}))
    except UllageError:
        return None


def chosen_sites(
    states: StoredStates, patterns: Sequence[str], layers: Sequence[int] | None
) -> tuple[str, ...]:
    """The sites of a store that patterns name, of some layers where those are given.

    Raises UnknownNameError for a pattern that names none.
    """
    from ullage.probes.probe import layer_of

    found: dict[str, None] = {}
    for pattern in patterns:
        hits = [site for site in states.sites if fnmatchcase(site, pattern.replace("{l}", "*"))]
        if not hits:
            hint = f"{states.folder} has {', '.join(states.sites)}"
            raise UnknownNameError("site", pattern, states.sites, hint)
        found |= dict.fromkeys(hits)
    if layers is None:
        return tuple(found)
    having = {layer_of(site) for site in found} - {None}
    count = 1 + max((each for each in having if each is not None), default=-1)
    wanted = {layer if layer >= 0 else count + layer for layer in layers}
    if missing := sorted(wanted - having):
        raise InputError(
            f"layers: {states.folder} has no states of layer {missing[0]} at {', '.join(patterns)}"
        )
    return tuple(site for site in found if layer_of(site) in wanted)
