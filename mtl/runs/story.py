"""What happens in a run, in one to three plain sentences, from its history alone. Claims nothing that the numbers do not show."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from mtl.runs.checkpoint import BEST
from mtl.runs.history import ENDED, History
from mtl.settings.best import CORRELATION
from mtl.text import PLURALS, duration, isolate, many, roughly, shorten

TOP, ENOUGH = 0.97, 4  # from this score on hardly anything is wrong; with fewer evaluations it is too early to say that one hardly rises
CHANCE = 1.5  # standard errors; 2.8 if two evaluations were of different rows, but those of the same rows differ less by chance
FEW = 0.05  # with a larger standard error, chance hides all but large changes
NAMED, LONGEST = 3, 30  # at most so many tasks at once are named, by so many characters
TIMED = 10.0  # seconds of training, over less of which no speed is told
UNLEARNED = {"guesses": "is not clearly better than guessing", "constant": "has the same answer for every row"}
SORTS = UNLEARNED | {"falls": "has fallen", "rises": "is still rising", "unsure": "is not clearly rising",
                     "flat": "has hardly risen lately", "top": "is almost always right"}  # how a task does -> what is said of it
Curve = list[tuple[int, float]]  # steps and values


def tell(history: History) -> str:
    """What `history` shows and the status line does not say; may be empty. Names of tasks are isolated in it, but not escaped."""
    started, guess, is_over = history.started, history.estimate, history.status in (*ENDED, "interrupted")
    sentences = ["Training stands still until it is resumed."] * (history.state == "paused")
    if history.status == "queued":
        sentences = ["Training begins by itself when it is the turn of this run."]
    elif not started:
        sentences += ["The curves begin with the first steps."] * (history.status == "running")
    elif any(seen.step for seen in history.evaluations):  # the one of step 0 is of a few rows
        sentences += _about_scores(history, is_over)
    elif is_over or not started.eval_every:
        sentences.append("It ended before its first scores." if is_over else "There are no scores yet.")
    else:
        step = min(started.eval_every, started.total_steps)
        after = f", after about {duration(guess.training * step / (started.total_steps - started.step))} of training" if guess else ""
        rises = _say_all({"rises": {task: found for task in started.tasks if (found := _rise(history, task))}})
        sentences += [f"By quick looks at {many(history.sampled[-1].rows, 'validation row')}, {rises}{_left(history)}."] if rises else []
        sentences.append(f"The first {'full ' * bool(rises)}scores come at step {step:,}{after}.")
    return " ".join(sentences[:3])


def _about_scores(history: History, is_over: bool) -> list[str]:
    """How the tasks do by the evaluations, of which there is at least one, and what that means."""
    found, by_heart, few = defaultdict(dict), [], []
    looks = [seen for seen in history.evaluations if seen.split == "validation" and seen.step]
    for task, facts in history.started.tasks.items():
        scores = [(seen.step, seen.scores.get(task, {})) for seen in looks]
        if (curve := _known((step, of_task.get(facts["main_score"])) for step, of_task in scores)) and facts["weight"]:  # 0: not trained
            rows, error = facts["validation_rows"], _error(curve[-1][1], facts["validation_rows"], facts["main_score"])
            classes = len(facts["labels"]) if facts["main_score"] == "accuracy" else 0
            sort, since = _sort(curve, error, classes, scores[-1][1].get("macro_f1") or 0.0)
            if facts["main_score"] == CORRELATION:  # 0 if all answers are the same; and even a high one does not mean that they are right
                sort = "constant" if curve[-1][1] == 0 else "flat" if sort == "top" else sort
            rise = _rise(history, task) if sort in ("new", "unsure") and not is_over else ""
            sort = "rises" if rise else sort
            found[sort][task] = rise or _change(history, curve, since)
            few += [rows] * (error > FEW and sort in ("guesses", "unsure"))
            losses = [_known((event.step, event.losses.get(task)) for event in events) for events in (looks, history.steps)]
            by_heart += [task] * (sort in ("falls", "flat") and _is_by_heart(*losses, rows))
    told = _say_all(found)
    before = "By the last scores, " * is_over + "nothing is clearly learned: " * (found.keys() <= UNLEARNED.keys())
    sentences = [f"{before[:1].upper()}{before[1:]}{told}{_left(history)}." if told else "It is too early to say how the scores move."]
    if by_heart:
        sentences.append(f"The validation loss of {_say(by_heart)} has risen while the training loss fell: "
                         "the model is learning the training rows by heart.")
    if few:
        sentences.append(f"With {many(min(few), 'validation row')}, chance alone moves a score by many points.")
    if history.status == "finished" and "rises" in found:
        sentences.append("More epochs may help.")
    if not is_over and len(looks) >= ENOUGH and told and found.keys() <= {"falls", "flat", "top"} and BEST in history.checkpoints:
        sentences.append(f"You can stop now{', or train with more data' * bool(by_heart)}: the best weights are kept.")
    return sentences


def _rise(history: History, task: str) -> str:
    """How fast a task rises by the quick looks; empty if they do not show that it does."""
    curve = _known((look.step, look.scores.get(task)) for look in history.sampled)
    facts, started = history.started.tasks[task], history.started
    if not curve or not facts["weight"]:
        return ""
    rows = history.sampled[-1].rows * facts["validation_rows"] / max(1, started.validation_rows)
    sort, since = _sort(curve, _error(curve[-1][1], rows, facts["main_score"]), 0, 0.0)
    return _change(history, curve, since) if sort == "rises" else ""


def _change(history: History, curve: Curve, since: tuple[int, float] | None) -> str:
    """By how much a task rises or has fallen since a step and its score: of a rise, the points a minute, if it is long enough."""
    if since is None:
        return ""
    points = 100 * (curve[-1][1] - since[1])
    done = [bisect_right(history.steps, step, key=lambda event: event.step) for step in (since[0], curve[-1][0])]
    then, now = (history.steps[count - 1].seconds if count else 0.0 for count in done)
    if points < 0 or now - then < TIMED:
        return f"{abs(points):.1f} points since step {since[0]:,}"
    speed, unit = 60 * points / (now - then), "a minute"
    if speed < 0.5:
        speed, unit = 60 * speed, "an hour"
    return f"{speed:.{int(speed < 10)}f} points {unit}"


def _left(history: History) -> str:
    """The time left, as the end of a sentence; empty if it is not known, or if the run does not go on."""
    if history.status != "running" or (left := history.seconds_left) is None:
        return ""
    return f"; {'at most ' * bool(history.estimate and history.estimate.may_end_early)}{roughly(left)} left"


def _say_all(found: Mapping[str, Mapping[str, str]]) -> str:
    """What is said of the tasks of each sort, with their changes if they are few enough and told in one unit."""
    told = []
    for sort, said in SORTS.items():
        if tasks := found.get(sort):
            numbers, units = zip(*(change.partition(" ")[::2] for change in tasks.values()), strict=True)
            is_clear = units[0] and len(set(units)) == 1 and (len(tasks) == 1 or len(tasks) <= NAMED and "since" not in units[0])
            told.append(_say(tasks, said) + f", by {_list(numbers)} {units[0]}" * bool(is_clear))
    return "; ".join(told)


def _sort(curve: Curve, error: float, classes: int, macro_f1: float) -> tuple[str, tuple[int, float] | None]:
    """How a task does, and since which step and score, if it rises or has fallen. `classes`: of a score that is an accuracy, else 0."""
    last = curve[-1][1]
    # macro F1 of one answer for all, which is right for a share `last` of the rows, if `count` classes occur
    if any(math.isclose(macro_f1, 2 * last / (1 + last) / count) for count in range(2, classes + 1)):
        return "constant", None
    if last < (1 / classes if classes else 0.0) + CHANCE * error:
        return "guesses", None
    if last >= TOP and error <= FEW:
        return "top", None
    if len(curve) == 1:
        return "new", None
    late = max(min(2, len(curve) // 2), len(curve) // 3)  # the best of so many evaluations is compared with the best before them
    step, before = max(curve[:-late], key=lambda point: point[1])
    gain = max(score for _, score in curve[-late:]) - before
    if last - before > CHANCE * error:
        return "rises", (step, before)
    if len(curve) < ENOUGH or error > FEW or gain > CHANCE / 3 * error:
        return "unsure", None
    return ("falls", (step, before)) if gain < -CHANCE * error else ("flat", None)


def _is_by_heart(losses: Curve, training: Curve, rows: int) -> bool:
    """Whether the last two validation losses are above the lowest by more than chance, but the training loss fell since. Losses of rows
    scatter about as much as they are large: by chance their mean is off by a share of 1 / sqrt(rows)."""
    if len(losses) < ENOUGH:
        return False
    (start, lowest), (one, _), (end, _) = min(losses, key=lambda point: point[1]), *losses[-2:]
    then, now = ([loss for step, loss in training if upto - (end - one) < step <= upto] for upto in (start, end))
    return bool(then and now) and fmean(now) < fmean(then) and min(loss for _, loss in losses[-2:]) > lowest * (1 + 2 / math.sqrt(rows))


def _error(score: float, rows: float, measure: str) -> float:
    """The standard error of a score of so many rows, with two hits and two misses added (Agresti and Coull, 1998), as it is never 0."""
    if measure == CORRELATION:
        return (1 - (score * rows / (rows + 4)) ** 2) / math.sqrt(rows + 4)
    share = (score * rows + 2) / (rows + 4)
    return math.sqrt(share * (1 - share) / (rows + 4))


def _known(points: Iterable[tuple[int, float | None]]) -> Curve:
    return [(step, value) for step, value in points if value is not None and math.isfinite(value)]


def _say(tasks: Iterable[str], said: str = "") -> str:
    """The names of the tasks, and `said` of them, which begins with a verb."""
    names, (verb, _, rest) = [isolate(shorten(task, LONGEST)) for task in tasks], said.partition(" ")
    if len(names) > NAMED:
        names[NAMED - 1:] = [f"{len(names) - NAMED + 1} more"]
    named = _list(names)
    return f"{named} {verb if len(names) == 1 else PLURALS[verb]} {rest}" if said else named


def _list(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
