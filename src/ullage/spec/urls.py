"""Names in a workload that are URLs of objects in a store."""

from __future__ import annotations

from collections.abc import Iterator

from ullage.spec.mistake import Mistake
from ullage.spec.section import Section
from ullage.spec.workload import Workload
from ullage.urls import is_url, wrong_with


def mistakes_in_urls(workload: Workload, section: Section) -> Iterator[Mistake]:
    """URLs that cannot be used, or that carry credentials: the file is copied into every record."""
    partition = workload.partition
    if partition is not None and partition.store is not None:
        problem = wrong_with(partition.store) if is_url(partition.store) else "is no URL"
        if problem:
            yield Mistake(("partition", "store"), problem)
    for name, role in workload.roles.items():
        if is_url(role.model) and (problem := wrong_with(role.model)):
            yield Mistake(("roles", name, "model"), problem)
    files = section.files()
    for key in type(section).model_fields:
        value = getattr(section, key)
        for name in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            if name in files and is_url(name) and (problem := wrong_with(name)):
                yield Mistake((workload.kind, key), problem)
