"""The one choice of a device."""

import pytest
import torch

from gatlabel.devices import choose_device
from gatlabel.errors import InputError

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")


def test_auto_is_the_cpu_without_a_usable_gpu() -> None:
    cpu = torch.device("cpu")
    assert choose_device("auto", gpu=False) == choose_device("cpu") == choose_device(cpu) == cpu
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpus", "", "cuda:x", "cuda:99", "mps:7", "meta", None])
def test_a_device_that_is_not_there_is_refused_in_one_line(name) -> None:
    with pytest.raises(
        InputError, match=r"cannot use the device .*: give auto or one of cpu"
    ) as it:
        choose_device(name)
    assert "\n" not in str(it.value)


@no_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_the_error_names_what_there_is(name: str) -> None:
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(InputError, match=rf"'{name}': give auto or one of cpu(, mps)?$"):
        choose_device(name)


def test_the_index_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    class Made:
        device = torch.device("cuda:1")

    monkeypatch.setattr(torch, "empty", lambda *size, device: Made)
    assert choose_device("cuda") == torch.device("cuda:1")
