"""What a run, or a comparison, advises is a button that puts it into the form; without a browser."""

from mtl.comparing.joint_vs_alone import write_card
from mtl.comparing.plan import alone_plan, create
from mtl.runs.events import GradientConflict, RunStarted, StatusChanged
from mtl.runs.folder import Run, create_run
from mtl.settings.config import TaskSpec
from tests.comparing.test_advice import FINE, HURT, card

TASKS = (TaskSpec(name="topic", kind="classification"), TaskSpec(name="tags", kind="tagging"))


def starve(run: Run, length: float = 7.0) -> Run:
    """Log that the gradient of the topic is so long, and that of the tags 1, and that the run is finished."""
    facts = {task.name: {"main_score": "f1", "weight": 1.0} for task in TASKS}
    for event in (RunStarted(0, 50, 10, facts, 40, 10, 1000, "cpu", "fp32", 1, 1, 77),
                  *[GradientConflict(10, {"topic": length, "tags": 1.0}, [["topic", "tags", 0.1]])] * 5, StatusChanged("finished")):
        run.log.append(event)
    return run


def test_the_button_under_the_sentence_names_what_the_run_advises_and_fills_the_form_with_it(tabs, tiny_config):
    run, form = starve(create_run(tabs.jobs.root, tiny_config(tasks=TASKS, alpha=0.6, balancing="fixed"))), tabs.form
    shown = tabs.train.insight.show(run.id)
    button = shown[tabs.train.insight.use]
    assert button["visible"] and button["value"] == "Use this for the next run: Balancing = even"
    assert "Balancing &#x27;even&#x27; lets every task pull alike" in shown[tabs.train.insight.text]
    taken = tabs.form.take_from(run.id)
    assert taken.values == {form.settings["balancing"]: "even", form.settings["weights"]: "", form.alpha: "0.5"}
    assert taken.message == "The Train tab has Balancing = even now." and {*taken.values} <= {*form.outputs}

    turns = starve(create_run(tabs.jobs.root, tiny_config(tasks=TASKS, sampling="alternating", balancing="equal")))
    assert tabs.form.take_from(turns.id).values == taken.values


def test_there_is_no_button_where_nothing_is_to_be_changed(tabs, tiny_config):
    run = starve(create_run(tabs.jobs.root, tiny_config(tasks=TASKS)), length=1.0)
    assert not tabs.train.insight.show(run.id)[tabs.train.insight.use]["visible"]
    assert not tabs.train.insight.show("")[tabs.train.insight.use]["visible"]


def test_after_a_comparison_that_hurt_a_task_the_page_says_so_and_a_button_fills_the_form_with_what_helps(tabs, tiny_config):
    config = tiny_config(tasks=TASKS, epochs=3, balancing="equal")
    comparison = create(tabs.jobs.root, config, alone_plan(config, 1))
    comparison.log.append(StatusChanged("finished"))
    write_card(comparison.folder, card(FINE, HURT))
    run, compare, form = create_run(tabs.jobs.root, config), tabs.compare, tabs.form

    def button() -> dict:
        return compare.poll(comparison.id, {"key": "k"}, None, None)[compare.use_button]

    assert button()["value"] == "Use this for the next run: Balancing = fixed, Loss weights = topic 1, tags 2"  # no run of all tasks
    comparison.write_plan(comparison.plan.with_member(0, run=starve(run).id))
    shown = compare.poll(comparison.id, {"key": "k"}, None, None)[compare.result]
    assert "Lower together than alone: tags (-11.2 points). The encoder learns mostly from topic" in shown
    assert button()["visible"] and button()["value"] == "Use this for the next run: Balancing = even"
    taken = compare.use(comparison.id)
    assert taken.values == {form.settings["balancing"]: "even", form.settings["weights"]: "", form.alpha: "0.5"}

    write_card(comparison.folder, card(FINE))
    assert not button()["visible"] and "Lower together" not in compare.poll(comparison.id, {"key": "k"}, None, None)[compare.result]


def test_a_setting_that_is_off_and_an_alpha_come_back_from_a_run_as_they_were(tabs, tiny_config):
    run = create_run(tabs.jobs.root, tiny_config(freeze_embeddings=False, alpha=0.3))
    filled = tabs.form.fill(run.id)
    assert filled[tabs.form.settings["freeze_embeddings"]] is False and filled[tabs.form.alpha] == "0.3"
