"""A complete benchmark: plan, prepare, tune, run, compare, report; finished parts are kept."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gatlabel import logs
from gatlabel.baselines.classical.options import CLASSICAL
from gatlabel.engine.launchers import refuse_several_processes
from gatlabel.experiments.config import SIMILARITY, BenchmarkConfig
from gatlabel.experiments.dataset_result import compute
from gatlabel.experiments.environment import environment
from gatlabel.experiments.graphs import control_is_the_graph, make_graph
from gatlabel.experiments.jobs import RunJob, TuneJob, default_workers, do_jobs
from gatlabel.experiments.methods import Method, list_methods
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.experiments.outcome import Backend, Condition, Outcome, run_metrics
from gatlabel.experiments.preparation import Task, prepare, progress_bar, read_task
from gatlabel.experiments.protocol import protocol_of
from gatlabel.experiments.records import CHOSEN, Run, Scope
from gatlabel.experiments.report import write_report
from gatlabel.experiments.result import BenchmarkResult
from gatlabel.experiments.splits import frequency_thirds, require_splittable
from gatlabel.experiments.store import Store
from gatlabel.experiments.tuning import (
    END_TO_END_SPACE,
    FROZEN_SPACE,
    Options,
    best_trial,
    trial_options,
)
from gatlabel.files import write_json
from gatlabel.graph import Cooccurrence
from gatlabel.logs import Log
from gatlabel.nn.options import Linear
from gatlabel.training.similarity import SIMILARITY_IGNORED, ignores_similarity

TUNING_SEED = 1000  # first seed of the tuning runs


@dataclass(frozen=True)
class Plan:
    """All runs of a benchmark.

    Attributes:
        methods: The methods, ``linear`` first.
        conditions: The conditions, all images first.
        seeds: Seeds of the reported runs.
        trials: Optimiser settings to try.
        tuning_seeds: Seeds of the tuning runs.
        notes: Notes on omitted runs, with reasons.
    """

    methods: Sequence[Method]
    conditions: Sequence[Condition]
    seeds: Sequence[int]
    trials: Sequence[Options]
    tuning_seeds: Sequence[int]
    notes: Sequence[str]

    @property
    def trained(self) -> list[Method]:
        """The methods that are trained: all but those ablated at test."""
        return [method for method in self.methods if method.edges != "ablated"]


def make_plan(config: BenchmarkConfig, task: Task) -> Plan:
    """Plans the runs.

    Raises:
        InputError: If a graph cannot be built from the training images, or there are no images for
            tuning.
    """
    if config.trials_each > 1 and task.roles.tune is None:
        require_splittable(task.roles.train.targets)  # here, before features are extracted
    counts = Cooccurrence.from_targets(task.roles.train.targets, task.names)
    unchanged, notes = [], []
    for name in config.graphs:
        if name == SIMILARITY:
            notes.append(f"{name}: chosen in each run from its training data; none without gain")
            notes += _ignoring(config, name)
            continue
        graph = make_graph(name, counts)
        notes.append(f"{name}: {graph.describe()}")
        if graph.relation == "similarity":
            notes += _ignoring(config, name)
        for edges in ("random", "permuted"):
            if control_is_the_graph(graph, edges, counts):
                unchanged.append((name, edges))
                notes.append(
                    f"{name}: with {edges} edges it is the same graph, so this control is omitted"
                )
    default_seeds = _tuning_runs(config, task)
    space = FROZEN_SPACE if config.mode == "frozen" else END_TO_END_SPACE
    return Plan(
        _methods(config, unchanged),
        [Condition(f, h) for f in sorted(config.train_fractions, reverse=True)
         for h in config.mask_labels],
        range(config.seeds),
        trial_options(space, config.trials_each),
        range(TUNING_SEED, TUNING_SEED + (config.tuning_seeds or default_seeds)),
        notes,
    )  # fmt: skip


def _ignoring(config: BenchmarkConfig, graph: str) -> list[str]:
    heads = config.head_options
    alone = [head for head, options in heads.items() if ignores_similarity(options)]
    return [f"{graph}: {SIMILARITY_IGNORED.format(head)}" for head in alone]


def _methods(config: BenchmarkConfig, unchanged: Sequence[tuple[str, str]]) -> list[Method]:
    found = list_methods(
        list(config.head_options),
        config.graphs,
        config.unknown,
        unchanged,
        list(config.method_options),
    )
    if config.kind != "methods":
        return found
    return [method for method in found if not method.is_control]  # only other kinds have controls


def _tuning_runs(config: BenchmarkConfig, task: Task) -> int:
    """Returns the number of runs per trial.

    With one, the chance of the choice would affect the results. With two, a t-test can separate
    hardly any trials, and heads would be regularised too much.
    """
    return 1 if config.mode == "end-to-end" and task.roles.tune is not None else 3


def run_benchmark(config: BenchmarkConfig, *, log: Log = logs.log) -> BenchmarkResult:
    """Runs a benchmark, or the rest of an interrupted one, and writes its files.

    Args:
        config: All options.
        log: Called with progress messages.

    Raises:
        InputError: If options or data are wrong, or the folder contains other results.
    """
    task = read_task(config.train)
    return run_on(config, task, lambda: make_backend(config, task, log), log)


def run_on(
    config: BenchmarkConfig, task: Task, backend: Callable[[], Backend], log: Log
) -> BenchmarkResult:
    """Runs a benchmark on data that were already read.

    Args:
        config: All options.
        task: The data.
        backend: Prepares the backend; called only if runs are missing.
        log: Called with progress messages.

    Raises:
        InputError: As :func:`run_benchmark`.
    """
    refuse_several_processes()
    plan = make_plan(config, task)
    store = Store(config.folder)
    with store.locked():
        return _run_plan(config, task, plan, store, backend, log)


def _run_plan(
    config: BenchmarkConfig,
    task: Task,
    plan: Plan,
    store: Store,
    backend: Callable[[], Backend],
    log: Log,
) -> BenchmarkResult:
    positives = task.roles.train.targets.counts().present
    store.begin(config.fixed(), np.asarray(task.roles.report.targets), task.names, positives)
    protocol = protocol_of(config, task, plan.trials, len(plan.tuning_seeds), plan.notes)
    for note in (protocol["splits"], *plan.notes):
        log(note)
    if config.unused():
        log(f"not used on frozen features: {config.unused()}")
    if store.runs:
        log(f"{len(store.runs)} runs already exist and are kept")
    title = f"Benchmark of {config.kind} on {task.name}"
    scope = Scope(title, task.name, plan.methods, plan.conditions, len(plan.seeds), protocol)
    write_json(store.protocol, scope.to_dict())
    if _open_runs(plan, store):
        workers = config.workers or default_workers()
        about, before, began = environment(workers), len(store.runs), time.perf_counter()
        write_json(store.environment, about)
        prepared = backend()
        _tune(config, plan, store, prepared, workers)
        _run(config, task, plan, store, prepared, workers)
        took = {"runs": len(store.runs) - before, "seconds": round(time.perf_counter() - began, 1)}
        write_json(store.environment, {**about, **took})
    with progress_bar("statistics", len(scope.keys), config.progress) as advance:
        result = BenchmarkResult({task.name: compute(store, advance)})
    write_report(result, store.folder)
    return result


def make_backend(config: BenchmarkConfig, task: Task, log: Log) -> Backend:
    """Prepares the input of runs: features, or for end-to-end runs the images."""
    heads = {"linear": Linear(), **config.head_options}
    if config.mode == "end-to-end":
        from gatlabel.experiments.end_to_end import EndToEndBackend

        return EndToEndBackend(config.train, heads)
    from gatlabel.experiments.frozen import FrozenBackend

    fit = FitOptions(epochs=config.frozen_epochs)
    heads |= config.method_options
    return FrozenBackend(prepare(config, task, log), config.train, heads, fit, config.frozen_start)


def _tune(
    config: BenchmarkConfig, plan: Plan, store: Store, backend: Backend, workers: int
) -> None:
    if len(plan.trials) == 1:
        return
    jobs = [
        TuneJob(method, condition, options, seed, trial)
        for condition in plan.conditions
        for trial, options in enumerate(plan.trials)
        for seed in plan.tuning_seeds
        for method in plan.trained
        if method.head not in CLASSICAL and (method, condition, seed, trial) not in store.trials
    ]
    with progress_bar("tuning", len(jobs), config.progress) as advance:

        def keep(job: TuneJob, result: float) -> None:
            store.add_trial((job.method, job.condition, job.seed), job.trial, job.options, result)
            advance(1)

        do_jobs(backend, jobs, workers, keep)


def chosen_options(plan: Plan, store: Store, method: Method, condition: Condition) -> Options:
    """Returns the options of the best trial on the tuning split; see :func:`best_trial`."""
    if method.head in CLASSICAL:
        return {}  # classical methods choose their own on the training images
    if len(plan.trials) == 1:
        return dict(plan.trials[0])
    scores = {
        trial: [store.trials[method, condition, seed, trial] for seed in plan.tuning_seeds]
        for trial in range(len(plan.trials))
    }
    return dict(plan.trials[best_trial(scores, plan.trials)])


def _open_runs(plan: Plan, store: Store) -> list[tuple[Method, Condition, int, bool]]:
    """Lists the missing training runs, and whether edges are ablated after each."""
    ablated = {method.trained_as for method in plan.methods if method.edges == "ablated"}
    found = []
    for condition in plan.conditions:
        for seed in plan.seeds:
            for method in plan.trained:
                wanted = [method] + [dataclasses.replace(method, edges="ablated")] * (
                    method in ablated
                )
                if any((c, condition, seed) not in store.runs for c in wanted):
                    found.append((method, condition, seed, method in ablated))
    return found


def _run(
    config: BenchmarkConfig, task: Task, plan: Plan, store: Store, backend: Backend, workers: int
) -> None:
    options = {
        (m, c): chosen_options(plan, store, m, c) for m in plan.trained for c in plan.conditions
    }
    jobs = [
        RunJob(method, condition, options[method, condition], seed, ablate)
        for method, condition, seed, ablate in _open_runs(plan, store)
    ]
    targets = np.asarray(task.roles.report.targets)
    thirds = frequency_thirds(task.roles.train.targets)
    with progress_bar("runs", len(jobs), config.progress) as advance:

        def keep(job: RunJob, outcomes: list[Outcome]) -> None:
            for outcome in outcomes:
                measured = run_metrics(outcome.logits, targets, task.names, thirds)
                run = Run(outcome.method, job.condition, job.seed, _values(outcome, measured, job))
                store.add_run(run, outcome.logits, outcome.similarity)
            advance(1)

        do_jobs(backend, jobs, workers, keep)


def _values(outcome: Outcome, measured: dict[str, float], job: RunJob) -> dict[str, float]:
    costs = {
        "parameters": outcome.parameters,
        "train_seconds": round(outcome.train_seconds, 3),
        "inference_us": round(outcome.inference_us, 2),
    }
    chosen = {name: job.options.get(name, np.nan) for name in CHOSEN}
    return {**measured, **costs, **chosen}
