"""`ullage extract`, `ullage analyse` and `ullage export`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from ullage.reports.options import takes
from ullage.reports.terminal import Download, Json, Quiet, Where, tell

if TYPE_CHECKING:
    from ullage.kinds.extract.short_form import Settings


def _settings(
    positions: Annotated[
        str, typer.Option(help="all, last, last:4, mean, span, not-special, or 0,5,-1 or '[[0, 8], -1]'.")
    ] = "all",
    layers: Annotated[str, typer.Option(help="Which of blocks.{l}, as 0,15,-1.")] = "all",
    gpus: Where = None,
    batch: Annotated[int | None, typer.Option(help="Texts a pass; default as many as fill it.")] = None,
    precision: Annotated[str, typer.Option(help="Of the weights: auto, bf16, int8, nf4, ...")] = "auto",
    rope: Annotated[str | None, typer.Option(help="Stretch positions: yarn:4, linear:2, dynamic:2.")] = None,
    chunk: Annotated[int | None, typer.Option(help="Stream in chunks of this many tokens.")] = None,
    new_tokens: Annotated[int, typer.Option(help="Also generate so many, and capture those.")] = 0,
    backward: Annotated[
        bool,
        typer.Option("--backward", help="Also gradients of each text's next-token loss, and the loss."),
    ] = False,
    use_reentrant: Annotated[
        bool, typer.Option(help="Of --backward: torch's older way of checkpointing, which every model bears.")
    ] = True,
    temperature: Annotated[
        float, typer.Option(help="Of what is generated; 0 takes the likeliest token.")
    ] = 0.0,
    store: Annotated[str, typer.Option(help="safetensors or npy.")] = "safetensors",
    keep_precision: Annotated[str, typer.Option(help="compute, fp32, fp16 or bf16.")] = "compute",
    text_field: Annotated[str, typer.Option(help="Where a line of --input has its text.")] = "text",
    too_long: Annotated[
        str, typer.Option(help="error or truncate: texts beyond the model's window.")
    ] = "error",
    special_tokens: Annotated[bool, typer.Option(help="Add those the tokenizer adds.")] = True,
    logits: Annotated[str, typer.Option(help="Store logits too: none, last or all.")] = "none",
    allow_nan: Annotated[bool, typer.Option("--allow-nan", help="Keep NaN and infinite states.")] = False,
) -> Mapping[str, object]:
    given: dict[str, object] = dict(locals())
    return given | {"positions": _listed(positions), "layers": _listed(layers), "gpus": gpus or "local"}


@takes("settings", _settings)
def extract(
    model: Annotated[str, typer.Option(help="A folder, or a hub name in the local cache.")],
    input: Annotated[str, typer.Option(help="JSON lines with text or tokens, or a .txt.")],
    sites: Annotated[list[str], typer.Option(help="As blocks.*.hook_resid_post; may be repeated.")],
    out: Annotated[str | None, typer.Option(help="A new folder; default runs/extract-N.")] = None,
    *,
    settings: Mapping[str, object],
    download: Download = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    from ullage.kinds.extract import verbs
    from ullage.reports.run_page import run_document, run_page

    chosen = cast("Settings", settings)
    folder, record = verbs.extract(model, input, sites, out, download=download, quiet=quiet, **chosen)
    tell(json, lambda: run_document(folder, record), lambda: run_page(folder, record))


def _listed(text: str) -> object:
    """A word, or the list that is written: 0,5,-1 or [0, 5, -1]."""
    from ullage.spec.document import read_value

    return read_value(f"[{text}]" if re.fullmatch(r"\s*-?\d+\s*(,\s*-?\d+\s*)*", text) else text)


def analyse(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished extraction.")],
    out: Annotated[str | None, typer.Option(help="A folder for pictures.")] = None,
    json: Json = False,
) -> None:
    from ullage.kinds.extract import verbs
    from ullage.kinds.extract.tables import survey_page

    found = verbs.survey(folder)
    from ullage.capture.survey import draw_survey, survey_document

    document = survey_document(found)
    tell(json, lambda: document, lambda: survey_page(document))
    if out is not None:
        drawn = draw_survey(found, verbs.open_states(folder), Path(out))
        print(f"{len(drawn)} pictures in {out}", file=sys.stderr)


def export(
    folder: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a finished run with states.")],
    out: Annotated[str, typer.Option(help="A new folder for the files.")],
    site: Annotated[list[str] | None, typer.Option(help="May be repeated; default every one.")] = None,
) -> None:
    from ullage.kinds.extract import verbs

    files = verbs.export_states(folder, out, site or ())
    print(f"{len(files)} files in {out}: datasets.load_dataset({out!r})", file=sys.stderr)
