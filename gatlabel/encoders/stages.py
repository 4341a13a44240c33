"""Feature maps of the last stages of a network: where they are, and one pass that returns them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.encoders.cutting import PROBE, Stage, stride_of
from gatlabel.errors import InputError, first_line
from gatlabel.nn.modes import evaluating

MOST_STAGES = 64
Place = str | int


@dataclass(frozen=True)
class Stages:
    """The last stages of a network, latest first.

    A stage ends with the last map of a stride. A final 1 x 1 convolution, which widens the map of
    MobileNet and EfficientNet for the classifier, is a stage of its own.

    Attributes:
        places: Where the stages before the last one end: paths of layers in a chain, or stage
            numbers of a timm network.
        widths: Channels of the map of each stage, starting with that of the whole network.
    """

    places: tuple[Place, ...]
    widths: tuple[int, ...]

    def run(self, trunk: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
        """Maps images ``(B, 3, H, W)`` to the map ``(B, D_s, h_s, w_s)`` of each stage."""
        last, found = _run(trunk, images, self.places)
        return (last, *(found[place] for place in self.places))


@torch.no_grad()
def find_stages(trunk: nn.Module, count: int, what: str) -> Stages:
    """Finds the last stages of a network by running it on one image, in its current mode.

    Args:
        trunk: A chain of layers (``nn.Sequential``), or a timm network, whole or truncated.
        count: Number of stages, at least 1.
        what: Name of the network in error messages.

    Raises:
        InputError: If the stages of the network cannot be determined, or are fewer.
    """
    unknown = f"stages={count}: the stages of {what} are unknown"
    if not (_is_chain(trunk) or isinstance(trunk, Stage) or _is_timm(trunk)):
        raise InputError(f"{unknown}: it is neither nn.Sequential nor a timm network with stages")
    first = next(trunk.parameters(), torch.empty(0))
    noise = torch.rand(1, 3, PROBE, PROBE, generator=torch.Generator().manual_seed(0))
    try:
        with evaluating(trunk):
            found = _find(trunk, noise.to(first))
    except Exception as error:  # networks raise various errors for inputs
        raise InputError(f"{unknown} ({first_line(error)})") from error
    if found is None:
        raise InputError(f"{unknown}: its maps differ when run stage by stage")
    if count > len(found.widths):
        raise InputError(f"stages={count}: {what} has {len(found.widths)}")
    return Stages(found.places[: count - 1], found.widths[:count])


def _find(trunk: nn.Module, pixels: Tensor) -> Stages | None:
    """Returns all stages; ``None`` if a later layer modifies a map, or layers are not a chain."""
    ends = _ends_in_chain(trunk, pixels) if _is_chain(trunk) else _ends_in_timm(trunk, pixels)
    if ends is None:
        return None
    last, found = _run(trunk, pixels, ends)
    if not torch.allclose(last, trunk(pixels), atol=1e-5):
        return None
    return Stages(tuple(ends), (last.shape[1], *(found[end].shape[1] for end in ends)))


def _run(
    trunk: nn.Module, images: Tensor, places: Sequence[Place]
) -> tuple[Tensor, dict[Place, Tensor]]:
    """Runs a network once; returns its own map and those at the places."""
    found: dict[Place, Tensor] = {}
    if _is_chain(trunk):
        last = images
        for path, part in _layers(trunk):
            last = part(last)
            if path in places:
                found[path] = last
        return last, found
    cut = isinstance(trunk, Stage)
    network: Any = trunk.network if cut else trunk
    indices = sorted(int(place) for place in places)
    if cut:
        indices.append(trunk.index)  # type: ignore[arg-type]
    result = network.forward_intermediates(images, indices=indices, intermediates_only=cut)
    last, maps = (result[-1], result[:-1]) if cut else (network.forward_head(result[0]), result[1])
    found.update(zip(indices, maps, strict=False))
    return last, found


# --- chains -----------------------------------------------------------------------------------


def _is_chain(trunk: nn.Module) -> bool:
    return isinstance(trunk, nn.Sequential) and type(trunk).forward is nn.Sequential.forward


def _layers(chain: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yields the layers in order, including repeated uses, unlike ``named_modules``."""
    for name, part in chain._modules.items():
        assert part is not None
        if type(part) is nn.Sequential:
            yield from _layers(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part


def _ends_in_chain(chain: nn.Module, pixels: Tensor) -> list[Place] | None:
    layers = list(_layers(chain))
    maps: list[Tensor] = []
    versions = []
    for _, layer in layers:
        maps.append(layer(maps[-1] if maps else pixels))
        versions.append(maps[-1]._version)
    strides = [stride_of(each) if each.ndim == 4 else 0 for each in maps]
    ends = [k for k in range(len(maps) - 1) if 0 < strides[k] < strides[k + 1]]
    closing = _closing(layers, strides)
    ends += [closing] if closing is not None and closing not in ends else []
    if any(maps[k]._version != versions[k] for k in ends):
        return None
    return [layers[k][0] for k in reversed(ends)]


def _closing(layers: list[tuple[str, nn.Module]], strides: list[int]) -> int | None:
    """Returns the index of the layer before a final 1 x 1 convolution, or ``None``."""
    for k in reversed(range(1, len(layers))):
        kernels = [
            part.kernel_size for part in layers[k][1].modules() if isinstance(part, nn.Conv2d)
        ]
        if kernels:
            alone = set(kernels) == {(1, 1)}
            return k - 1 if alone and strides[k] == strides[k - 1] else None
    return None


# --- timm -------------------------------------------------------------------------------------


def _is_timm(trunk: nn.Module) -> bool:
    return hasattr(trunk, "forward_intermediates") and hasattr(trunk, "feature_info")


def _ends_in_timm(trunk: nn.Module, pixels: Tensor) -> list[Place]:
    if isinstance(trunk, Stage):
        return list(reversed(range(trunk.index)))
    entries: Any = trunk.feature_info
    ends = list(range(len(getattr(entries, "info", entries))))
    last, found = _run(trunk, pixels, ends)
    if last.ndim == 4 and last.shape[1:] == found[ends[-1]].shape[1:]:
        ends.pop()  # the last stage is the network's own map, possibly normalised
    return list(reversed(ends))
