"""Is the default of ``gatlabel train`` better than what else one would do in the same time?

    python benchmarks/studies/peers.py --root ../shared/data --out /elsewhere/peers --grid reduced
    python benchmarks/studies/peers.py --root ../shared/data --out /elsewhere/peers --figures

Same images, encoder, weights, one thread, and a budget of one pass of the encoder over training
and validation images at 160 px plus some seconds, for gatlabel, fastai, a plain loop, ridge,
scikit-learn and published heads. ``docs/studies/peers.md`` has the protocol. A finished cell is a
line of ``cells.jsonl`` below ``--out``; a second start leaves it out. ``--figures`` computes
benchmarks/results/peers.json from what is there, and fills the table of that page; with
``--results`` it writes another file and leaves the page alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

from peer_study.cells import COUNTED_SIZE, GRIDS, cells_of
from peer_study.methods import NEEDS_FASTAI
from peer_study.running import Places, has_package, run_cells


def main() -> None:
    """Runs cells, or computes the figures of those that are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs") / "peers")
    parser.add_argument("--grid", choices=GRIDS, default="reduced")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--sets", nargs="+", help="only these")
    parser.add_argument("--images", nargs="+", type=int, help="only these numbers of images")
    parser.add_argument("--budgets", nargs="+", type=int, help="only these, in seconds")
    parser.add_argument("--size", type=int, default=COUNTED_SIZE, help="of the peers, in pixels")
    parser.add_argument("--fastai-python", default=sys.executable, help="a Python with fastai")
    parser.add_argument("--figures", action="store_true", help="compute, and write the results")
    parser.add_argument("--results", type=Path, help="another file for --figures")
    options = parser.parse_args()
    if not options.root.is_dir():
        print(f"no {options.root}, left out")
        return
    if options.figures:
        from peer_study.results import PAGE, RESULTS, write_results

        page = PAGE if options.results is None else None
        write_results(options.root, options.out, options.results or RESULTS, page)
        return
    without = () if has_package(options.fastai_python, "fastai") else NEEDS_FASTAI
    if without:
        print(f"{options.fastai_python} has no fastai (extra peers): left out")
    cells = [
        cell
        for cell in cells_of(GRIDS[options.grid], options.seeds, options.size)
        if cell.method in (options.methods or [cell.method])
        and cell.method not in without
        and cell.data in (options.sets or [cell.data])
        and cell.images in (options.images or [cell.images])
        and cell.budget in (options.budgets or [cell.budget])
    ]
    places = Places(options.root, options.out, options.fastai_python)
    if run_cells(cells, places):
        sys.exit(1)


if __name__ == "__main__":
    main()
