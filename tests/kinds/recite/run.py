from ullage_recite.section import RECITER

from ullage.engines.engine import Sampling
from ullage.engines.turns import Turns
from ullage.phases.blocks import base_work


def run(session):
    """Batches, limits, progress, and what is done of an interrupted run, are the turn's business."""
    lines = session.path(session.workload.section.input).read_text(encoding="utf-8").splitlines()
    lines = lines[:1] if session.smallest else lines
    turns = Turns(session)
    engine = turns.engine(RECITER)
    sampling = Sampling(base_work(RECITER, session.workload).new_tokens)

    def unit(batch):
        replies = engine.generate([line for _, line in batch], sampling, [0] * len(batch))
        return [{"line": index, "said": reply.text} for (index, _), reply in zip(batch, replies, strict=True)]

    said = turns.measured(engine.lengths, lines)
    turns.work("said", RECITER, "", said, unit, total=len(lines))
    session.examples = len(lines)
