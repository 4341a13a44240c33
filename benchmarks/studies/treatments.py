"""Every treatment of unknown labels, at every share of labels hidden.

    python benchmarks/studies/treatments.py --shared ../shared    # about ten minutes on two cores

``gatlabel benchmark`` with a linear head on frozen features, graph ``npmi``, one condition of the
optimiser for all (the middle of what tuning tries: claims.py has the tuned comparison of
``complete`` with ``ignore``), five seeds. Scenes of both presets, and the photographs if they are
there. Writes benchmarks/results/treatments.json: mAP, CF1 and OF1 of every seed in per cent, and
the differences of mAP to ``ignore`` (of ``complete`` also to its controls) with intervals and
corrected p-values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from study import PHOTOGRAPHS, arguments, write_result

from gatlabel.experiments import BenchmarkResult, make_config, run_benchmark

HIDDEN = (0.1, 0.5, 0.8, 0.9, "single")
OPTIONS: dict[str, Any] = {
    **{"heads": ("linear",), "graphs": ("npmi",), "trials": 1, "mask_labels": HIDDEN},
    "unknown": ("ignore", "negative", "prior", "complete"),
}
#: Name, options.
DATA: tuple[tuple[str, dict[str, Any]], ...] = (
    ("scenes, voc", {"data": "scenes", "data.preset": "voc", "run.seed": 13}),
    ("scenes, coco", {"data": "scenes", "data.preset": "coco", "run.seed": 13}),
    ("voc2007-part", PHOTOGRAPHS),
    ("coco-part", PHOTOGRAPHS),
)


def rows_of(name: str, result: BenchmarkResult) -> list[dict[str, Any]]:
    """Every method in every condition, as JSON values."""
    rows = []
    for condition in result.conditions:
        for method in result.methods:
            runs = [r for r in result.runs if (r.method, r.condition) == (method, condition)]
            differences = {
                c.against: {
                    "points": round(100 * c.difference.value, 2),
                    "interval": c.difference.ends,
                    "p_holm": c.corrected,
                }
                for c in result.comparisons
                if (c.ours, c.condition) == (method, condition)
            }
            completed = f", completed with {method.completion} edges" if method.completion else ""
            rows.append(
                {
                    **{
                        "data": name,
                        "hidden": condition.masked,
                        "unknown": method.unknown + completed,
                    },
                    **{
                        name: [round(100 * run.values[name], 3) for run in runs]
                        for name in ("mAP", "CF1", "OF1")
                    },
                    "differences": differences,
                }
            )
    return rows


def main() -> None:
    """Runs what data there is for, prints and writes."""
    parser = arguments(__doc__, seeds=5, shared=True)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, options in DATA:
        root = {"data.root": given.shared / "data" / name} if options["data"] == "csv" else {}
        if root and not root["data.root"].is_dir():
            print(f"{name}: not there, left out")
            continue
        output = Path("runs") / "treatments" / name.replace(", ", "-")
        config = make_config(
            "graphs",
            seeds=given.seeds,
            workers=given.workers,
            output=output,
            **OPTIONS,
            **options,
            **root,
        )
        rows += rows_of(name, run_benchmark(config))
    for row in rows:
        shown = "; ".join(
            f"{d['points']:+.2f} {d['interval']} to {against}, p {d['p_holm']}"
            for against, d in row["differences"].items()
        )
        print(f"{row['data']}, {row['hidden']}, {row['unknown']}: {row['mAP']} {shown}")
    write_result("treatments", {"seeds": given.seeds, "rows": rows}, given.workers or 0)


if __name__ == "__main__":
    main()
