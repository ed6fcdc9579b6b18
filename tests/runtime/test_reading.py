"""What is read of devices, and what of devices that are not there."""

import pytest

import ullage
from ullage.errors import InputError


@pytest.mark.parametrize("device", ["gpu:99", "gpu:", "gpu:x", "gpu", "cuda:0", "", "gpu:-1"])
def test_a_device_that_is_not_here_is_one_line(device):
    for ask in (
        lambda: ullage.can_allocate(1, device),
        lambda: ullage.check_threshold(0.5, [device]),
        lambda: ullage.reset_peak([device]),
    ):
        with pytest.raises(InputError, match="is not here; there is cpu") as raised:
            ask()
        assert "\n" not in str(raised.value)


def test_the_processor_is_always_there():
    assert ullage.can_allocate(1)
    assert not ullage.can_allocate(2**60)
    assert ullage.check_threshold(1.0) == ()
    ullage.reset_peak(["cpu"])
