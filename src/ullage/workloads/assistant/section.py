"""The `assistant:` part of a workload file."""

from __future__ import annotations

from ullage.spec.value import Value


class Section(Value):
    """Which role does what; every other role is a specialist."""

    router: str = "router"
    voice: str = "voice"
