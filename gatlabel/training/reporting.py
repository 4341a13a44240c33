"""Contents of the report and the tables of a run."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.data import DataSplits
from gatlabel.decisions.decision import Decision
from gatlabel.decisions.wording import describe
from gatlabel.devices import choose_device
from gatlabel.engine.fitting import precision_of
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import GraphAblatable
from gatlabel.report import Baseline, LabelResult, ReportContent, Sharing
from gatlabel.training.classical import description_of, is_classical
from gatlabel.training.config import TrainConfig
from gatlabel.training.evaluation import Evaluation
from gatlabel.training.fitting import spec_of


def protocol_of(
    config: TrainConfig,
    model: MultiLabelClassifier,
    evaluation: Evaluation,
    *,
    trained: bool = True,
) -> dict[str, str]:
    """Returns the evaluation protocol: descriptions by name."""
    report, decision = evaluation.report, evaluation.decision
    device = choose_device(config.run.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    return {
        "split": f"{evaluation.split}, {len(evaluation.source)} images",
        "AP": "uninterpolated, on logits in float64; tied scores share a threshold",
        "mAP": f"mean over the {int((~report.ap.isnan()).sum())} labels with a positive and a "
        "known absence",
        "labels left out": ", ".join((*report.left_out, *report.never_absent)) or "none",
        "F1": "CP, CR averaged over labels, CF1 their harmonic mean; OP, OR, OF1 pooled; p ≥ 0.5",
        "decision": "p ≥ 0.5" if decision is None else decision_text(decision),
        "unknown labels": _unknown_labels(config),
        "images": f"{model.image_size} pixels, {model.resize}",
        "weights": _weights(config) if trained else _closed_form(config),
        "encoder": f"{config.encoder.text}, weights {config.encoder.weights or 'random'}",
        "seed": str(config.run.seed),
        "device": f"{device.type} ({name}), precision {_precision(config)}",
        "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
    }


def _precision(config: TrainConfig) -> str:
    name = str(precision_of(spec_of(config)))
    shown = {"bf16-mixed": "bfloat16, mixed", "16-mixed": "float16, mixed"}
    return shown.get(name, "float32")


def decision_text(decision: Decision) -> str:
    """Returns a one-line description of a decision and the images it was chosen on."""
    return "; ".join(f"{name}: {text}" for name, text in describe(decision).items())


def decision_entry(decision: Decision | None) -> dict[str, Any] | None:
    """Returns a decision in the form of ``metrics.json``."""
    return None if decision is None else decision.to_dict()


def _weights(config: TrainConfig) -> str:
    which = "best" if config.run.keep == "best" else "last"
    ema = config.optimizer.ema
    return f"{which} epoch" + (f", moving average {ema}" if ema else "")


def _closed_form(config: TrainConfig) -> str:
    if is_classical(config):
        return description_of(config.head)
    return "closed-form initialisation: ridge regression"


def _unknown_labels(config: TrainConfig) -> str:
    if config.missing.unknown == "ignore":
        return "excluded from loss, counts and metrics"
    treatment = config.missing.unknown
    return f"excluded from counts and metrics; in the loss of training images: {treatment}"


def learned_attention(head: nn.Module, graph: LabelGraph | None) -> Tensor | None:
    """Returns the attention ``(E, H)`` of a head over the edges of its graph, or ``None``.

    Self-loops that a plain stack adds are omitted, as the report compares edges of the graph.
    """
    found = head.attention() if isinstance(head, GraphAblatable) else None
    if found is None or graph is None:
        return None
    edges, weights = found
    where = {edge: row for row, edge in enumerate(map(tuple, edges.T.tolist()))}
    rows = [where.get(edge) for edge in map(tuple, graph.edge_index.T.tolist())]
    # edges that the head omits (self-loops of the graph) have no attention
    shares = weights.new_zeros(len(rows), weights.shape[1])
    for edge, row in enumerate(rows):
        if row is not None:
            shares[edge] = weights[row].detach()
    return shares


def report_content(
    config: TrainConfig,
    splits: DataSplits,
    counts: Cooccurrence,
    model: MultiLabelClassifier,
    evaluations: Sequence[Evaluation],
    curves: Sequence[Mapping[str, float]],
    baselines: Sequence[Baseline],
    notes: Sequence[str],
    sharing: Sequence[Sharing] = (),
    *,
    trained: bool,
) -> ReportContent:
    """Collects the contents of a run's report; the last evaluation is shown first."""
    shown = evaluations[-1]
    labels = model.labels
    known = torch.as_tensor(counts.known, dtype=torch.float64).clamp(min=1)
    frequency = torch.as_tensor(counts.label_counts, dtype=torch.float64) / known
    rows = [
        LabelResult(
            label=name,
            train_frequency=float(frequency[i]),
            positives=int(shown.report.positives[i]),
            ap=float(shown.report.ap[i]),
            auroc=float(shown.report.auroc[i]),
            precision=float(shown.report.precision[i]),
            recall=float(shown.report.recall[i]),
            f1=float(shown.report.f1[i]),
        )
        for i, name in enumerate(labels)
    ]
    return ReportContent(
        title=f"{config.head.name} on {splits.name}",
        data_name=splits.name,
        labels=labels,
        protocol=protocol_of(config, model, shown, trained=trained),
        metrics={e.split: e.report.metrics for e in evaluations},
        logits=shown.logits,
        targets=shown.targets,
        ids=shown.source.ids,
        thumbnail=shown.source.load,
        split=shown.split,
        decision=shown.decision,
        curves=curves,
        per_label=rows,
        graph=model.graph,
        attention=learned_attention(model.head, model.graph),
        baselines=baselines,
        notes=tuple(notes),
        sharing=sharing,
    )


def metrics_file(
    config: TrainConfig,
    model: MultiLabelClassifier,
    evaluations: Sequence[Evaluation],
    baselines: Sequence[Baseline],
    notes: Sequence[str],
    seconds: float,
    *,
    trained: bool,
) -> dict[str, Any]:
    """Returns the content of ``metrics.json``."""
    return {
        "protocol": protocol_of(config, model, evaluations[-1], trained=trained),
        "decision": decision_entry(evaluations[-1].decision),
        "splits": {e.split: e.report.to_dict() for e in evaluations},
        "baselines": {b.name: b.value for b in baselines},
        "notes": list(notes),
        "training_seconds": round(seconds, 1),
    }
