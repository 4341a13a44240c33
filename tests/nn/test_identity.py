"""A state records its identity, and is refused by other modules."""

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import ConditionedHead, CSRAHead, GATHead, GCNHead, Head, LinearHead, QueryHead
from gatlabel.nn.identity import KEY, StateMismatchError
from tests.nn.head_cases import CASES, NAMES, D, L, build, features_for, label_graph

ORDER = [NAMES[k] for k in (3, 1, 5, 0, 2, 4)]
OTHERS = ["a", "b", "c", "d", "e", "zebra"]


def renamed(names: list[str]) -> LabelGraph:
    graph = label_graph()
    return LabelGraph(names, graph.edge_index, graph.edge_weight)


def values(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in (*module.parameters(), *module.buffers())]


def refused(module: nn.Module, state: dict[str, Any], message: str, strict: bool = True) -> None:
    """And nothing is loaded."""
    before = values(module)
    with pytest.raises(StateMismatchError, match=message) as caught:
        module.load_state_dict(state, strict=strict)
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, RuntimeError)  # which is what torch raises there
    assert "\n" not in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(before, values(module), strict=True))


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_another_order_of_the_labels_is_refused(case: str, strict: bool) -> None:
    head = build(case, label_graph())
    moved = build(case, label_graph().reorder(ORDER))
    message = "other labels: number 0 is 'a' there and 'd' here, the same labels in another order"
    refused(moved, head.state_dict(), message, strict)
    other = build(case, renamed(OTHERS))
    refused(other, head.state_dict(), "number 5 is 'f' there and 'zebra' here;", strict)


def test_the_number_of_labels_is_named() -> None:
    head = LinearHead(D, NAMES[:5])
    refused(head, LinearHead(D, NAMES).state_dict(), "6 labels there, 5 here")


@pytest.mark.parametrize("case", CASES)
def test_the_same_head_takes_it_whatever_was_done_to_it(case: str) -> None:
    head = build(case, label_graph())
    again = build(case, label_graph())
    for moved in (copy.deepcopy(head), copy.deepcopy(head).double().float(), head):
        again.load_state_dict(moved.state_dict())
        features = features_for(again, 2)
        torch.testing.assert_close(again(features), head(features))
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        again.load_state_dict(copy.deepcopy(head).to(dtype).state_dict())
        copy.deepcopy(again).to(dtype).load_state_dict(head.state_dict())


@pytest.mark.parametrize("case", ["gat", "csra", "conditioned"])
def test_it_goes_through_every_file_format(case: str) -> None:
    head = build(case, label_graph())
    moved = build(case, label_graph().reorder(ORDER))
    file = io.BytesIO()
    torch.save(head.state_dict(), file)
    file.seek(0)
    pickled = torch.load(file, weights_only=True)
    as_tensors = load(save({k: v.contiguous() for k, v in head.state_dict().items()}))
    for state in (pickled, as_tensors):
        build(case, label_graph()).load_state_dict(state)
        refused(moved, state, "the same labels in another order")


def test_states_of_before_and_heads_without_names_load() -> None:
    """As they always did: where nothing is known, nothing can be compared."""
    named, unnamed = LinearHead(D, NAMES), LinearHead(D, L)
    state = named.state_dict()
    LinearHead(D, ORDER).load_state_dict({k: v for k, v in state.items() if k != KEY})
    unnamed.load_state_dict(state)
    torch.testing.assert_close(unnamed.linear.weight, named.linear.weight)
    LinearHead(D, ORDER).load_state_dict(unnamed.state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key.*linear\.bias"):
        named.load_state_dict({k: v for k, v in state.items() if k != "linear.bias"})


def test_other_edges_are_refused() -> None:
    graph = label_graph()
    fewer = LabelGraph(NAMES, graph.edge_index[:, 1:], graph.edge_weight[1:])
    heavier = LabelGraph(NAMES, graph.edge_index, graph.edge_weight * 0.9)
    for case in ("gcn", "gat", "gatv2", "pyg", "gat-similarity", "query-vectors"):
        head = build(case, graph)
        for other in (fewer, heavier):
            if case == "query-vectors":  # takes the names alone
                build(case, other).load_state_dict(head.state_dict())
            else:
                refused(build(case, other), head.state_dict(), "a label graph with other edges")
    stack = build("gat-nodes", graph)  # takes no weights of edges
    build("gat-nodes", heavier).load_state_dict(stack.state_dict())
    refused(build("gat-nodes", fewer), stack.state_dict(), "a label graph with other edges")


def test_edges_that_were_removed_are_not_those_of_the_graph() -> None:
    head = build("gat", label_graph())
    refused(head, head.without_edges().state_dict(), "a label graph with other edges")
    every = torch.ones_like(head.edge_weight, dtype=torch.bool)
    head.load_state_dict(head.with_edges(every).state_dict())


GRAPH = label_graph()


@pytest.mark.parametrize(
    ("head", "other", "message"),
    [
        (CSRAHead(D, NAMES), CSRAHead(D, NAMES, lam=0.3), "with lam=0.1, not 0.3"),
        (
            CSRAHead(D, NAMES, heads=2),
            CSRAHead(D, NAMES, heads=2, temperatures=[1, 2]),
            r"with temperatures=\[1.0, 'inf'\], not \[1.0, 2.0\]",
        ),
        (CSRAHead(D, NAMES), CSRAHead(D, NAMES, normalize=True), "with normalize=False, not True"),
        (
            QueryHead(D, NAMES, hidden=16, heads=2),
            QueryHead(D, NAMES, hidden=16, heads=4),
            "with heads=2, not 4",
        ),
        (
            ConditionedHead(D, GRAPH, hidden=8, heads=2),
            ConditionedHead(D, GRAPH, hidden=8, heads=2, steps=1),
            "with steps=2, not 1",
        ),
        (
            ConditionedHead(D, GRAPH, hidden=8, heads=2),
            ConditionedHead(D, GRAPH, hidden=8, heads=2, miss_rate=0.7),
            "with miss_rate=0.5, not 0.7",
        ),
        (LinearHead(D, NAMES), CSRAHead(D, NAMES), "with head='linear', not 'csra'"),
    ],
)
def test_options_that_no_shape_shows_are_compared(head: Head, other: Head, message: str) -> None:
    refused(other, head.state_dict(), message)


def test_a_matrix_that_is_normalised_is_not_normalised_again() -> None:
    twin = LabelGraph(NAMES, GRAPH.edge_index, GRAPH.edge_weight, variant="mlgcn_code")
    vectors = torch.randn(L, 4)
    head, other = (GCNHead(D, graph, vectors, hidden=4) for graph in (GRAPH, twin))
    refused(other, head.state_dict(), "with normalised=False, not True")


def test_options_of_training_alone_are_not() -> None:
    head = GATHead(D, GRAPH, hidden=16, dropout=0.3)
    GATHead(D, GRAPH, hidden=16).load_state_dict(head.state_dict())


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(3),
        torch.tensor([1, 2], dtype=torch.uint8),
        torch.zeros(0, dtype=torch.uint8),
        torch.frombuffer(bytearray(b"[" * 100_000), dtype=torch.uint8),
        torch.frombuffer(bytearray(b"[1]"), dtype=torch.uint8),
        "cat",
        None,
    ],
    ids=["floats", "no text", "empty", "deep", "a list", "text", "none"],
)
def test_an_invalid_identity_is_one_error(value: Any) -> None:
    head = LinearHead(D, NAMES)
    refused(head, {**head.state_dict(), KEY: value}, "is not a valid description of a module")


