"""JSON Schema of the workload file, for editors."""

from __future__ import annotations

from typing import Any

from ullage.spec.parse import Sections
from ullage.spec.workload import Workload


def json_schema(sections: Sections) -> dict[str, Any]:
    """Draft 2020-12, every kind's own part included."""
    schema = Workload.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    properties = schema["properties"]
    properties.pop("section", None)
    properties["kind"] = {"enum": sorted(sections), "description": "the kind of workload"}
    rules = []
    for kind, section in sorted(sections.items()):
        part = section().model_json_schema()
        definitions |= part.pop("$defs", {})
        properties[kind] = part
        rules.append(
            {
                "if": {"properties": {"kind": {"const": kind}}},
                "then": {"properties": {other: False for other in sections if other != kind}},
            }
        )
    role = definitions["Role"]["properties"]
    role["use_quantized"] = {"type": "boolean"}
    role["quantization_bits"] = {"enum": [4, 8]}
    role["quantization"] = {"enum": ["4bit", "8bit"]}
    properties["roles"]["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/Role"}, {"type": "string"}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ullage workload",
        **{key: value for key, value in schema.items() if key != "title"},
        "allOf": rules,
    }
