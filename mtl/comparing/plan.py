"""A comparison: runs that belong together. Its folder has a plan that lists them; their results are in their own folders. Makes the
folder, the plan and the runs; knows no models, and trains nothing."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pydantic import AliasChoices, Field

from mtl.data.dataset import SPLIT, choose_tasks, describe_source, read_table
from mtl.data.kept import has_rows, load_run, share_rows
from mtl.data.parsed import PARSED
from mtl.errors import MtlError
from mtl.files import replacing
from mtl.runs.checkpoint import BEST, LAST, LOOKS, PREVIOUS
from mtl.runs.folder import Run, create_run, default_root, list_runs, open_run
from mtl.runs.history import History, changes_of, read_history
from mtl.settings.best import BESTS
from mtl.settings.config import RunConfig, Strict, TaskSpec, make_config
from mtl.settings.methods import TAKE_WEIGHTS
from mtl.text import cut, isolate, many, visible
from mtl.training.teach import read_taught

FOLDER = "comparisons"  # within the folder of the runs
PLAN = "plan.json"
JOINT, ALONE = "joint", "alone"
DEFAULT_ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9)
MAX_SEEDS, MAX_ALPHAS = 10, 20
MAX_EPOCHS = 10_000  # as many as a run may have; the number of steps is the limit


class Member(Strict):
    """One run of a comparison."""

    role: str  # its part in the comparison: 'joint', 'alone: topic', 'alpha = 0.3', 'pace', 'candidate 2'
    config: RunConfig
    run: str = ""  # its id; empty until its folder is made
    round: int = Field(0, validation_alias=AliasChoices("round", "rung"))  # of a search, from 1; the pace has 0. rung: the older name
    seconds: float = 0.0  # in a search: the time it took, once it is over
    used: float = 0.0  # in a search: the time it took before it was stopped
    is_cut: bool = False  # in a search: there was no time to finish it


class Plan(Strict):
    """What a comparison is to do."""

    kind: Literal["alone", "sweep", "search"]
    members: tuple[Member, ...]  # its runs, in the order of training
    minutes: float = 0.0  # of a search: all the time it may take
    # of a search, once the machine's pace is known: the candidates of each round and the steps of each candidate; rungs: the older name
    rounds: tuple[tuple[int, int], ...] = Field((), validation_alias=AliasChoices("rounds", "rungs"))

    def with_member(self, index: int, **changes: object) -> "Plan":
        """The plan with one member changed."""
        changed = self.members[index].model_copy(update=changes)
        return self.model_copy(update={"members": (*self.members[:index], changed, *self.members[index + 1:])})


@dataclass(frozen=True)
class Comparison(Run):
    """One comparison's folder: as a run's, with settings that the members vary, and a log of the status of the comparison as a whole."""

    @property
    def root(self) -> Path:
        """The folder of the runs."""
        return self.folder.parent.parent

    @property
    def plan(self) -> Plan:
        """The plan as it is on disk now; raises MtlError if it cannot be read."""
        try:
            return Plan.model_validate_json((self.folder / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MtlError(f"The plan of this comparison cannot be read ({type(error).__name__}). Start a new one.") from error

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan, whole or not at all."""
        with replacing(self.folder / PLAN) as building:
            building.write_text(plan.model_dump_json(indent=1), encoding="utf-8")

    def member_run(self, member: Member) -> Run | None:
        """The run of `member`; None if its folder is not made yet, or was deleted."""
        run = Run(self.root / member.run)
        return run if member.run and run.exists() else None

    def histories(self) -> list[History | None]:
        """The history of each member; None if its folder is not made yet, or was deleted."""
        return [read_history(run) if run else None for run in map(self.member_run, self.plan.members)]

    def forget_deleted(self) -> None:
        """Mark the runs that were deleted as not begun, so that they are trained again. Runs that were cut for lack of time stay cut."""
        before = plan = self.plan
        for index, member in enumerate(plan.members):
            if member.run and not member.is_cut and self.member_run(member) is None:
                plan = plan.with_member(index, run="", seconds=0.0)
        if plan != before:
            self.write_plan(plan)


def open_comparison(root: Path, comparison_id: str) -> Comparison:
    """The comparison called `comparison_id`; raises MtlError if there is none."""
    with suppress(MtlError):
        found = Comparison(open_run(root / FOLDER, comparison_id).folder)
        if (found.folder / PLAN).is_file():
            return found
    raise MtlError("There is no such comparison. It may have been deleted.")


