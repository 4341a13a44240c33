"""PyG convolutions by name, adapted to label vectors and weighted edges."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError, unknown_choice

# Names of the width of edge attributes in convolutions; the weight alone has width 1.
EDGE_WIDTHS = ("edge_dim", "dim", "in_edge_channels")
# Convolutions that need a network as argument, with the number of vectors it concatenates.
NETWORK_INPUTS = {"GINConv": 1, "GINEConv": 1, "EdgeConv": 2}


class Convolution(nn.Module):
    """One PyG convolution on (label vectors, label graph).

    Args:
        conv: Name of a class of ``torch_geometric.nn.conv``, or a class.
        width: Width of the label vectors.
        options: Options of the class, as JSON values. By default, the widths are ``width``,
            ``edge_dim`` (or its name in the class) is 1, and the terms of a label alone are off:
            ``add_self_loops=False``, ``root_weight=False``.

    Attributes:
        name: The class's name, with its module for classes that are not from PyG.
        edges_as: ``"edge_weight"``, ``"edge_attr"``, or ``None`` if the weights are not used.

    Raises:
        InputError: If there is no such class, it needs arguments other than (x, edge_index), or an
            option is missing, unknown or not a JSON value.
    """

    def __init__(self, conv: str | type[nn.Module], width: int, options: Mapping[str, Any]) -> None:
        super().__init__()
        made, self.name = _class_of(conv)
        self.options = dict(options)
        for name, value in self.options.items():
            if not _primitive(value):
                raise InputError(
                    f"{self.name}: the option {name!r} is a {type(value).__name__}: a saved model "
                    "can store numbers, texts and lists of them only"
                )
        takes = list(inspect.signature(made.forward).parameters)[1:]
        if takes[:2] != ["x", "edge_index"]:
            raise InputError(
                f"{self.name} takes ({', '.join(takes)}): a label graph provides (x, edge_index)"
            )
        known = inspect.signature(made.__init__).parameters
        width_of_edges = next((name for name in EDGE_WIDTHS if name in known), None)
        self.edges_as = "edge_weight" if "edge_weight" in takes else None
        if "edge_attr" in takes and width_of_edges:
            self.edges_as = "edge_attr"
        defaults = {
            "in_channels": width,
            "out_channels": width,
            "channels": width,
            "hidden_channels": width,
            "add_self_loops": False,
            "root_weight": False,
        }
        if self.edges_as == "edge_attr" and width_of_edges:
            defaults[width_of_edges] = 1
        given = {name: value for name, value in defaults.items() if name in known} | self.options
        if self.name in NETWORK_INPUTS and "nn" not in given:
            with _real_device():
                first = nn.Linear(NETWORK_INPUTS[self.name] * width, width)
                given["nn"] = nn.Sequential(first, nn.ReLU(), nn.Linear(width, width))
        try:
            with _real_device():  # out_width runs it once
                self.conv = made(**given)
        except Exception as error:  # classes raise various errors for options
            raise InputError(
                f"{self.name} cannot be created with conv_options={self.options}: {error}"
            ) from error

    def out_width(self, edge_index: Tensor, edge_weight: Tensor, nodes: int, width: int) -> int:
        """Runs the convolution once and returns the width of its output.

        Parameters of the class that the output does not use become buffers of the same name. They
        would never get a gradient, for which training on several devices waits.

        Raises:
            InputError: If it cannot run on the graph, or does not return one finite vector per
                label.
        """
        # no random input: creating a head must not advance the random state further
        x = torch.linspace(-1, 1, nodes * width, device="cpu").view(nodes, width)
        if not len(edge_weight):  # some classes cannot run without edges
            edge_index = edge_index.new_tensor([[0], [nodes - 1]])
            edge_weight = edge_weight.new_ones(1)
        training = self.training
        try:
            with _real_device(), torch.enable_grad():
                out = self.eval()(x, edge_index, edge_weight)
        except Exception as error:  # classes raise various errors for inputs
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{self.name} cannot run on (x, edge_index): {reason}") from error
        self.train(training)
        if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != nodes:
            raise InputError(
                f"{self.name} does not return (L, C) vectors: it cannot be a head's graph part"
            )
        if not out.isfinite().all():
            raise InputError(
                f"{self.name} returns NaN or infinity with the weights of this graph; a "
                "convolution that normalises needs weights above 0, as in graph=conditional"
            )
        if "." not in self.name:
            self._set_aside_unused(out)
        if torch.get_default_device().type == "meta":
            self.to("meta")
        return out.shape[1]

    def _set_aside_unused(self, out: Tensor) -> None:
        named = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        if not named or not out.requires_grad:
            return
        with torch.enable_grad():  # heads may be created under no_grad
            found = torch.autograd.grad(out.sum(), [p for _, p in named], allow_unused=True)
        for (name, parameter), gradient in zip(named, found, strict=True):
            if gradient is None:
                owner, _, own_name = name.rpartition(".")
                module = self.get_submodule(owner)
                delattr(module, own_name)
                module.register_buffer(own_name, parameter.detach())

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """Maps label vectors ``(L, width)``, edges ``(2, E)``, weights ``(E,)`` to ``(L, C)``."""
        if self.edges_as is None:
            out: Tensor = self.conv(x, edge_index)
        elif self.edges_as == "edge_weight":
            out = self.conv(x, edge_index, edge_weight=edge_weight)
        else:
            out = self.conv(x, edge_index, edge_attr=edge_weight[:, None])
        return out


@contextlib.contextmanager
def _real_device() -> Iterator[None]:
    """Leaves the device ``meta``, on which modules may be created before allocation."""
    if torch.get_default_device().type != "meta":
        yield
        return
    with torch.device("cpu"):
        yield


def _class_of(conv: str | type[nn.Module]) -> tuple[type[nn.Module], str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyG's own, on import under newer torch
        from torch_geometric.nn import conv as convolutions

    if isinstance(conv, str):
        if "." in conv:
            raise InputError(
                f"{conv!r} is not a PyG class and cannot be created by name: pass conv=the class "
                "to the head and load its weights"
            )
        if conv not in convolutions.__all__:
            for known in convolutions.__all__:
                if known.casefold() == conv.casefold():  # edit distance ranks SageConv lower
                    raise InputError(f"unknown PyG convolution {conv!r}; did you mean {known!r}?")
            raise unknown_choice("PyG convolution", conv, convolutions.__all__)
        return getattr(convolutions, conv), conv
    if not (isinstance(conv, type) and issubclass(conv, nn.Module)):
        raise InputError(f"conv={conv!r}: give the name of a PyG convolution, or a class")
    if getattr(convolutions, conv.__name__, None) is conv:
        return conv, conv.__name__
    return conv, f"{conv.__module__}.{conv.__qualname__}"


def _primitive(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_primitive, value))
    return value is None or isinstance(value, bool | int | float | str)
