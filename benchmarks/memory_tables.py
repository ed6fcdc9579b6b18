"""What an assistant's memory withstood, as a section of docs/measured.md."""

from __future__ import annotations

from result_file import figures


def remembered(kills: str) -> str:
    """Killed memories; `kills` says how made."""
    found = figures("memory_kills")
    return f"""## An assistant's memory, killed

{kills}: {found["kills"]} processes that added and forgot notes were killed at random moments. Of {found["added"]:,} notes that they told of,
{found["forgotten"]:,} of them as forgotten, {found["lost"]} were lost and {found["back"]} came back; {found["traces"]} traces of forgotten texts were in the files.
{found["beginnings_used"]} of {found["beginnings"]} memories that were killed while they were made could be used afterwards.
"""
