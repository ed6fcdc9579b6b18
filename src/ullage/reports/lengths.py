"""The lengths and batches that a plan's numbers hold for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.spec.role import Role


def lengths_of(plan: Plan) -> str:
    """Tokens of the workload's prompts and answers, batches of its roles, and how many examples."""
    workload = plan.workload
    batches = sorted({role.batch or workload.batch for role in workload.roles.values()})
    shown = f"{batches[0]}" if len(batches) == 1 else f"{batches[0]} to {batches[-1]}"
    count = f"{workload.examples:,} example{'s' if workload.examples != 1 else ''}"
    new = workload.new_tokens if any(phase.work.new_tokens for phase in plan.phases) else 0
    return f"{workload.prompt_tokens:,} tokens of prompt, {new:,} new, batch {shown}, {count}"


def own_lengths(role: Role) -> tuple[str, ...]:
    """Those that a role sets for itself."""
    own = (
        (role.prompt_tokens, "{:,} tokens of prompt"),
        (role.new_tokens, "{:,} new"),
        (role.batch, "batch {:,}"),
    )
    return tuple(form.format(value) for value, form in own if value is not None)
