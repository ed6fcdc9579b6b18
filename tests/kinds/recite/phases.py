from ullage_recite.section import RECITER

from ullage.phases.blocks import base_work, generate, hold, load


def phases(workload):
    held = (hold(RECITER, workload),)
    return load(RECITER, held) + generate(RECITER, held, base_work(RECITER, workload))
