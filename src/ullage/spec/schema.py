"""JSON Schema of the workload file, for editors."""

from __future__ import annotations

from contextlib import suppress

from pydantic.json_schema import JsonSchemaValue

from ullage.errors import InputError
from ullage.spec.guide_keys import switches
from ullage.spec.installed import all_engines, engine_names
from ullage.spec.parse import Sections
from ullage.spec.rules import DEVICE_NUMBER, GPU, ROLE_NAME
from ullage.spec.workload import Workload


def json_schema(sections: Sections) -> JsonSchemaValue:
    """Draft 2020-12, every kind's own part included.

    Looser than parsing: what depends on other fields (a capture's role, a kind's roles) is not said.
    """
    schema = Workload.model_json_schema()
    definitions, properties = schema["$defs"], schema["properties"]
    del definitions["Section"], properties["section"]
    parts = _parts(sections)
    properties["kind"] = {"enum": list(parts), "description": "the kind of workload"}
    _refine(definitions, properties)
    rules = []
    for kind, part in parts.items():
        definitions |= part.pop("$defs", {})
        properties[kind] = part
        others = {other: False for other in parts if other != kind}
        rules.append({"if": {"properties": {"kind": {"const": kind}}}, "then": {"properties": others}})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Ullage workload",
        "description": "What an LLM workload does, with which models, and what it may spend.",
        "allOf": rules,
    }


def _parts(sections: Sections) -> dict[str, JsonSchemaValue]:
    """Each kind's own part; a kind of another package that has none that works is left out."""
    parts = {}
    for kind in sorted(sections):
        with suppress(InputError):
            parts[kind] = sections[kind]().model_json_schema()
    return parts


def _refine(definitions: JsonSchemaValue, properties: JsonSchemaValue) -> None:
    """Adds what `rules` and `guide_keys` say of single fields."""
    role = definitions["Role"]["properties"]
    by_bits = switches()
    most = sorted(by_bits.items(), reverse=True)
    role["use_quantized"] = {
        "type": "boolean",
        "description": f"with quantization_bits: {' or '.join(str(bits) for bits, _ in most)}",
    }
    role["quantization_bits"] = {
        "enum": list(by_bits),
        "description": ", ".join(f"{bits} means {name}" for bits, name in most),
    }
    role["quantization"] = {
        "enum": [f"{bits}bit" for bits in by_bits],
        "description": ", ".join(f"{bits}bit means {name}" for bits, name in most),
    }
    role["engine"] |= {"enum": list(engine_names()), "description": "what runs the model"}
    for engine in all_engines():
        part = engine.settings.model_json_schema()
        definitions |= part.pop("$defs", {})
        role.setdefault(engine.name, part)
    role["placement"] |= {
        "anyOf": [
            {"type": "string", "pattern": f"^(auto|balanced|cpu|{GPU})$"},
            {"type": "array", "items": {"type": "string", "pattern": f"^{GPU}$"}, "minItems": 1},
        ]
    }
    role["max_memory"]["propertyNames"] = {"pattern": f"^({DEVICE_NUMBER}|cpu|disk)$"}
    role["device_map"]["additionalProperties"] = {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": f"^({DEVICE_NUMBER}|cpu|disk)$"},
        ]
    }
    definitions["Capture"]["properties"]["sites"]["minItems"] = 1
    properties["roles"] |= {
        "additionalProperties": {"anyOf": [{"$ref": "#/$defs/Role"}, {"type": "string"}]},
        "propertyNames": {"pattern": f"^{ROLE_NAME}$"},
        "minProperties": 1,
    }
