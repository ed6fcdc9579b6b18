"""What documents look like."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import GenerateJsonSchema

from ullage.documents import adapter, header

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "audit": ("ullage.reports.audit_document:AuditDocument",),
    "chat-reply": ("ullage.workloads.said:ReplyDocument",),
    "check": ("ullage.reports.run_page:CheckDocument",),
    "cluster": ("ullage.planning.cluster.cluster_plan:ClusterPlan",),
    "diagnosis": ("ullage.reports.doctor_document:DiagnosisDocument",),
    "estimate": ("ullage.planning.document:PlanDocument",),
    "evidence": ("ullage.reports.evidence_document:EvidenceDocument",),
    "gpu-sets": ("ullage.reports.renting_document:RentingDocument",),
    "gpus": ("ullage.reports.gpu_document:GpusDocument",),
    "guide": ("ullage.reports.pages.document:PageDocument",),
    "model": ("ullage.reports.model_document:ModelDocument",),
    "models": ("ullage.reports.model_document:ModelsDocument",),
    "plan": ("ullage.planning.document:PlanDocument", "ullage.records.seal:Sealed"),
    "pool": ("ullage.records.pool:PoolSeen", "ullage.records.pool_of_run:BesidePool"),
    "probe": ("ullage.probes.card:CardDocument", "ullage.records.seal:MaybeSealed"),
    "probe-drift": ("ullage.probes.documents:DriftDocument",),
    "probe-evaluation": ("ullage.probes.documents:EvaluationDocument",),
    "probe-fit": ("ullage.probes.documents:FitDocument",),
    "probe-scores": ("ullage.probes.documents:ScoresDocument",),
    "record": ("ullage.records.record:Record", "ullage.records.folder:BesideRecord"),
    "run": ("ullage.records.manifest:Manifest", "ullage.records.seal:Sealed"),
    "run-check": ("ullage.reports.run_page:RunCheckDocument",),
    "states": ("ullage.capture.index:StatesDocument", "ullage.records.seal:Sealed"),
    "status": ("ullage.records.status:RunStatus",),
    "sweep": ("ullage.reports.sweep_document:SweepDocument",),
    "trace": ("ullage.reports.trace_document:TraceDocument",),
    "verification": ("ullage.reports.verification_page:VerificationDocument",),
}
"""The type of each document of Ullage's own, by the word that it begins with; after it what may stand beside.
Kinds bring their own."""


def document_schema(kind: str) -> dict[str, Any]:
    """JSON Schema of the documents that begin with `{"document": kind}`; docs/json.md names them.

    Raises UnknownNameError.
    """
    from ullage.errors import UnknownNameError
    from ullage.workloads.registry import kind_documents

    of_kinds = {} if kind in PLACES else kind_documents()
    if kind not in PLACES and kind not in of_kinds:
        known = sorted({*PLACES, *of_kinds})
        raise UnknownNameError("document", kind, known, f"There are: {', '.join(known)}")
    types = [_at(place) for place in PLACES[kind]] if kind in PLACES else [of_kinds[kind]]
    return {"$schema": GenerateJsonSchema.schema_dialect, **_schema(kind, types)}


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _schema(word: str, types: list[Any]) -> dict[str, Any]:
    """The fields of all `types` after a document's own two; no others."""
    heading = {name: {"const": value} for name, value in header(word).items()}
    merged: dict[str, Any] = {"properties": heading, "required": list(heading), "$defs": {}}
    for each in types:
        found = adapter(each).json_schema(mode="serialization", schema_generator=_Closed)
        merged["properties"] |= found["properties"]
        merged["required"] += found.get("required", [])
        merged["$defs"] |= found.get("$defs", {})
    required = list(dict.fromkeys(merged["required"]))
    return {"type": "object", **merged, "required": required, "additionalProperties": False}


class _Closed(GenerateJsonSchema):
    """Objects have these fields and no others, all of them. A whole number is a count, or bytes, and never
    negative; but those of a workload file (its pydantic models) say themselves what they may be."""

    _written = False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        return field["type"] != "typed-dict-field" or field.get("required", total)

    def field_title_should_be_set(self, schema: object) -> bool:
        return False

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _closed(super().dataclass_schema(schema))

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return _closed(super().typed_dict_schema(schema))

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        self._written, outside = True, self._written
        try:
            return super().model_schema(schema)
        finally:
            self._written = outside

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return ({} if self._written else {"minimum": 0}) | super().int_schema(schema)


def _closed(schema: JsonSchemaValue) -> JsonSchemaValue:
    return {key: value for key, value in schema.items() if key != "title"} | {"additionalProperties": False}
