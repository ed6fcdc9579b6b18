"""How a model on a hub is named."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

NAME: Final = re.compile(
    r"(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w./-]+\.gguf))?(?:@(?P<revision>[\w./-]+))?"
)
COMMIT: Final = re.compile("[0-9a-f]{40}")


class HubName(NamedTuple):
    """`OWNER/NAME`, `OWNER/NAME/FILE.gguf`, each with or without `@REVISION`."""

    repository: str
    file: str | None
    revision: str | None

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return self.revision is not None and COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> str:
        """The same, at a commit."""
        return f"{self.repository}{f'/{self.file}' if self.file else ''}@{commit}"


def hub_name(text: str) -> HubName | None:
    """What `text` names on a hub, None where it cannot be a repository's name."""
    found = NAME.fullmatch(text)
    if found is None or ".." in text:
        return None
    return HubName(found["repository"], found["file"], found["revision"])


def is_at_commit(name: str) -> bool:
    """Whether a model's name says which commit of which repository it is."""
    found = hub_name(name)
    return found is not None and found.pinned