def list_comparisons(root: Path, key: str | None = None) -> list[Comparison]:
    """The comparisons of the runs under `root`, newest first; with `key`, only those of its owner and those from the terminal."""
    found = [Comparison(run.folder) for run in list_runs(root / FOLDER, key)]
    return [comparison for comparison in found if (comparison.folder / PLAN).is_file()]


def find_tasks(config: RunConfig) -> list[TaskSpec]:
    """The tasks that a run of `config` would train, read from its data."""
    with TemporaryDirectory() as folder:
        table = read_table(config, Path(), Path(folder), parsed=default_root() / PARSED)
    return choose_tasks(table, config.tasks, describe_source(config))


def with_files_of(run: Run) -> RunConfig:
    """The settings of `run`, its data files named by absolute paths. Raises MtlError if it learned from corrections."""
    if read_taught(run):
        raise MtlError("This run began with the weights of another model, and a comparison trains anew. Compare the run it began with.")
    config = run.config
    return config.model_copy(update={name: tuple(str(run.folder / file) for file in files) for name, files in _files(config).items()})


def create(root: Path, config: RunConfig, plan: Plan, key: str = "") -> Comparison:
    """A folder for `plan`, which is written last: before, it is no comparison. The members use the copies of the data files in it."""
    comparison = Comparison(create_run(root / FOLDER, config, key, root / PARSED).folder)
    files = _files(comparison.config)
    members = tuple(member.model_copy(update={"config": member.config.model_copy(update=files)}) for member in plan.members)
    comparison.write_plan(plan.model_copy(update={"members": members}))
    return comparison


def _files(config: RunConfig) -> dict[str, tuple[str, ...]]:
    return {name: getattr(config, name) for name in ("train_files", "validation_files", "test_files")}


def alone_plan(config: RunConfig, seeds: int, joint: Run | None = None, tasks: Sequence[TaskSpec] = ()) -> Plan:
    """Did it help? For each seed a run of `config` and, for each task, one with that task only; `joint`, if given, is the first of them and
    finished already. Raises MtlError if there is nothing to compare."""
    if not 1 <= seeds <= MAX_SEEDS:
        raise MtlError(f"Seeds: found {seeds}, wanted 1 to {MAX_SEEDS}.")
    config = config.model_copy(update={"steering": ()})  # changes in the middle would help the one, and not the others
    specs = tasks or config.tasks or find_tasks(config)
    if len(specs) < 2:
        raise MtlError(f"Together and alone are the same here: there is one task, '{isolate(specs[0].name)}'. Choose two or more.")
    members = []
    for seed in range(config.seed, config.seed + seeds):
        first = seed == config.seed
        varied = config if first else vary(config, JOINT, seed=seed)
        members.append(Member(role=JOINT, config=varied, run=joint.id if joint and first else ""))
        # settings that need several tasks are dropped
        members += [Member(role=f"{ALONE}: {spec.name}", config=vary(
            config, f"{spec.name} alone", seed=seed, tasks=(spec.model_copy(update={"labels": ()}),), weights={}, alpha=None,
            balancing="equal", sampling="joint", best=config.best if config.best in BESTS else "mean")) for spec in specs]
    return Plan(kind="alone", members=tuple(members))


def plan_for_run(run: Run, seeds: int) -> tuple[RunConfig, Plan]:
    """`alone_plan` with the finished `run` as the joint one, and the settings it is made from; if it was changed in its middle, a new one
    without that is the joint one. Raises MtlError if it is not finished."""
    history = read_history(run)
    if history.status != "finished" or not history.started:
        raise MtlError(f"This run is {history.status}; a finished one can be compared. Wait for it, or resume it.")
    config = with_files_of(run)
    tasks = [TaskSpec(name=name, kind=facts["kind"]) for name, facts in history.started.tasks.items()]
    return config, alone_plan(config, seeds, None if changes_of(run) else run, tasks)


