from ullage.phases.blocks import wrong_engine, wrong_roles
from ullage.spec.section import Section as BaseSection

RECITER = "reciter"


class Section(BaseSection):
    """The `recite:` part of a workload file."""

    input: str

    def files(self):
        return (self.input,)

    def notes(self, workload):
        yield "every line is recited by itself"

    def mistakes(self, workload):
        yield from wrong_roles(workload, (RECITER,), (RECITER,))
        yield from wrong_engine(RECITER, workload, "writes")
