"""`python -m mtl evaluate`: a run's scores on its validation rows, and, once, on its test rows."""

import argparse
from collections.abc import Iterator
from itertools import islice

from mtl.cli.common import find_run
from mtl.data.values import VALUES
from mtl.runs.folder import Run
from mtl.runs.history import read_history
from mtl.scoring.error_analysis import TaskReport
from mtl.scoring.intervals import Interval
from mtl.scoring.measure import TEST, VALIDATION, SplitScores, measure_test, measure_validation
from mtl.settings.best import shown_score

CONFUSIONS = 5


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of main.py."""
    evaluate = commands.add_parser("evaluate", help="show a run's scores and its mistakes")
    evaluate.set_defaults(act=show_scores)
    evaluate.add_argument("run", help="the run's id, or 'last'")
    evaluate.add_argument("--split", default=VALIDATION, choices=[VALIDATION, TEST],
                          type=lambda name: VALIDATION if name == "dev" else name,  # the older name
                          help="validation (default, as often as you like) or test (scored once, after the run; later only shown again)")
    evaluate.add_argument("--checkpoint", default="best", help="best (default), last, or epoch-NNN")
    evaluate.add_argument("--again", action="store_true", help="score the test rows again, though each time makes the score less honest")
    evaluate.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    evaluate.add_argument("--json", action="store_true", help="print everything as a JSON object, with the worst mistakes")


def show_scores(options: argparse.Namespace) -> int:
    """Score the rows, or find the scores of an earlier time, and print them."""
    run, is_new = find_run(options.run), True
    if options.split == TEST:
        measured, is_new = measure_test(run, options.checkpoint, options.device, again=options.again)
    else:
        measured = measure_validation(run, options.checkpoint, options.device)
    if options.json:
        print(measured.json)
    else:
        print_scores(run, measured, is_new)
    return 0


def print_scores(run: Run, measured: SplitScores, is_new: bool) -> None:
    """Print the scores of a split; if they are not new, also that they are those of an earlier time."""
    print(f"Run {run.id}, {measured.split}: {measured.report.rows:,} rows, checkpoint '{measured.checkpoint}' of step {measured.step}, "
           f"measured {measured.when}{f' ({measured.how})' * bool(measured.how)}.")
    if best := read_history(run).best:
        print(f"The best checkpoint is that of step {best.step}: {best.said}.")
    if not is_new:
        print("The test rows are scored only once: these are the scores of that time.")
    if measured.times > 1:
        print(f"The test rows were scored {measured.times} times: expect lower scores on new text.")
    print(f"everything right {percent(measured.report.everything_right)}")
    for task in measured.report.tasks:
        print("\n".join(_task_lines(task)), flush=True)


def percent(interval: Interval | None) -> str:
    """A score with its 95 % interval."""
    if interval is None:
        return "-"
    return f"{interval.value:.1%} (95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _task_lines(task: TaskReport) -> Iterator[str]:
    yield ""
    if not task.rows:
        yield f"{task.name}: no row is labelled for it."
        return
    others = "".join(f", {name.replace('_', ' ')} {shown_score(name, value)}" for name, value in task.scores.items()
                     if name != task.main_score)
    yield f"{task.name} ({task.kind}, {task.rows:,} rows): {task.main_score.replace('_', ' ')} {percent(task.main)}{others}"
    if task.reliability:
        yield f"  {task.reliability.sentence}"
    if task.labels:
        width = max(len(line.label[:30]) for line in task.shown_labels)
        yield f"  {'':{width}}  precision  recall     F1  support"
    for line in task.shown_labels:
        yield f"  {line.label[:30]:{width}}  {line.precision:9.1%}  {line.recall:6.1%}  {line.f1:5.1%}  {line.support:7,}"
    if task.labels_left_out:
        yield f"  {task.labels_left_out} --json has them all."
    if errors := task.errors:
        yield f"  {VALUES[task.kind].items_name}: " + ", ".join(f"{count} {sort.replace('_', ' ')}" for sort, count in errors.items())
    elif wrong := sorted(((count, gold, made) for gold, row in task.confusion.items() for made, count in row.items() if made != gold),
                         key=lambda cell: -cell[0]):
        yield "  most confused: " + "; ".join(f"{gold} taken for {made} {count}" for count, gold, made in islice(wrong, CONFUSIONS))
