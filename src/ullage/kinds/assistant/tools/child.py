"""The process of one call of a user's function: it imports the function, describes or calls it, and says so.

Run as a script, without Ullage: FOLDER MODULE FUNCTION SECONDS BYTES RESULT. The arguments of a call are JSON
on standard input; nothing there asks for a description. What came of it is one JSON object, written to the
file whose number is RESULT.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, get_type_hints

LONGEST_TOLD = 300

Function = Callable[..., object]


class Refused(Exception):
    """What cannot be done, in a line."""


def main() -> None:
    """Does what it was started for, once."""
    folder, module, name, seconds, size, result = sys.argv[1:7]
    asked = sys.stdin.buffer.read()
    own = os.getpid()
    try:
        limit(int(seconds), int(size))
        import pydantic  # noqa: F401 before anything in the folder can take the name of a part of it

        function = found(folder, module, name)
        done = called(function, json.loads(asked)) if asked else described(function)
        told = json.dumps(done, allow_nan=False).encode()
    except Refused as error:
        told = json.dumps({"refused": str(error)}).encode()
    except BaseException as error:
        words = " ".join(str(error).split())[:LONGEST_TOLD]
        told = json.dumps(
            {"raised": f"{type(error).__name__}: {words}" if words else type(error).__name__}
        ).encode()
    if os.getpid() == own:  # and not a process that the function forked
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        write(int(result), told)
    os._exit(0)  # whatever threads the function left


def limit(seconds: int, size: int) -> None:
    """Processor time and addresses of this process and of those it starts, each."""
    for what, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, size), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        held = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (held, held))


def write(result: int, told: bytes) -> None:
    """Writes it all, though a pipe takes it piece by piece."""
    while told:
        told = told[os.write(result, told) :]


def found(folder: str, module: str, name: str) -> Function:
    """The function, imported from `folder` or from what is installed. Raises Refused."""
    sys.path.insert(0, folder)
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise Refused(
                f"there is no module {module} in the file's folder, and none is installed"
            ) from error
        raise
    function: Function | None = getattr(imported, name, None)
    if function is None:
        raise Refused(f"module {module} has no {name}")
    if not callable(function) or inspect.isclass(function) or inspect.iscoroutinefunction(function):
        raise Refused(f"{module}:{name} is no function (nor may it be a class, or async)")
    return function


def fields_of(function: Function) -> dict[str, tuple[object, object]]:
    """Each parameter's type and default. Raises Refused for what no schema can say, naming it."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise Refused(f"its annotations cannot be read: {error}") from error
    found: dict[str, tuple[object, object]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise Refused(f"parameter {name} cannot be given by name")
        if name.startswith("_"):
            raise Refused(f"parameter {name} begins with _, which no schema names")
        if name not in hints:
            raise Refused(f"parameter {name} has no annotation")
        annotated = hints[name]
        texts = [one for one in getattr(annotated, "__metadata__", ()) if isinstance(one, str)]
        if texts:
            from pydantic import Field

            annotated = Annotated[annotated, Field(description=texts[0])]
        default = ... if parameter.default is parameter.empty else parameter.default
        check(name, annotated)
        found[name] = (annotated, default)
    return found


def check(name: str, annotated: object) -> None:
    """Raises Refused for a type that no schema says, or of which it says nothing."""
    from pydantic import TypeAdapter

    try:
        schema = TypeAdapter(annotated).json_schema()  # type: ignore[arg-type]
    except Exception as error:
        words = str(error).splitlines()[0][:LONGEST_TOLD]
        raise Refused(f"parameter {name} cannot be described: {words}") from error
    if not schema.keys() & {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}:
        raise Refused(f"parameter {name} may be anything; give it a type")


def described(function: Function) -> Mapping[str, object]:
    """What a model is told of the function."""
    from pydantic import ConfigDict, create_model

    fields = fields_of(function)
    model = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]
    schema = {key: value for key, value in model.model_json_schema().items() if key != "title"}
    told = (inspect.getdoc(function) or "").split("\n\n")[0]
    return {"description": " ".join(told.split()), "parameters": schema}


def called(function: Function, arguments: object) -> Mapping[str, object]:
    """What the function gives back. Raises Refused for arguments that are not those of its schema."""
    from pydantic import ConfigDict, ValidationError, create_model

    fields = fields_of(function)
    model = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)  # type: ignore[call-overload]
    try:
        given = model.model_validate_json(json.dumps(arguments), strict=True)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Refused(f"its arguments are wrong: {told[:LONGEST_TOLD]}") from error
    back = function(**{name: getattr(given, name) for name in fields})
    try:
        json.dumps(back, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"it gave back a {type(back).__name__} that is no JSON") from error
    return {"back": back}


if __name__ == "__main__":
    main()
