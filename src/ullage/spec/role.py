"""A model's part in a workload."""

# Annotations are not postponed here: pydantic and NamedTuple would compile every one of them at each start.

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, PydanticKnownError
from pydantic_core.core_schema import ErrorType

from ullage.spec.engine import EngineDescription, Settings
from ullage.spec.installed import engine_names, find_engine, is_engine, usual_settings
from ullage.spec.precision import Precision
from ullage.spec.rope import RopeScaling
from ullage.spec.value import Count, Switch, Tokens, Value

AttentionKernel = Literal["auto", "flash", "sdpa", "sdpa-math", "eager"]
Residency = Literal["auto", "persistent", "swapped", "host", "disk"]
CacheKind = Literal["dynamic", "static", "quantized"]
CachePrecision = Literal["auto", "fp32", "fp16", "bf16", "fp8", "int8", "int4", "int2"]


def _installed(name: object) -> object:
    if not is_engine(name):
        names = ", ".join(f"'{known}'" for known in engine_names())
        raise PydanticKnownError("literal_error", {"expected": names})
    return name


def _sides(given: object) -> object:
    """1000x2530 as [1000, 2530]."""
    if isinstance(given, str):
        width, _, height = given.partition("x")
        if width.isdecimal() and height.isdecimal():
            return int(width), int(height)
    return given


PictureSize = Annotated[
    tuple[Count, Count], BeforeValidator(_sides, json_schema_input_type=tuple[Count, Count] | str)
]


class Cache(Value):
    """The key-value cache of a role."""

    kind: CacheKind = "dynamic"
    precision: CachePrecision = Field(default="auto", description="auto: the compute dtype")


class Role(Value):
    """One model and how it is to be held and run.

    `placement` is `auto` (one GPU where it fits), `balanced` (over all GPUs, as accelerate's), one device
    (`gpu:0`, `cpu`) or a list of GPUs the layers are split over.
    `max_memory` bounds what the role may take per device, as accelerate's option of that name; `device_map`
    says in its form where every module goes, and leaves nothing to be placed.
    Work left None falls back to the workload's own. An engine's settings stand under a key named like it.
    """

    model: str = Field(description="ullage:tiny, a catalog name, hub id, folder, config.json or .gguf file")
    precision: Precision = "auto"
    fallback_precisions: tuple[Precision, ...] = Field(
        default=(), description="tried in this order where the plan does not fit: as [int8, nf4]"
    )
    engine: Annotated[str, BeforeValidator(_installed)] = "transformers"
    attention: AttentionKernel = "auto"
    placement: str | tuple[str, ...] = "auto"
    max_memory: dict[str, str | Annotated[int, Field(strict=True)]] | None = None
    llm_int8_enable_fp32_cpu_offload: Switch = Field(
        default=False, description="what max_memory leaves in host memory is not quantized, and may be there"
    )
    device_map: dict[str, str | Annotated[int, Field(strict=True)]] | None = Field(
        default=None, description="modules and the GPU's number, cpu or disk each goes to, as accelerate's"
    )
    residency: Residency = "auto"
    cache: Cache = Cache()
    tensor_parallel: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    trust_remote_code: Switch = False
    rope: RopeScaling | None = Field(
        default=None, description="stretches rotary positions: KIND:FACTOR, as yarn:4, linear:2, dynamic:2"
    )

    batch: Count | None = None
    prompt_tokens: Tokens | None = None
    new_tokens: Tokens | None = None
    images: Annotated[int, Field(strict=True, ge=0, le=10_000)] = Field(default=0, description="per sequence")
    image_size: PictureSize = Field(default=(1024, 1024), description="width, height in pixels: 1000x2530")
    steps: Count = Field(default=4, description="denoising steps of a diffusion role")
    labels: tuple[str, ...] = Field(
        default=(), description="what an encoder scores texts by; taken from its config when a plan is made"
    )

    _settings: Settings | None = PrivateAttr(default=None)

    def __hash__(self) -> int:
        """Of the fields that candidates differ in: plans are asked for by the thousand."""
        limits = None if self.max_memory is None else tuple(self.max_memory)
        return hash((self.model, self.engine, self.precision, self.attention, self.batch, limits))

    @property
    def runs_with(self) -> EngineDescription:
        """The engine itself."""
        return find_engine(self.engine)

    @property
    def settings(self) -> Settings:
        """The engine's own part of this role."""
        usual = usual_settings(self.engine)
        if type(usual) is Settings:  # which says nothing
            return usual
        given = self._settings
        return given if type(given) is type(usual) else usual

    def naming(self, names: Mapping[str, str]) -> Self:
        """This role, with the models it names under other names."""
        named = self.model_copy(update={"model": names.get(self.model, self.model)})
        if self._settings is not None:
            named._settings = self._settings.naming(names)
        return named

    def with_settings(self, settings: Settings) -> Self:
        """This role, with another part of its engine's own."""
        changed = self.model_copy()
        changed._settings = settings
        return changed

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, data: object, build: ModelWrapValidatorHandler[Self]) -> Self:
        """The role, its engine's own part read by that engine's settings.

        Another engine's part may only repeat that engine's defaults, as a written-out role of older versions.
        """
        if not isinstance(data, dict):
            return build(data)
        parts = {key: part for key, part in data.items() if key not in cls.model_fields and is_engine(key)}
        engine = data.get("engine", cls.model_fields["engine"].default)
        wrong: list[InitErrorDetails] = []
        settings: Settings | None = None
        for name, part in parts.items():
            try:
                given = find_engine(name).settings.model_validate(part)
            except ValidationError as error:
                wrong += _told(error, name)
                continue
            if given == usual_settings(name):
                continue
            if name == engine:
                settings = given
            elif is_engine(engine):
                wrong.append(InitErrorDetails(type=_no_effect(name, engine), loc=(name,), input=part))
        try:
            role = build({key: value for key, value in data.items() if key not in parts})
        except ValidationError as error:
            if not wrong:
                raise
            wrong += _told(error)
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        role._settings = settings
        return role

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, object]:
        found: dict[str, object] = write(self)
        if type(self.settings).model_fields:
            found[self.engine] = self.settings.model_dump(mode=info.mode)
        return found


def _told(error: ValidationError, *within: str) -> list[InitErrorDetails]:
    """The mistakes of `error` as those of something that holds, under `within`, what was read."""
    return [
        InitErrorDetails(
            type=_type_of(each),
            loc=(*within, *each["loc"]),
            input=each["input"],
            ctx=each.get("ctx", {}),
        )
        for each in error.errors(include_url=False)
    ]


def _type_of(error: ErrorDetails) -> str | PydanticCustomError:
    """pydantic's own kinds by name, ours with what they say."""
    if error["type"] in get_args(ErrorType):
        return error["type"]
    return PydanticCustomError(error["type"], "{said}", {"said": error["msg"]})


def _no_effect(name: str, engine: str) -> PydanticCustomError:
    return PydanticCustomError(
        "no_effect",
        "has no effect with engine: {engine}; give engine: {name}, or remove it",
        {"engine": engine, "name": name},
    )
