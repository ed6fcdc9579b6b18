"""Commands about clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ullage.cli.prices import by_prices
from ullage.errors import InputError
from ullage.reports.options import takes
from ullage.reports.terminal import Offline, Sets


@takes("whose", by_prices)
def cluster(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A workload file, YAML or JSON.")],
    nodes: Annotated[str, typer.Option("--nodes", help="As '4x(8xL4; spot 0.05/h; type g6.48xlarge)'.")],
    form: Annotated[str, typer.Option("--for", help="kuberay, or vm: what `ray up` takes.")],
    image: Annotated[str, typer.Option(help="The image that has Ray and Ullage in it.")],
    *,
    whose: dict[str, str | None],
    cloud: Annotated[str, typer.Option(help="Of vm: aws, gcp or azure.")] = "",
    region: Annotated[str, typer.Option(help="Of vm.")] = "",
    head_type: Annotated[str, typer.Option(help="Of vm: the machine that hands out the work.")] = "",
    out: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write it there, not to the screen.")
    ] = None,
    set_: Sets = None,
    offline: Offline = False,
) -> None:
    from ullage import api

    workload = api.load(file, set_ or ())
    plan = api.plan_cluster(workload, nodes, base=api.folder_of(file), prices=api.lists(**whose))
    text = api.cluster_file(plan, form, image=image, cloud=cloud, region=region, head=head_type)
    if out is None:
        typer.echo(text, nl=False)
        return
    from ullage.records.atomic import write_text

    try:
        write_text(Path(out), text)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
    typer.echo(out)
