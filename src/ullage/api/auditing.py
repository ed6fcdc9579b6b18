"""Claims of documents, held against plans."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import InputError, SpecError, UllageError
from ullage.planning.audit import Audit, Finding, judge, judge_verdict
from ullage.planning.claimed import PER_TOKEN, amount_in
from ullage.units import Estimate

if TYPE_CHECKING:
    from ullage.planning.plan import Plan
    from ullage.spec.claim import Claim
    from ullage.spec.claim_file import Entry
    from ullage.spec.workload import Workload

GPUS: Final = "1xB300-SXM"
"""The card that a claim about sizes is planned on where it names none: large, so that little is placed
elsewhere."""
STEP: Final = 256
"""Tokens of prompt by which two plans differ of which a cache's bytes per token are the difference."""


def audit(path: str | Path) -> Audit:
    """What becomes of each claim in a file, on any machine: past runs here do not count.

    Raises SpecError and InputError for what is no file of claims.
    """
    from ullage.spec.claim_file import read_claims
    from ullage.workloads.learned import as_anywhere

    held = read_claims(Path(path))
    plans = _Plans(held.workloads, Path(path).parent)
    with as_anywhere():
        findings = tuple(_finding(each, plans) for each in held.entries)
    return Audit(held.path, held.document, held.source, held.note, findings)


def draft_claims(path: str | Path) -> str:
    """Claims found in a document's tables, as a file of claims to be confirmed. Raises InputError."""
    from ullage.spec.claim_draft import drafted

    return drafted(Path(path))


class _Plans:
    """Plans that claims are about, each made once."""

    def __init__(self, workloads: Mapping[str, Mapping[str, object]], base: Path) -> None:
        self._workloads = workloads
        self._base = base
        self._made: dict[tuple[object, ...], Plan] = {}

    def of(self, claim: Claim, settings: tuple[str, ...] = ()) -> Plan:
        """The plan of a claim, with more `settings`. Raises UllageError where there is none."""
        from ullage.workloads.planned import plan

        key: tuple[object, ...] = (
            claim.model,
            claim.workload,
            claim.precision,
            claim.prompt_tokens,
            claim.new_tokens,
        )
        key += (claim.batch, claim.set, settings, claim.gpus)
        if key not in self._made:
            workload = self._workload(claim, settings)
            gpus = claim.gpus or workload.budget.gpus or GPUS
            self._made[key] = plan(workload, gpus, base=self._base, advice=False)
        return self._made[key]

    def _workload(self, claim: Claim, settings: tuple[str, ...]) -> Workload:
        from ullage.api.one_model import bare_workload
        from ullage.workloads.loading import load

        if claim.workload is not None:
            try:
                return load(self._workloads[claim.workload], (*claim.set, *settings))
            except SpecError as error:
                raise SpecError(f"workload {claim.workload}: {each}" for each in error.mistakes) from error
        assert claim.model is not None
        given = {key: getattr(claim, key) for key in ("prompt_tokens", "new_tokens", "batch")}
        fields = {key: value for key, value in given.items() if value is not None}
        if claim.precision is not None:
            fields["precision"] = claim.precision
        return bare_workload(claim.model, base=self._base, set_=(*claim.set, *settings), **fields)


def _finding(entry: Entry, plans: _Plans) -> Finding:
    claim = entry.claim
    if claim is None:
        return Finding(entry.line, None, "not decidable", said="; ".join(entry.mistakes))
    amount = claim.amount()
    if claim.unconfirmed:
        return Finding(entry.line, claim, "unconfirmed", amount)
    if claim.missing:
        return Finding(entry.line, claim, "not decidable", amount, said=claim.missing, stated=True)
    try:
        if amount.fits is not None:
            plan = plans.of(claim)
            judged = judge_verdict(amount, plan.verdict)
            left = min((each.ullage for each in plan.devices if each.ullage is not None), default=None)
            return Finding(entry.line, claim, judged.ruling, amount, verdict=plan.verdict, ullage=left)
        computed = _computed(claim, plans, saved=amount.measure == "share")
        _check_measure(claim, amount.measure)
        judged = judge(amount, computed)
    except UllageError as error:
        return Finding(entry.line, claim, "not decidable", amount, said="; ".join(str(error).splitlines()))
    return Finding(entry.line, claim, judged.ruling, amount, computed, judged.off)


def _check_measure(claim: Claim, measure: str) -> None:
    """Raises InputError where what is claimed is no size, and what is computed is, or the other way round."""
    due = {"seconds": "seconds", "tokens_per_second": "tokens per second"}.get(claim.metric, "bytes")
    if measure == "share":
        if not claim.compared_with:
            raise InputError("a share of what? give compared_with: the settings that it is compared with")
    elif measure != due:
        raise InputError(f"metric: {claim.metric} is {due}, and {claim.claimed} is {measure}")


def _computed(claim: Claim, plans: _Plans, *, saved: bool) -> Estimate:
    """What the claim is about; with `compared_with` what more it takes, or the share that is saved."""

    def of(*settings: str) -> Estimate:
        found = amount_in(plans.of(claim, settings), metric, claim.on, claim.role)
        return found * claim.copies

    metric = claim.metric
    if metric == PER_TOKEN:
        return _per_token(claim, plans) * claim.copies
    if not claim.compared_with:
        return of()
    return _compared(of(), of(*claim.compared_with), saved=saved)


def _compared(one: Estimate, other: Estimate, *, saved: bool) -> Estimate:
    """End by end, since both lie at the same end for the same reason."""
    if saved and min(other) <= 0:
        raise InputError("compared_with: it takes nothing there, so no share of it is saved")
    ends = [1 - a / b if saved else a - b for a, b in zip(one, other, strict=True)]
    low, expected, high = sorted(ends)
    return Estimate(low, expected, high)


def _per_token(claim: Claim, plans: _Plans) -> Estimate:
    """Bytes of one role's cache for one more token of one sequence."""
    plan = plans.of(claim)
    role = claim.role or _with_cache(plan)
    amount_in(plan, "kv_cache", claim.on, role)  # raises for a role or a card that there is not
    own = plan.workload.roles[role]
    tokens = own.prompt_tokens or plan.workload.prompt_tokens
    # Both lengths are given: a role that is given none may read more than the workload's.
    shorter, longer = (
        amount_in(plans.of(claim, (f"roles.{role}.prompt_tokens={length}",)), "kv_cache", claim.on, role)
        for length in (tokens, tokens + STEP)
    )
    added = _compared(longer, shorter, saved=False)
    if not added.high:
        raise InputError(f"metric: the cache of role {role} does not grow with its prompt")
    return added * (1 / (STEP * (own.batch or plan.workload.batch)))


def _with_cache(plan: Plan) -> str:
    """The role whose cache it is, where there is one. Raises InputError."""
    items = (item for item in plan.bill.items if item.component == "kv_cache" and item.bytes.high)
    found = list(dict.fromkeys(item.role for item in items))
    if len(found) != 1:
        said = ", ".join(found)
        raise InputError(f"role: name the one whose cache it is: {said}" if found else "no role has a cache")
    return found[0]
