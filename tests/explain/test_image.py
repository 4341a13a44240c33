"""The explanation of one image against independent definitions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.explain import activation_maps, explain_image, neighbour_contributions
from gatlabel.graph import LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import EdgeHead
from tests.nn.head_cases import CASES, D, label_graph, perturbed

SIZE = 24


def model_of(kind: str, **options: object) -> MultiLabelClassifier:
    torch.manual_seed(3)
    trunk = torch.nn.Sequential(torch.nn.Conv2d(3, D, 4, stride=4), torch.nn.ReLU())
    encoder = Encoder.from_module(trunk, out_features=D, image_size=SIZE)
    model = MultiLabelClassifier.create(
        encoder, kind, graph=label_graph(), head_options=dict(CASES[kind][1]), **options
    )
    perturbed(model.head)
    return model.eval()


def image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("kind", ["linear", "gat", "gcn"])
def test_maps_of_folded_heads_are_classifiers_times_features(kind: str) -> None:
    model = model_of(kind)
    labels = [2, 0, 4]
    maps, logits = activation_maps(model, image(), labels)
    weight, bias = model.head.classifier()
    with torch.no_grad():
        features = model.encoder(model.encoder.normalize(image()[None]))[0]
        expected = torch.einsum("ld,dhw->lhw", weight[labels], features)
        torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(logits, model(image()[None])[0], rtol=1e-4, atol=1e-5)
    total = maps.mean((1, 2)) + bias[labels].detach()
    torch.testing.assert_close(total, logits[labels], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["conditioned", "csra", "query"])
def test_maps_of_other_heads_are_their_gradient(kind: str) -> None:
    """By central differences in float64: each position scaled by itself."""
    model = model_of(kind).double()
    maps, _ = activation_maps(model, image(), [1])
    step = 1e-5
    with torch.no_grad():
        features = model.encoder(model.encoder.normalize(image()[None]))
        cells = features.shape[2] * features.shape[3]
        for row, column in ((0, 0), (3, 5)):
            ends = []
            for sign in (1, -1):
                scaled = features.clone()
                scaled[:, :, row, column] *= 1 + sign * step
                ends.append(float(model.head(model.pool(scaled))[0, 1]))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert float(maps[0, row, column]) == pytest.approx(cells * slope, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("pooling", ["max", "gem"])
def test_maps_and_bias_add_up_to_the_logit_under_other_poolings(pooling: str) -> None:
    model = model_of("linear", pooling=pooling)
    found = explain_image(model, image(), top=2)
    bias = dict(zip(model.labels, model.head.linear.bias.tolist(), strict=True))
    for each in found.labels:
        assert each.elsewhere == pytest.approx(bias[each.label], abs=1e-4)


@pytest.mark.parametrize(("kind", "pooling"), [("linear", "average"), ("gat", "max")])
def test_maps_of_several_stages_and_bias_add_up_to_the_logit(kind: str, pooling: str) -> None:
    torch.manual_seed(3)
    first = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.nn.ReLU())
    second = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3, stride=2, padding=1), torch.nn.ReLU())
    encoder = Encoder.from_module(torch.nn.Sequential(first, second), image_size=SIZE, stages=2)
    options = dict(CASES[kind][1])
    model = MultiLabelClassifier.create(
        encoder, kind, graph=label_graph(), head_options=options, pooling=pooling
    ).eval()
    perturbed(model.head)
    maps, logits = activation_maps(model, image(), [2, 0])
    assert maps.shape == (2, 6, 6)
    weight, bias = model.head.classifier()
    torch.testing.assert_close(
        maps.mean((1, 2)) + bias[[2, 0]], logits[[2, 0]], rtol=1e-4, atol=1e-4
    )
    if pooling == "max":
        return
    with torch.no_grad():  # the classifiers times the features, the finer ones by cells of 2 x 2
        parts = model.encoder(model.encoder.normalize(image()[None]))
        sizes = [part.mean((2, 3)).square().mean().sqrt() for part in parts]
        shares = [
            torch.einsum("ld,dhw->lhw", w[[2, 0]], part[0] / size)
            for w, part, size in zip(weight.split((6, 4), 1), parts, sizes, strict=True)
        ]
        fine = shares[1].reshape(2, 6, 2, 6, 2).mean((2, 4))
    torch.testing.assert_close(maps, shares[0] + fine, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["gat", "conditioned"])
def test_neighbours_by_a_head_on_a_smaller_graph(kind: str) -> None:
    model = model_of(kind)
    head = model.head
    assert isinstance(head, EdgeHead)
    label = int(head.edge_index[1].mode().values)
    found = neighbour_contributions(model, image(), label)
    edges = (head.edge_index[1] == label).nonzero()[:, 0]
    assert len(found) == len(edges) > 1
    sizes = [abs(each.contribution) for each in found]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) > 1e-4
    by_source = {each.source: each.contribution for each in found}
    with torch.no_grad():
        features = model.features(image()[None])
        whole = head(features)[0, label]
        for edge in edges.tolist():
            keep = torch.ones(head.edge_index.shape[1], dtype=torch.bool)
            keep[edge] = False
            change = whole - head.with_edges(keep).eval()(features)[0, label]
            source = model.labels[int(head.edge_index[0, edge])]
            assert by_source[source] == pytest.approx(float(change), abs=1e-6)
    assert len(neighbour_contributions(model, image(), label, most=1)) == 1
    assert neighbour_contributions(model_of("linear"), image(), label) == ()


def test_the_most_probable_or_requested_labels(tmp_path: Path) -> None:
    model = model_of("gat")
    found = explain_image(model, image(), top=2, source="a $photo$.jpg")
    with torch.no_grad():
        expected = model(image()[None])[0].topk(2)
    assert [each.label for each in found.labels] == [model.labels[k] for k in expected.indices]
    assert [each.logit for each in found.labels] == pytest.approx(
        expected.values.tolist(), abs=1e-5
    )
    one = explain_image(model, image(), labels=[model.labels[3]])
    assert [each.label for each in one.labels] == [model.labels[3]]
    assert one.to_dict()["labels"][0]["neighbours"]
    for suffix in ("png", "svg"):
        found.draw(tmp_path / f"out.{suffix}")
        assert (tmp_path / f"out.{suffix}").stat().st_size > 5000
    with pytest.raises(InputError, match="unknown label 'ct'"):
        explain_image(model, image(), labels=["ct"])
    with pytest.raises(InputError, match="top=0"):
        explain_image(model, image(), top=0)


def test_training_mode_stays_as_it_was() -> None:
    model = model_of("gat").train()
    explain_image(model, image())
    assert model.training
    assert model.head.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_label_without_neighbours_in_a_graph_of_others() -> None:
    graph = LabelGraph.from_edges([("a", "b", 1.0)], ["a", "b", "c"])
    trunk = torch.nn.Conv2d(3, 4, 4, stride=4)
    encoder = Encoder.from_module(trunk, out_features=4, image_size=SIZE)
    model = MultiLabelClassifier.create(encoder, "gcn", graph=graph).eval()
    (found,) = explain_image(model, image(), labels=["c"]).labels
    assert found.neighbours == ()
    assert found.heat.dtype == np.float32
