"""What a body may say. A field that would change the answer and is not done is in none of these, and is
refused by its name; those that change nothing here are taken."""

# Annotations are not postponed here: FastAPI and pydantic read them.

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

MOST_MESSAGES = 10_000
MOST_STOPS = 4
MOST_CHOICES = 128
Text = Annotated[str, Field(max_length=2**24)]
Name = Annotated[str, Field(max_length=2**12)]
"""With a bound pydantic looks at its characters: halves of some are refused."""
Metadata = Annotated[dict[Name, Name], Field(max_length=16)]


def _spelt(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The same, once it is known that it can be written down: no NaN, no half of a character."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("holds what JSON in UTF-8 cannot spell") from None
    return value


class Body(BaseModel):
    """Nothing but what is named here."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(Body):
    type: Literal["text"]
    text: Text


class ImageUrl(Body):
    url: Annotated[str, Field(max_length=2**28)] = Field(
        description="data:image/...;base64,... - nothing is fetched from anywhere"
    )
    detail: Literal["auto", "low", "high"] | None = Field(None, description="changes nothing here")


class ImagePart(Body):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Texts = Text | Annotated[list[TextPart], Field(min_length=1)]


class SystemMessage(Body):
    role: Literal["system", "developer"]
    content: Texts


class UserMessage(Body):
    role: Literal["user"]
    content: Text | Annotated[list[Part], Field(min_length=1)]


class CalledFunction(Body):
    name: Name
    arguments: Text


class MadeCall(Body):
    id: Name
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(Body):
    """As the official client gives it back; what is null there is nothing."""

    role: Literal["assistant"]
    content: Texts | None = None
    refusal: None = None
    annotations: Annotated[list[JsonValue], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[MadeCall], Field(min_length=1)] | None = None


class ToolMessage(Body):
    role: Literal["tool"]
    content: Texts
    tool_call_id: Name


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class Function(Body):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Text | None = None
    parameters: Annotated[dict[str, JsonValue], AfterValidator(_spelt)] | None = Field(
        None, description="JSON Schema of its arguments"
    )
    strict: Literal[False] | None = None


class Tool(Body):
    type: Literal["function"]
    function: Function


class ChosenFunction(Body):
    name: Name


class ChosenTool(Body):
    type: Literal["function"]
    function: ChosenFunction


class StreamOptions(Body):
    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


class TextFormat(Body):
    type: Literal["text"]


class ChatRequest(Body):
    """A chat completion, as `POST /v1/chat/completions` of OpenAI's takes it."""

    model: Name = Field(description="a role")
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="default 0: the likeliest token"
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=MOST_STOPS)]
        | None
    ) = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] | None = None
    tool_choice: Literal["auto", "none", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = Field(
        None, description="answers, drawn apart: beyond 1 at a temperature, and up to the role's batch"
    )
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    logit_bias: Annotated[dict[Name, float], Field(max_length=0)] | None = None
    response_format: TextFormat | None = None
    user: Name | None = None
    safety_identifier: Name | None = None
    prompt_cache_key: Name | None = None
    service_tier: Literal["auto", "default"] | None = None
    metadata: Metadata | None = None
    store: bool | None = None


class InputText(Body):
    type: Literal["input_text"]
    text: Text


class InputImage(Body):
    type: Literal["input_image"]
    image_url: Annotated[str, Field(max_length=2**28)] = Field(
        description="data:image/...;base64,... - nothing is fetched from anywhere"
    )
    detail: Literal["auto", "low", "high"] | None = Field(None, description="changes nothing here")


class OutputText(Body):
    """A text that was answered earlier, as it was given."""

    type: Literal["output_text"]
    text: Text
    annotations: Annotated[list[JsonValue], Field(max_length=0)] = []
    logprobs: Annotated[list[JsonValue], Field(max_length=0)] | None = None


InputTexts = Text | Annotated[list[InputText], Field(min_length=1)]
InputPart = Annotated[InputText | InputImage, Field(discriminator="type")]


class SystemInput(Body):
    type: Literal["message"] = "message"
    role: Literal["system", "developer"]
    content: InputTexts


class UserInput(Body):
    type: Literal["message"] = "message"
    role: Literal["user"]
    content: Text | Annotated[list[InputPart], Field(min_length=1)]


class AssistantInput(Body):
    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: Text | Annotated[list[OutputText], Field(min_length=1)]
    id: Name | None = None
    status: Literal["completed", "incomplete"] | None = None
    phase: None = None


Input = Annotated[SystemInput | UserInput | AssistantInput, Field(discriminator="role")]


class TextOptions(Body):
    format: TextFormat | None = None


class ResponseRequest(Body):
    """A response, as `POST /v1/responses` of OpenAI's takes it: texts and pictures; nothing is kept here."""

    model: Name = Field(description="a role")
    input: Text | Annotated[list[Input], Field(min_length=1, max_length=MOST_MESSAGES)]
    instructions: Text | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="default 0: the likeliest token"
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stream: bool | None = None
    text: TextOptions | None = None
    truncation: Literal["disabled"] | None = None
    background: Literal[False] | None = None
    store: bool | None = Field(None, description="changes nothing: no response is kept")
    user: Name | None = None
    safety_identifier: Name | None = None
    prompt_cache_key: Name | None = None
    service_tier: Literal["auto", "default"] | None = None
    metadata: Metadata | None = None


class EmbeddingRequest(Body):
    """Vectors of texts, as `POST /v1/embeddings` of OpenAI's takes them."""

    model: Name = Field(description="a role")
    input: (
        Annotated[Text, Field(min_length=1)]
        | Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    user: Name | None = None


class ImageRequest(Body):
    """A picture, as `POST /v1/images/generations` of OpenAI's takes it."""

    model: Name = Field(description="a role that paints")
    prompt: Annotated[Text, Field(min_length=1, pattern=r"\S")]
    size: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$")] | None = Field(
        None, description="what the role is planned for, which is the default"
    )
    n: Literal[1] | None = None
    response_format: Literal["b64_json"] | None = None
    user: Name | None = None


class StatesRequest(Body):
    """Hidden states of a text, at the sites that the file captures of the role."""

    model: Name = Field(description="a role")
    text: Annotated[Text, Field(min_length=1)]
    sites: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=1000)] = Field(
        [], description="names or patterns, as blocks.3.* ; none: all that the file captures"
    )
