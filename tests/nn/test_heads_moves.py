"""Every way in which torch moves, copies or allocates a module leaves a head what it was."""

import copy
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gatlabel.encoders import Encoder
from gatlabel.losses import BCELoss
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import GATHead, Head
from gatlabel.nn.heads import image_attention
from gatlabel.nn.heads.protocols import forward_losses
from gatlabel.nn.kernels import Adjacency
from tests.nn.head_cases import CASES, KINDS, D, L, build, features_for, label_graph

State = dict[str, Tensor]


def blank(case: str) -> Head:
    """A head made on the device that has no memory."""
    kind, options = CASES[case]
    graph = label_graph()
    with torch.device("meta"):
        made = kind(D, graph=graph, **options)
    assert all(parameter.is_meta for parameter in made.parameters())
    return made


def given(head: Head, state: State, assign: bool = False) -> Head:
    head.load_state_dict(state, assign=assign)
    return head


@contextmanager
def converting(switch: str) -> Iterator[None]:
    set_it = getattr(torch.__future__, f"set_{switch}")
    set_it(True)
    try:
        yield
    finally:
        set_it(False)


def converted(head: Head, switch: str) -> Head:
    with converting(switch):
        return head.double()


def saved_whole(head: Head) -> Head:
    file = io.BytesIO()
    torch.save(head, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def parametrized(head: Head) -> Head:
    for module in list(head.modules()):
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.numel():
                parametrize.register_parametrization(module, name, nn.Identity())
    return copy.deepcopy(head)


def as_float64(state: State) -> State:
    return {name: value.double() for name, value in state.items()}


MOVES: dict[str, Callable[[Head, State], Head]] = {
    "deepcopy": lambda head, state: copy.deepcopy(head),
    "float64": lambda head, state: head.double(),
    "float16": lambda head, state: head.half(),
    "bfloat16": lambda head, state: head.bfloat16(),
    "half and back": lambda head, state: given(head.half().float(), state),
    "emptied": lambda head, state: given(head.to_empty(device="cpu"), state),
    "meta, emptied": lambda head, state: given(head.to("meta").to_empty(device="cpu"), state),
    "meta, assigned": lambda head, state: given(head.to("meta"), state, assign=True),
    "made on meta, emptied": lambda head, state: given(
        blank(head.case).to_empty(device="cpu"), state
    ),
    "made on meta, assigned": lambda head, state: given(blank(head.case), state, assign=True),
    "assigned float64": lambda head, state: given(head, as_float64(state), assign=True),
    "swapped": lambda head, state: converted(head, "swap_module_params_on_conversion"),
    "overwritten": lambda head, state: converted(head, "overwrite_module_params_on_conversion"),
    "shared memory": lambda head, state: head.share_memory(),
    "saved whole": lambda head, state: saved_whole(head),
    "parametrized": lambda head, state: parametrized(head),
    "channels last": lambda head, state: head.to(memory_format=torch.channels_last),
}  # fmt: skip
TOLERANCE = {"float16": 0.05, "bfloat16": 0.2}


def check(case: str, move: str) -> None:
    head = build(case, label_graph())
    head.case = case
    features = features_for(head, 4)
    expected, state = head(features).detach(), copy.deepcopy(head.state_dict())
    integers = {n: b.clone() for n, b in head.named_buffers() if not b.is_floating_point()}
    moved = MOVES[move](head, state).eval()
    dtype = next(p.dtype for p in moved.parameters())
    tolerance = TOLERANCE.get(move, 1e-4)
    found = moved(features.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)
    for name, buffer in moved.named_buffers():
        if name in integers:
            assert torch.equal(buffer, integers[name]), name
    if "parametrized" not in move:
        assert list(moved.state_dict()) == list(state)
    targets = (torch.rand(4, L) > 0.5).float()
    _, parts = forward_losses(moved.train(), features.to(dtype), targets, BCELoss())
    torch.stack([part.float() for part in parts]).sum().backward()
    for name, parameter in moved.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:lazy:UserWarning")
def test_logits_and_a_training_step(case: str, move: str) -> None:
    check(case, move)


@pytest.mark.parametrize("move", MOVES)
def test_the_sparse_form_of_the_conditioned_head(
    move: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_attention, "dense_pays", lambda *_: False)
    check("conditioned", move)


@pytest.mark.parametrize("case", KINDS)
def test_a_functional_call(case: str) -> None:
    head = build(case, label_graph())
    features = features_for(head, 2)
    state = {**dict(head.named_parameters()), **dict(head.named_buffers())}
    called = torch.func.functional_call(blank(case).eval(), state, (features,))
    torch.testing.assert_close(called, head(features))


def test_edges_that_were_removed_stay_removed() -> None:
    head = build("gat", label_graph())
    keep = torch.arange(len(head.edge_weight)) % 2 == 0
    some = head.with_edges(keep)
    features = features_for(head, 3)
    expected, state = some(features), copy.deepcopy(some.state_dict())
    some.to_empty(device="cpu").load_state_dict(state)
    torch.testing.assert_close(some(features), expected)
    assert some.edge_index.shape[1] == int(keep.sum())


def test_precision_is_not_lost_for_good() -> None:
    head = build("gat", label_graph())
    weights = head.edge_weight.clone()
    head.edge_weight = weights / 3
    head.half()
    assert head.edge_weight.dtype == torch.float16
    assert torch.equal(head.float().edge_weight, weights / 3)


def test_constants_moved_in_inference_mode_can_train() -> None:
    graph = Adjacency(label_graph().edge_index, L)
    with torch.inference_mode():
        graph._apply(torch.clone)
    assert not any(buffer.is_inference() for buffer in graph.buffers())
    kept = torch.equal(graph.sorted_edges()[0], Adjacency(label_graph().edge_index, L).source)
    assert kept


@pytest.mark.parametrize("graph", [Adjacency(None, 5), Adjacency(label_graph().edge_index, L)])
def test_an_adjacency_by_itself(graph: Adjacency) -> None:
    before = {name: buffer.clone() for name, buffer in graph.named_buffers(remove_duplicate=False)}
    graph.to("meta").to_empty(device="cpu")
    for name, buffer in graph.named_buffers(remove_duplicate=False):
        assert torch.equal(buffer, before[name]), name


@pytest.mark.parametrize("move", ["emptied", "made on meta"])
def test_a_whole_model(move: str) -> None:
    """The encoder's mean and deviation, and a loss's weights, are in no checkpoint either."""

    graph = label_graph()

    def made() -> MultiLabelClassifier:
        trunk = nn.Conv2d(3, D, 4, stride=4)
        encoder = Encoder.from_module(trunk, out_features=D, image_size=12)
        return MultiLabelClassifier.create(encoder, GATHead, graph=graph)

    images = torch.randint(0, 256, (3, 3, 12, 12), dtype=torch.uint8)
    model = made().eval()
    expected, state = model(images), copy.deepcopy(model.state_dict())
    if move == "made on meta":
        with torch.device("meta"):
            model = made().eval()
    model = model.to_empty(device="cpu")
    model.load_state_dict(state)
    torch.testing.assert_close(model(images), expected)
    loss = BCELoss([1.0, 2, 3, 4, 5, 6])
    value = loss(expected, torch.ones_like(expected))
    loss.half().to_empty(device="cpu").float()
    torch.testing.assert_close(loss(expected, torch.ones_like(expected)), value, rtol=0, atol=0)