def sweep_plan(config: RunConfig, alphas: Sequence[float]) -> Plan:
    """A run of `config` for each of `alphas`; raises MtlError if there are not two tasks, or an alpha is none."""
    specs = config.tasks or find_tasks(config)
    if len(specs) != 2:
        raise MtlError(f"A weight sweep weighs two tasks against each other, but {many(len(specs), 'task', 'is')} "
                       f"chosen: {', '.join(isolate(spec.name) for spec in specs)}. Choose two.")
    if config.weights:
        raise MtlError("Loss weights: a weight sweep weighs the tasks by Alphas instead. Leave Loss weights empty.")
    if config.balancing not in TAKE_WEIGHTS:
        raise MtlError(f"Balancing: found '{config.balancing}', but a weight sweep weighs the tasks by Alphas. Use 'even' or 'fixed'.")
    wanted = sorted(set(alphas))
    if not 2 <= len(wanted) <= MAX_ALPHAS:
        raise MtlError(f"Alphas: found {len(wanted)} different values, wanted 2 to {MAX_ALPHAS}, such as 0.1,0.5,0.9.")
    balancing = config.balancing.replace("equal", "fixed")
    members = [Member(role=f"alpha = {alpha:g}", config=vary(config, f"alpha {alpha:g}", alpha=alpha, weights={}, balancing=balancing))
               for alpha in wanted]
    return Plan(kind="sweep", members=tuple(members))


def vary(config: RunConfig, what: str, **changes: object) -> RunConfig:
    """`config` with `changes`; `what` becomes part of its name."""
    name = visible(f"{config.name or describe_source(config)}: {what}".rstrip(": "), instead="")
    return make_config(dict(config) | {"name": cut(name, 64), "keep_epochs": False, "quick_looks": False, "steering": ()} | changes)


def _as_long_as_joint(comparison: Comparison, plan: Plan, config: RunConfig) -> RunConfig:
    """`config` for as many optimizer steps as the joint run of its seed may take, evaluated as often: an epoch of one task may be shorter
    than one of all. Patience is off: the score of a single task is less steady than the mean of several, so the run would end too early,
    and the comparison would favour training together by up to 2 points. `choose_step` of joint_vs_alone.py applies it to all as one."""
    run = comparison.member_run(next(one for one in plan.members if (one.role, one.config.seed) == (JOINT, config.seed)))
    if not run or not (joint := read_history(run).started):
        raise MtlError("The run of all tasks together has not begun, so it is not known how long the others are to be. Press Resume.")
    return config.model_copy(update={"max_steps": joint.total_steps, "epochs": MAX_EPOCHS, "patience": 0,
                                     "eval_every": config.eval_every or joint.steps_per_epoch})


def make_member(comparison: Comparison, index: int) -> Run:
    """Make the run of the member at `index`, which has none yet, and write its id into the plan. The first one reads the data by the
    comparison's own settings; all others get its training and validation rows, so that all are scored on the same rows in the same order.
    A run of one task saves the tallies of all its evaluations, because it is known only at the end which one counts."""
    plan = comparison.plan
    member = plan.members[index]
    config = _as_long_as_joint(comparison, plan, member.config) if member.role.startswith(ALONE) else member.config
    run = create_run(comparison.root, config.model_copy(update=_files(with_files_of(comparison))),
                     parsed=None if index else comparison.folder / PARSED)
    if index:
        share_rows(rows_of(comparison), run.folder, [spec.name for spec in config.tasks], with_test=False)
    elif has_rows(comparison.folder):  # it was deleted, and is trained again
        share_rows(comparison.folder, run.folder)
    elif plan.kind != "alone":  # no test row may be read while settings are chosen
        shutil.copyfile(comparison.folder / "config.json", run.folder / SPLIT)
    if comparison.has_owner():
        shutil.copyfile(comparison.folder / "owner", run.folder / "owner")
    if member.role.startswith(ALONE):
        (run.folder / LOOKS).mkdir()
    comparison.write_plan(plan.with_member(index, config=config, run=run.id))
    return run


def rows_of(comparison: Comparison) -> Path:
    """The folder of `comparison`, with the rows of its first run, which stay if that run is deleted; read from the files if it has none."""
    if not has_rows(comparison.folder):
        first = comparison.member_run(comparison.plan.members[0])
        if first and has_rows(first.folder):
            share_rows(first.folder, comparison.folder)
            shutil.rmtree(comparison.folder / PARSED, ignore_errors=True)
        else:
            with TemporaryDirectory() as folder:
                load_run(comparison.config, comparison.folder, Path(folder))
    return comparison.folder


def drop_weights(run: Run) -> None:
    """Remove the checkpoints of a finished run of a search: it has dozens, and only their scores are needed."""
    for name in (BEST, LAST, PREVIOUS):
        shutil.rmtree(run.folder / name, ignore_errors=True)
