"""What becomes of a picture, held against transformers' own image processors."""

import importlib
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import FormatError, UnsupportedError
from ullage.facts.catalog import find_model
from ullage.facts.config import read_config
from ullage.facts.hub_repository import contents
from ullage.facts.model import open_model
from ullage.facts.pictures import AnyResolution, BestCanvas, LongestEdge, SmartResize, TokenBudget

SIDES = st.integers(1, 6000)


def asked(function, *arguments, **named):
    """What transformers answers, None where it refuses the picture."""
    try:
        return function(*arguments, **named)
    except (ValueError, ZeroDivisionError):
        return None


def laid(rule, width, height):
    try:
        return rule.lay(width, height)
    except UnsupportedError:
        return None


@given(SIDES, SIDES)
@settings(max_examples=300, deadline=None)
def test_qwen_counts_patches_as_its_processor_does(width, height):
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    for patch, least, most in ((14, 56 * 56, 16_384 * 28 * 28), (16, 65_536, 2**24), (14, 3136, 10**6)):
        real = asked(smart_resize, height, width, 2 * patch, least, most)
        picture = laid(SmartResize(patch, 2, 2, least, most), width, height)
        assert (picture and picture.patches) == (real and real[0] * real[1] // patch**2)
        assert picture is None or picture.tokens * 4 == picture.patches


@given(SIDES, SIDES)
@settings(max_examples=200, deadline=None)
def test_glm_counts_patches_as_its_processor_does(width, height):
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    count = Glm4vImageProcessorPil().get_number_of_image_patches
    rule = find_model("zai-org/GLM-4.5V").vision.rule
    picture = laid(rule, width, height)
    assert (picture and picture.patches) == asked(count, height, width)


@given(SIDES, SIDES)
@settings(max_examples=200, deadline=None)
def test_llava_next_counts_tokens_as_its_processor_does(width, height):
    from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches
    from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor

    for name, side in (
        ("llava-hf/llava-v1.6-mistral-7b-hf", 336),
        ("ibm-granite/granite-vision-3.3-2b", 384),
    ):
        rule = find_model(name).vision.rule
        assert isinstance(rule, AnyResolution)
        processor = SimpleNamespace(
            patch_size=14,
            num_additional_image_tokens=0,
            image_processor=SimpleNamespace(image_grid_pinpoints=[list(pair) for pair in rule.resolutions]),
            _get_unpadded_features=lambda *sizes: LlavaNextProcessor._get_unpadded_features(None, *sizes),
        )
        real = asked(LlavaNextProcessor._get_number_of_features, processor, height, width, side, side)
        tiles = image_size_to_num_patches((height, width), [list(pair) for pair in rule.resolutions], side)
        picture = rule.lay(width, height)
        assert (picture.tokens, picture.tiles) == (real, tiles)


@given(SIDES, SIDES)
@settings(max_examples=200, deadline=None)
def test_mistral_3_counts_tokens_as_its_processor_does(width, height):
    import numpy as np
    from transformers.models.pixtral.image_processing_pil_pixtral import get_resize_output_image_size

    rule = find_model("mistralai/Mistral-Small-3.1-24B-Instruct-2503").vision.rule
    assert rule == LongestEdge(14, 2, 1540)
    seen = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (height, width, 3), (0, 0, 0))
    named = {"size": (1540, 1540), "patch_size": (28, 28), "input_data_format": "channels_last"}
    high, wide = get_resize_output_image_size(seen, **named)
    picture = laid(rule, width, height)
    if high and wide:
        assert (picture.features, picture.tokens) == (
            high * wide // 28**2,
            (wide // 28 + 1) * (high // 28),
        )
    else:
        assert picture is None


@given(SIDES, SIDES)
@settings(max_examples=200, deadline=None)
def test_gemma_4_counts_tokens_as_its_processor_does(width, height):
    from transformers.models.gemma4.image_processing_pil_gemma4 import get_aspect_ratio_preserving_size

    for tokens in (70, 280, 1120):
        real = asked(get_aspect_ratio_preserving_size, height, width, 16, tokens * 9, 3)
        picture = laid(TokenBudget(16, 3, tokens), width, height)
        assert (picture and picture.tokens) == (real and real[0] * real[1] // 48**2)
        assert picture is None or picture.patches == tokens * 9 >= picture.tokens * 9


@pytest.fixture(scope="module")
def llama4():
    """transformers' module of Llama 4's image processor, whose resizing alone needs torchvision."""
    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.v2")
    missing = [name for name in names if name not in sys.modules]
    for name in missing:
        sys.modules[name] = ModuleType(name)
    sys.modules["torchvision.transforms.v2"].functional = None
    try:
        yield importlib.import_module("transformers.models.llama4.image_processing_llama4")
    finally:
        for name in missing:
            sys.modules.pop(name)


def test_llama_4_chooses_the_canvas_its_processor_does(llama4):
    import torch

    size = SimpleNamespace(height=336, width=336)
    possible = torch.tensor(llama4.find_supported_resolutions.__wrapped__(16, size))

    @given(SIDES, SIDES, st.booleans())
    @settings(max_examples=200, deadline=None)
    def held(width, height, largest):
        high, wide = llama4.get_best_fit((height, width), possible, resize_to_max_canvas=largest).tolist()
        picture = BestCanvas(336, 14, 144, 16, largest).lay(width, height)
        tiles = high * wide // 336**2
        assert picture.tiles == tiles + (tiles > 1)

    held()


def test_llama_4_writes_the_tokens_its_processor_does():
    from transformers.models.llama4.processing_llama4 import Llama4Processor

    rule = find_model("meta-llama/Llama-4-Scout-17B-16E-Instruct").vision.rule
    for width, height, down, across in ((336, 336, 1, 1), (672, 336, 1, 2), (1000, 2530, 6, 2)):
        text = Llama4Processor._prompt_split_image(None, (down, across), 144)
        assert rule.lay(width, height).tokens == text.count("<|")
        assert rule.lay(width, height).features == text.count("<|patch|>")


def test_processors_hand_over_as_many_pixels():
    import numpy as np
    from PIL import Image
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
    from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    side = {"height": 336, "width": 336}
    processors = {
        "Qwen/Qwen2.5-VL-7B-Instruct": Qwen2VLImageProcessorPil(),
        "google/gemma-3-4b-it": Gemma3ImageProcessorPil(size={"height": 896, "width": 896}),
        "google/gemma-4-26B-A4B": Gemma4ImageProcessorPil(),
        "llava-hf/llava-v1.6-mistral-7b-hf": LlavaNextImageProcessorPil(size=side, crop_size=side),
        "mistralai/Mistral-Small-3.1-24B-Instruct-2503": PixtralImageProcessorPil(
            patch_size={"height": 28, "width": 28}
        ),
    }
    image = Image.fromarray(np.zeros((211, 300, 3), np.uint8))
    for name, processor in processors.items():
        real = np.asarray(processor(image, return_tensors="np")["pixel_values"])
        assert find_model(name).vision.lay((300, 211)).pixels == real.size, name


def test_qwens_tokens_follow_the_size_of_the_picture():
    vision = find_model("Qwen/Qwen2.5-VL-7B-Instruct").vision
    assert vision.lay((1000, 2530)).patches == 12_960
    assert [vision.lay(size).tokens for size in ((224, 224), (1000, 2530), (8000, 8000))] == [
        64,
        3240,
        16_384,
    ]


VL = {
    "model_type": "qwen2_5_vl",
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 10,
    "intermediate_size": 64,
    "vision_config": {"model_type": "qwen2_5_vl", "hidden_size": 32, "out_hidden_size": 64},
}


def test_a_processors_own_limits_outweigh_the_familys():
    for given_limits in ({"max_pixels": 50_176}, {"size": {"shortest_edge": 3136, "longest_edge": 50_176}}):
        vision = read_config(VL | {"preprocessor_config": given_limits}, "m", "test").vision
        assert vision.lay((1000, 1000)).tokens <= 64


def test_a_processors_file_beside_the_config_is_read(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(VL))
    assert open_model(str(tmp_path)).vision.lay((1000, 1000)).tokens == 1296
    (tmp_path / "processor_config.json").write_text('{"image_processor": {"max_pixels": 50176}}')
    assert open_model(str(tmp_path / "config.json")).vision.lay((1000, 1000)).tokens == 64
    (tmp_path / "preprocessor_config.json").write_text('{"max_pixels": 200704}')
    assert open_model(str(tmp_path)).vision.lay((1000, 1000)).tokens == 256


def test_a_hubs_processor_files_are_read():
    class Told:
        name = "owner/model"
        files = dict.fromkeys(
            ("README.md", "processor_config.json", "config.json", "preprocessor_config.json"), 2
        )

        class patience:
            await_each = staticmethod(lambda work, files, at_once: map(work, files))

        def described(self, file):
            return b"{}"

    found = [file for file, _ in contents(None, Told())]
    assert found == ["config.json", "preprocessor_config.json", "processor_config.json"]


def test_what_a_processor_does_otherwise_is_refused_by_name():
    vision = read_config(VL | {"preprocessor_config": {"do_resize": False}}, "m", "test").vision
    with pytest.raises(UnsupportedError, match="do_resize is off"):
        vision.lay((100, 100))
    with pytest.raises(FormatError, match="m: preprocessor_config: max_pixels is 'many'"):
        read_config(VL | {"preprocessor_config": {"max_pixels": "many"}}, "m", "test")
