"""What is claimed of heads and of completion, named in advance, and whether it holds.

    python benchmarks/studies/claims.py                      # all whose data is there; hours
    python benchmarks/studies/claims.py gat-scenes           # one of them
    python benchmarks/studies/claims.py --shared ../shared   # where the photographs lie

Every claim is read off one ``gatlabel benchmark`` with its controls, equal tuning and at least five
seeds. "Not worse" claims need the lower end of the 95 % interval above minus the margin; "better"
claims need a p-value below 0.05 after Holm's correction over all comparisons of the benchmark;
"closes" claims need, besides, a difference of so many per cent of the way from linear to the oracle
of the scenes. A claim that fails is written down like one that holds. Results go to
benchmarks/results/claims/NAME/: every run's figures, the tables, the machine, and claims.json.
Interrupted benchmarks go on where they stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from study import PHOTOGRAPHS, RESULTS, arguments

from gatlabel.data.scenes import oracle_map
from gatlabel.experiments import BenchmarkResult, make_config, run_benchmark
from gatlabel.experiments.preparation import read_task
from gatlabel.files import write_json

CLAIMS = RESULTS / "claims"
KEPT = (
    *("results.csv", "tuning.csv", "table.md", "comparisons.json", "environment.json"),
    *("benchmark.json", "protocol.json"),
)


@dataclass(frozen=True)
class Claim:
    """One sentence that a benchmark can prove wrong.

    Attributes:
        ours: Start of the title of who is meant (``gat · conditional``).
        against: With what it is compared (``linear``, ``ignore``, ``random edges``, …).
        kind: ``not worse`` (by more than the margin), ``better``, or ``closes``.
        margin: In points of mAP: how much worse is still not worse; or how much better at least.
            Of ``closes``: per cent of the distance between the other's mAP and the oracle's.
        fraction: Share of the training images.
        hidden: Share of the training targets hidden.
    """

    ours: str
    against: str
    kind: Literal["not worse", "better", "closes"]
    margin: float
    fraction: float = 1.0
    hidden: float = 0.0

    def judge(self, result: BenchmarkResult, oracle: float | None) -> dict[str, Any]:
        """Returns the claim, the figures, and whether it holds, as JSON values."""
        found = [
            c
            for c in result.comparisons
            if c.against == self.against
            and c.ours.title == self.ours
            and c.condition.fraction == self.fraction
            and c.condition.masked == self.hidden
        ]
        if len(found) != 1:
            raise SystemExit(f"{len(found)} comparisons of {self.ours} with {self.against}")
        d, corrected = found[0].difference, found[0].corrected
        significant = corrected is not None and corrected < 0.05
        more: dict[str, Any] = {}
        if d.low is None or d.high is None:
            holds, more = False, {"why": d.why}
        elif self.kind == "not worse":
            holds = 100 * d.low > -self.margin
        elif self.kind == "better":
            holds = significant and 100 * d.value >= self.margin
        else:
            assert oracle is not None
            theirs = [r.values["mAP"] for r in result.runs if r.method == found[0].theirs]
            way = oracle - float(np.mean(theirs))
            closed = [round(100 * part / way, 1) for part in (d.value, d.low, d.high)]
            more = {"oracle": round(100 * oracle, 2), "closed, per cent": closed}
            holds = significant and closed[0] >= self.margin
        return {
            **self.__dict__,
            **more,
            "points": round(100 * d.value, 2),
            "interval": d.ends,
            "p": d.p,
            "p_holm": corrected,
            "holds": bool(holds),
        }


BY_NAMES = "knn:vectors=names"
GAT, COMPLETED = "gat · conditional", "linear · {} · unknown: complete"
SIZES, HIDDEN = (0.1, 0.3, 1.0), (0.1, 0.5, 0.8, 0.9)


def _gat(margin: float, better: tuple[float, ...] = ()) -> tuple[Claim, ...]:
    not_worse = tuple(Claim(GAT, "linear", "not worse", margin, fraction=f) for f in SIZES)
    return (*not_worse, *(Claim(GAT, "linear", "better", 0.0, fraction=f) for f in better))


def _completion(graph: str) -> tuple[Claim, ...]:
    ours = COMPLETED.format(graph)
    not_worse = tuple(Claim(ours, "ignore", "not worse", 0.5, hidden=h) for h in HIDDEN)
    return (*not_worse, Claim(ours, "ignore", "better", 1.0, hidden=0.5))


def _similarity_completion() -> tuple[Claim, ...]:
    """As completion, and that it has to be these edges."""
    ours = COMPLETED.format(BY_NAMES)
    controls = ("completion without edges", "completion with random edges")
    edges = tuple(Claim(ours, a, "better", 0.0, hidden=h) for h in (0.5, 0.9) for a in controls)
    return (*_completion(BY_NAMES), *edges)


@dataclass(frozen=True)
class Study:
    """A benchmark and the claims that are read off it.

    Attributes:
        options: Of the benchmark.
        claims: Named before it was run.
        data: Folder of the photographs below the shared folder, if it needs any.
        kind: Of the benchmark.
    """

    options: dict[str, Any]
    claims: tuple[Claim, ...]
    data: str | None = None
    kind: Literal["graphs", "heads"] = "graphs"
    seeds: int = 5


_HEADS = {"heads": ("gat",), "graphs": ("conditional",), "train_fractions": SIZES}
_MISSING = {"heads": ("linear",), "graphs": ("npmi",), "mask_labels": HIDDEN,
            "unknown": ("ignore", "complete")}  # fmt: skip
# other drawings than seed 0's, which the space of the tuning was revised on
_SCENES = {"data": "scenes", "run.seed": 1, "tuning_seeds": 3}
_SIMILARITY = {"graphs": (BY_NAMES,)}

NEAREST = "npmi:top_k=10"
EDGED = ("gcn", "gat", "gatv2", "conditioned")
CONDITIONED = f"conditioned · {NEAREST}"
# Small drawn objects want a finer map and an encoder that may change much; the recipe was chosen on
# the drawings of seed 0, for conditioned and linear alike, and the form of the conditioned head on
# those of seed 1: hence seed 2.
_END_TO_END = {
    **{"data": "scenes", "data.preset": "coco", "run.seed": 2, "data.train_images": 2000},
    **{"data.test_images": 1000, "encoder.backbone": "efficientnet_lite0", "encoder.stride": 16},
    **{
        "images.augmentation": "turned",
        "optimizer.encoder_lr": 1.0,
        "run.batch_size": 32,
        "run.epochs": 16,
    },
    **{"mode": "end-to-end", "heads": ("conditioned",), "graphs": (NEAREST,)},
}

STUDIES = {
    # superiority is claimed at all of the images; all 27 conditions, because among nine each rate
    # and decay stands with one shrinkage only; drawings of seed 4: those of seed 1 showed that, and
    # on those of seed 3 the start of the classifiers was chosen
    "gat-scenes": Study(
        {**_HEADS, **_SCENES, "run.seed": 4, "trials": 27}, _gat(0.5, better=(1.0,))
    ),
    "gat-voc2007-part": Study({**_HEADS, **PHOTOGRAPHS}, _gat(1.0), "voc2007-part"),
    "conditioned-scenes": Study(
        _END_TO_END,
        (
            Claim(CONDITIONED, "linear", "closes", 25.0),
            Claim(CONDITIONED, "no edges", "better", 0.0),
            Claim(CONDITIONED, "random edges", "better", 0.0),
        ),
        kind="heads",
    ),
    "edges-voc2007-part": Study(
        {**PHOTOGRAPHS, "heads": EDGED, "graphs": (NEAREST,), "trials": 1},
        tuple(Claim(f"{head} · {NEAREST}", "random edges", "better", 0.0) for head in EDGED),
        "voc2007-part",
        kind="heads",
    ),
    # how completion starts the classifiers, and how firmly they are held there, was chosen on
    # drawings of seed 3 and on the photographs with training and reported images exchanged
    "completion-scenes": Study({**_MISSING, **_SCENES, "run.seed": 10}, _completion("npmi")),
    # where images are few, more can be won: seen on drawings of seed 3, tested on others
    "completion-few-scenes": Study(
        {
            **_MISSING,
            "mask_labels": (0.5,),
            **_SCENES,
            "run.seed": 11,
            "data.train_images": 500,
        },
        (Claim(COMPLETED.format("npmi"), "ignore", "better", 1.0, hidden=0.5),),
    ),
    "completion-voc2007-part": Study(
        {**_MISSING, **PHOTOGRAPHS}, _completion("npmi"), "voc2007-part", seeds=20
    ),
    # similarity by the meaning of the labels' names (extra names); that sharing classifiers helps
    # was found on these photographs, both ways round, so other sets have to confirm it
    "similarity-completion-voc2007-part": Study(
        {**_MISSING, **PHOTOGRAPHS, **_SIMILARITY},
        _similarity_completion(),
        "voc2007-part",
        seeds=20,
    ),
    "similarity-completion-coco-part": Study(
        {**_MISSING, **PHOTOGRAPHS, **_SIMILARITY}, _similarity_completion(), "coco-part", seeds=20
    ),
    "completion-coco-part": Study(
        {**_MISSING, **PHOTOGRAPHS}, _completion("npmi"), "coco-part", seeds=20
    ),
}


def run(name: str, shared: Path, seeds: int | None, workers: int | None) -> list[dict[str, Any]]:
    """Runs one study and writes what came of it."""
    study = STUDIES[name]
    seeds = seeds or study.seeds
    options: dict[str, Any] = dict(study.options)
    if study.data is not None:
        options["data.root"] = shared / "data" / study.data
    output = Path("runs") / "claims" / name
    config = make_config(study.kind, seeds=seeds, workers=workers, output=output, **options)
    result: BenchmarkResult = run_benchmark(config)
    closes = any(claim.kind == "closes" for claim in study.claims)
    oracle = oracle_map(read_task(config.train).roles.report) if closes else None
    judged = [claim.judge(result, oracle) for claim in study.claims]
    place = CLAIMS / name
    place.mkdir(parents=True, exist_ok=True)
    for file in KEPT:
        if (output / file).is_file():
            text = (output / file).read_text(encoding="utf-8")
            # what is committed names no folder of the machine that it was run on
            (place / file).write_text(
                text.replace(str(shared.absolute()), "SHARED"), encoding="utf-8"
            )
    content = {"seeds": seeds, "claims": judged, "verdict": result.verdict}
    write_json(place / "claims.json", content)
    return judged


def main() -> None:
    """Runs the studies that are named, or all whose data is there."""
    parser = arguments(__doc__, shared=True)
    parser.add_argument("studies", nargs="*", choices=[*STUDIES, []], metavar="study")
    parser.add_argument("--seeds", type=int, help="if not the study's own")
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    for name in options.studies or STUDIES:
        data = STUDIES[name].data
        if data is not None and not (options.shared / "data" / data).is_dir():
            print(f"{name}: no {options.shared / 'data' / data}, left out")
            continue
        for claim in run(name, options.shared, options.seeds, options.workers):
            where = f"{claim['fraction']:.0%} of the images"
            if claim["hidden"]:
                where += f", {claim['hidden']:.0%} hidden"
            ends = claim["interval"]
            interval = f"[{ends[0]:+.2f}, {ends[1]:+.2f}]" if ends else claim["why"]
            print(
                f"{name}: {claim['ours']} {claim['kind']} ({claim['margin']}) than "
                f"{claim['against']}, {where}: {claim['points']:+.2f} {interval} "
                f"{'holds' if claim['holds'] else 'FAILS'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