def encoder(**options: Any) -> Encoder:
    return Encoder.from_module(nn.Conv2d(3, D, 4, stride=4), D, image_size=12, **options)


def model(names: list[str] = NAMES, **options: Any) -> MultiLabelClassifier:
    fed = {name: options.pop(name) for name in ("mean", "std") if name in options}
    return MultiLabelClassifier.create(encoder(**fed), "linear", labels=names, **options)


def test_models_are_compared_before_anything_is_loaded() -> None:
    state = model().state_dict()
    refused(model(ORDER), state, "number 0 is 'a' there and 'd' here")
    refused(model(pooling="max"), state, "with pooling='average', not 'max'")
    refused(model(mean=(0.5, 0.5, 0.5)), state, r"with mean=\[0.485, 0.456, 0.406\], not \[0.5")
    unnamed = MultiLabelClassifier(encoder(), LinearHead(D, L), NAMES)
    refused(MultiLabelClassifier(encoder(), LinearHead(D, L), ORDER), unnamed.state_dict(), "'a'")
    model().load_state_dict(state)
    of_map = [
        MultiLabelClassifier.create(encoder(), "csra", labels=NAMES, pooling=pooling)
        for pooling in ("average", "max")
    ]
    of_map[1].load_state_dict(of_map[0].state_dict())  # which pool nothing


@pytest.mark.parametrize("wrapper", [nn.DataParallel, nn.Sequential, torch.compile])
def test_wrapped_models_are_compared(wrapper: Any) -> None:
    state = wrapper(model()).state_dict()
    refused(wrapper(model(ORDER)), state, "number 0 is 'a' there and 'd' here")
    wrapper(model()).load_state_dict(state)


def test_a_folded_model_keeps_its_labels() -> None:
    graph = label_graph()
    whole = MultiLabelClassifier.create(encoder(), "gat", graph=graph).eval()
    folded = whole.fold()
    assert folded.head.labels == whole.labels
    model().load_state_dict(folded.state_dict())
    refused(model(ORDER), folded.state_dict(), "number 0 is 'a' there and 'd' here")


def test_a_model_has_the_labels_of_its_head_and_graph() -> None:
    message = "the head of the model has other labels than the model: number 0 is 'a' there and 'd'"
    with pytest.raises(InputError, match=message):
        MultiLabelClassifier(encoder(), LinearHead(D, NAMES), ORDER)
    with pytest.raises(InputError, match="the graph of the model has other labels"):
        MultiLabelClassifier(encoder(), LinearHead(D, L), NAMES, graph=renamed(OTHERS))


def test_a_saved_state_of_before_is_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    whole = model().eval()
    whole.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    assert json.loads(tensors[f"head.{KEY}"].numpy().tobytes())["labels"] == NAMES
    save_file({k: v for k, v in tensors.items() if not k.endswith(KEY)}, path)
    again = MultiLabelClassifier.from_pretrained(tmp_path, encoder=encoder())
    images = torch.randint(0, 256, (2, 3, 12, 12), dtype=torch.uint8)
    torch.testing.assert_close(again(images), whole(images))
