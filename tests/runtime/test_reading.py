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


@pytest.mark.parametrize("size", ["much", -1, None, "-3", True, float("nan")])
def test_what_is_no_size_is_one_line(size):
    with pytest.raises(InputError, match=r"size|bytes") as raised:
        ullage.can_allocate(size)
    assert "\n" not in str(raised.value)


def test_sizes_and_devices_are_named_as_people_write_them():
    assert ullage.can_allocate("1MiB")
    assert not ullage.can_allocate("100000 GiB")
    with pytest.raises(InputError, match="'gpu:99': is not here; there is cpu"):
        ullage.can_allocate(10, 99)


def test_the_processor_tells_its_name_memory_and_peak():
    held = bytearray(64 << 20)
    info = ullage.device_info()[0]
    assert (info.device, bool(info.name)) == ("cpu", True)
    assert 0 < info.used < info.total
    assert info.free == info.total - info.used
    assert info.peak is not None
    assert len(held) < info.peak < info.total
    assert str(info).startswith("cpu (")
    with pytest.raises(InputError, match="is not here; there is cpu"):
        ullage.device_info(["gpu:99"])


def test_what_a_machine_does_not_tell_is_none(monkeypatch):
    import builtins
    import platform

    def closed(path, *given, **named):
        if str(path) in ("/proc/cpuinfo", "/proc/self/status"):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *given, **named)

    opened = builtins.open
    monkeypatch.setattr(builtins, "open", closed)
    monkeypatch.setattr(platform, "processor", lambda: "")
    (info,) = ullage.device_info(["cpu"])
    assert (info.name, info.peak) == (None, None)
    assert "peak of this process unknown" in str(info)


def test_a_cleared_cache_says_what_it_gave_back():
    class Cycle:
        pass

    import gc

    gc.collect()
    gc.disable()
    try:
        one = Cycle()
        one.held, one.own = bytearray(b"x" * (96 << 20)), one
        del one
        freed = ullage.clear_cache()[0]
    finally:
        gc.enable()
    assert freed.device == "cpu"
    assert freed.bytes >= 90 << 20
    assert freed.before - freed.after == freed.bytes
    assert "given back" in str(freed)
