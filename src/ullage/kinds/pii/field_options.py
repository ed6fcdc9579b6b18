"""`--fields text=body,candidates=hits`: where records hold what, from the command line."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.errors import InputError, nearest
from ullage.kinds.pii.section import RecordFields


def fields_from(options: Sequence[str]) -> dict[str, str | tuple[str, ...]]:
    """What `pii.fields` holds in a workload file. `ignored` may be given several times.

    Raises InputError for what is no field=name, a field that records do not have, and one given twice.
    """
    found: dict[str, str | tuple[str, ...]] = {}
    ignored: list[str] = []
    known = list(RecordFields.model_fields)
    for given in (one for option in options for one in option.split(",") if one.strip()):
        field, equals, name = (part.strip() for part in given.partition("="))
        if not equals or not name:
            raise InputError(f"--fields {given}: is not like text=body; give {', '.join(known)}")
        if field not in known:
            close = ", ".join(nearest(field, known)) or ", ".join(known)
            raise InputError(f"--fields {given}: records have no {field}; nearest: {close}")
        if field == "ignored":
            ignored.append(name)
        elif field in found:
            raise InputError(f"--fields: {field} is given twice, as {found[field]} and {name}")
        else:
            found[field] = name
    return {**found, "ignored": tuple(ignored)} if ignored else found
