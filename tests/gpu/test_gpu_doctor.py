"""A diagnosis of a machine with a CUDA GPU: skipped where there is none."""

import pytest

import ullage

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


@pytest.fixture(scope="module")
def found():
    return ullage.doctor()


def test_the_driver_and_torch_see_the_same_cards(found):
    visible = [card for card in found.cards.cards if card.visible]
    seen = found.tried["torch"].torch.cards
    assert len(visible) == len(seen) == torch.cuda.device_count()
    assert {card.capability for card in visible} == {card.capability for card in seen}
    assert found.cards.driver
    assert found.tried["torch"].torch.cuda == torch.version.cuda


def test_every_card_computes_and_is_copied_to_faster_from_pinned_memory(found):
    for card in found.tried["torch"].torch.cards:
        assert card.problem == ""
        assert 1e9 < card.copies.pageable < 1.2 * card.copies.pinned


def test_weights_are_quantized_on_the_card_too(found):
    pytest.importorskip("bitsandbytes")
    assert found.tried["bitsandbytes"].works_on == ("cpu", "cuda:0")


def test_nothing_is_wrong_with_its_cards_and_a_small_file_can_be_run(found):
    (part,) = [part for part in found.parts if part.name == "cards"]
    assert [each for each in part.findings if each.state == "problem"] == []
    tiny = {"model": "ullage:tiny"}
    file = {"kind": "assistant", "roles": dict.fromkeys(("router", "voice", "near"), tiny), "assistant": {}}
    file |= {"prompt_tokens": 256, "new_tokens": 32}
    readiness = ullage.doctor(file, quick=True).file
    assert readiness.runs
    assert readiness.fits
    assert {where for role in readiness.roles for where in role.device_map.values()} == {"gpu:0"}
