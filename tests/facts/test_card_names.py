"""What people and drivers call cards, and how their memory is known."""

import pytest

from ullage.errors import AmbiguousNameError, InputError, UnknownNameError
from ullage.facts.data_file import read_data
from ullage.facts.gpu_catalog import find_gpu, find_gpus, gpu_names
from ullage.facts.gpu_set import parse_gpu_set
from ullage.facts.usable_memory import of_driver, of_stated_size
from ullage.units import GIB, MIB


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("H100 PCIe", "H100-PCIE-80GB"),
        ("tesla  p100", "P100-PCIE-16GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("NVIDIA A800 80GB PCIe", "A800-PCIE-80GB"),
        ("Tesla V100-SXM2-16GB", "V100-SXM2-16GB"),
        ("NVIDIA GeForce RTX 4060 Laptop GPU", "GeForce RTX 4060 Laptop"),
        ("rtx 4060", "GeForce RTX 4060"),
        ("RTX 3060Ti", "GeForce RTX 3060 Ti"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("Quadro RTX 8000", "Quadro RTX 8000"),
        ("H20", "H20-96GB"),
        ("nvidia h20", "H20-96GB"),
        ("L20", "L20"),
        ("AMD Radeon RX 7900 XT", "RX 7900 XT"),
        ("m2 max 64gb", "Apple M2 Max 64GB"),
        ("A100-80GB-MIG-3g.40gb", "A100-SXM4-80GB MIG 3g.40gb"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "A100-SXM4-40GB MIG 1g.5gb"),
        ("NVIDIA H100 80GB HBM3 MIG 2g.20gb", "H100-SXM5-80GB MIG 2g.20gb"),
        ("A30 MIG 1g.6gb+me", "A30 MIG 1g.6gb"),
    ],
)
def test_cards_are_found_by_what_people_and_drivers_call_them(name, id_):
    assert find_gpu(name).id == find_gpu(name.upper().replace(" ", "  ")).id == id_


@pytest.mark.parametrize("name", gpu_names())
def test_every_card_is_found_by_its_own_name(name):
    assert find_gpu(name).id == name


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("RTX 3050", {"GeForce RTX 3050 8GB", "GeForce RTX 3050 6GB"}),
        ("RTX 6000", {"Quadro RTX 6000", "RTX 6000 Ada"}),
        ("A800", {"A800-PCIE-40GB", "A800-SXM4-80GB"}),
        ("M2 Max", {"Apple M2 Max 32GB", "Apple M2 Max 96GB"}),
        ("RTX 4060 Ti", {"GeForce RTX 4060 Ti 8GB", "GeForce RTX 4060 Ti 16GB"}),
    ],
)
def test_a_name_of_several_cards_is_refused_with_all_of_them(name, some):
    with pytest.raises(AmbiguousNameError, match="name one") as refused:
        find_gpu(name)
    assert some <= set(refused.value.candidates)


@pytest.mark.parametrize("name", ["80GB", "PCIe", "Laptop", "GPU", "RTX", "A100-80G8", "SXM4"])
def test_what_names_no_model_is_unknown(name):
    with pytest.raises(UnknownNameError):
        find_gpu(name)


def test_a_part_of_a_card_has_its_share():
    whole, part = find_gpu("A100-80GB"), find_gpu("A100-80GB MIG 3g.40gb")
    assert part.usable.low == int(39.25 * GIB)  # torch reports 42,144,366,592 bytes of it
    assert part.bandwidth == whole.bandwidth / 2
    assert part.operations.per_second == pytest.approx(whole.operations.per_second * 42 / 108)
    with pytest.raises(InputError, match=r"no MIG profile 5g\.9gb; it has 1g\.10gb"):
        find_gpu("A100-80GB MIG 5g.9gb")
    with pytest.raises(InputError, match="no MIG profiles of T4"):
        find_gpu("T4 MIG 1g.5gb")


def test_a_set_may_have_parts_with_media_engines():
    assert parse_gpu_set("2xA30 MIG 1g.6gb+me + L4").name == "2x A30 MIG 1g.6gb + 1x L4"


def test_no_part_of_a_card_has_more_than_the_card():
    for family in read_data("mig.json")["families"]:
        for name in family["cards"]:
            whole = find_gpu(name)
            for profile in family["profiles"]:
                part = find_gpu(f"{name} MIG {profile}")
                assert find_gpu(part.id) == part
                assert part.usable.low <= whole.usable.low
                assert part.usable.high <= whole.usable.high
                assert part.usable_basis == "derived"


def test_a_board_of_two_gpus_is_two_devices():
    assert [gpu.id for gpu in find_gpus("AMD Instinct MI250X")] == ["MI250X-GCD"] * 2
    found = parse_gpu_set("2xMI250X")
    assert found.name == "4x MI250X-GCD"
    assert parse_gpu_set(found.name) == found
    assert 63 * GIB < found.gpus[0].usable.low <= 64 * GIB


def test_amds_cards_have_their_own_abilities():
    assert find_gpu("MI100").abilities.names == ("bf16", "fp16")
    assert find_gpu("RX 6800").abilities.names == ("fp16",)
    assert find_gpu("MI355X").abilities.names == ("bf16", "fp16", "flash")


def test_the_rules_for_what_nobody_measured_hold_every_card_that_somebody_did():
    rows = {row["id"]: row for name in ("gpus.json", "more_gpus.json") for row in read_data(name)["gpus"]}
    checked = 0
    for id_ in rows:
        card, row = find_gpu(id_), rows[id_]
        if card.usable_basis != "measured" or id_ == "RTX A5000":  # its low value is with error correction
            continue
        assert of_stated_size(row["memory_gb"] * GIB).bytes.low <= card.usable.low
        if row["memory_mib_reported"]:
            found = of_driver(row["memory_mib_reported"] * MIB).bytes
            assert found.low <= card.usable.low <= card.usable.high <= found.high, id_
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("name", gpu_names())
def test_every_card_says_how_its_memory_is_known(name):
    card = find_gpu(name)
    assert card.usable_basis in ("measured", "derived", "assumed")
    assert card.usable_source
    assert not card.described


def test_a_2080_ti_has_what_torch_reported_of_it():
    found = find_gpu("RTX 2080 Ti")
    assert found.usable_basis == "measured"
    assert found.usable.high == pytest.approx(10.76 * GIB, abs=GIB / 100)
    assert found.usable.low > 10.5 * GIB


def test_a_macs_gpu_shares_its_memory_and_has_no_second():
    card = find_gpu("M4 16GB")
    assert card.usable.low == int(16 * GIB * 2 / 3)
    assert card.abilities.unified
    with pytest.raises(InputError, match="one GPU"):
        parse_gpu_set("2x M4 16GB")
