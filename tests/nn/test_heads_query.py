"""What is particular to the head of label queries."""

import pytest
import torch
from torch import nn

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.nn import QueryHead

D, L, WIDTH = 10, 5, 16


def test_equals_timms_ml_decoder() -> None:
    reference = pytest.importorskip("timm.layers.ml_decoder").MLDecoder
    theirs = reference(L, decoder_embedding=WIDTH, initial_num_features=D).double().eval()
    ours = QueryHead(D, L, hidden=WIDTH, heads=8, feedforward=2048).double().eval()
    layer, given = theirs.decoder.layers[0], ours.decoder[0]
    theirs.decoder = layer  # newer torch's decoder wants a self-attention, which timm's has not
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        # timm adds the query to itself before the first norm
        ours.nodes.vectors.copy_(2 * theirs.query_embed.weight)
        ours.weight.copy_(theirs.duplicate_pooling[:, :, 0])
        ours.bias.copy_(theirs.duplicate_pooling_bias)
    ours.embed.load_state_dict(theirs.embed_standart.state_dict())
    given.cross.load_state_dict(layer.multihead_attn.state_dict())
    given.inner.load_state_dict(layer.linear1.state_dict())
    given.outer.load_state_dict(layer.linear2.state_dict())
    for norm, other in zip(given.norms, (layer.norm1, layer.norm2, layer.norm3), strict=True):
        norm.load_state_dict(other.state_dict())
    features = torch.randn(3, D, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(features), theirs(features), rtol=0, atol=1e-10)


def test_self_attention_equals_torchs_decoder_layer() -> None:
    head = QueryHead(D, L, hidden=WIDTH, heads=4, self_attention=True).double().eval()
    theirs = nn.TransformerDecoderLayer(WIDTH, 4, 4 * WIDTH, batch_first=True).double().eval()
    layer = head.decoder[0]
    pairs = [
        (theirs.self_attn, layer.among),
        (theirs.multihead_attn, layer.cross),
        (theirs.linear1, layer.inner),
        (theirs.linear2, layer.outer),
        *zip((theirs.norm1, theirs.norm2, theirs.norm3), layer.norms, strict=True),
    ]
    for other, own in pairs:
        other.load_state_dict(own.state_dict())
    features = torch.randn(3, D, 4, 3, dtype=torch.float64)
    positions = head.embed(features.flatten(2).transpose(1, 2)).relu()
    answered = theirs(head.queries().expand(3, L, WIDTH), positions)
    expected = torch.einsum("blc,lc->bl", answered, head.weight) + head.bias
    torch.testing.assert_close(head(features), expected)


def test_queries_from_label_vectors() -> None:
    vectors = torch.randn(L, 3)
    head = QueryHead(D, L, node_features=vectors, hidden=WIDTH)
    assert not any(parameter is head.nodes.vectors for parameter in head.parameters())
    torch.testing.assert_close(head.queries(), head.to_query(vectors))
    named = {f"label {k}": vectors[k].numpy() for k in range(L)}
    graph = LabelGraph(named, torch.zeros(2, 0))
    again = QueryHead(D, graph=graph, node_features=named, hidden=WIDTH)
    torch.testing.assert_close(again.nodes.vectors, vectors)


def test_dropout_acts_in_training_only() -> None:
    head = QueryHead(D, L, hidden=WIDTH, dropout=0.5)
    features = torch.randn(2, D, 3, 3)
    assert not torch.equal(head(features), head(features))
    head.eval()
    assert torch.equal(head(features), head(features))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 10, "heads": 4}, "multiple"),
        ({"layers": 0}, "layers=0"),
        ({"feedforward": 0}, "feedforward=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"node_features": "svd"}, "give graph="),
        ({"node_features": torch.zeros(L + 1, 3)}, "one row per label"),
    ],
)
def test_wrong_options_are_named(options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        QueryHead(D, L, **options)
