"""What all tabs of one page share: its hidden state, menus of runs, and how a part of it knows what is new."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import gradio as gr

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.folder import Run
from mtl.ui.status import state_of

Values = dict[gr.components.Component, Any]  # a value per widget; a handler that returns it leaves all other widgets as they are
MENU_LENGTH = 50


def text_of(name: str) -> str:
    """The contents of a file in this folder: style.css, or a script."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def hidden_text(name: str | None = None) -> gr.Textbox:
    """A text that is part of the page's state and is not shown."""
    return gr.Textbox(visible="hidden", elem_id=name)


@dataclass(frozen=True)
class Page:
    """The browser's memory {key, run, comparison}; the id of the run that is shown; `news`, which changes with that run's state,
    evaluations, warnings and scores, but not with its steps; and the box for messages to the user."""

    jobs: Jobs
    browser: gr.BrowserState
    run_id: gr.Textbox = field(default_factory=lambda: hidden_text("run-id"))
    news: gr.Textbox = field(default_factory=hidden_text)
    message: gr.HTML = field(default_factory=lambda: gr.HTML(elem_id="message"))  # over the page, so that nothing moves when it is filled
    _nowhere: gr.Timer = field(default_factory=lambda: gr.Timer(active=False))

    @property
    def unseen(self) -> dict[str, Any]:
        """Arguments of an event that shows no progress. Gradio 6.31 copies the whole content of a component at every event if progress was
        ever shown on it, even hidden: so it is shown on one that is empty and never drawn."""
        return {"show_progress": "hidden", "show_progress_on": self._nowhere, "api_visibility": "private"}

    @property
    def quiet(self) -> dict[str, Any]:
        """The same for a handler that is quick: it does not wait in Gradio's queue."""
        return self.unseen | {"queue": False}


class OnPage:
    """A dataclass whose values are kept in a hidden text of the page, as JSON."""

    @classmethod
    def read(cls, text: str | None) -> Self:
        """The value that is written in `text`."""
        return cls(**json.loads(text or "{}"))

    def __str__(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Cursor(OnPage):
    """What a part of the page shows. When another cursor is due, that part is drawn again. A plot that gets other colours and other values
    at once goes on drawing the old ones (gradio 6.31): so plots whose colours change are emptied first, and drawn with the next poll."""

    shown: str = ""  # the id of a run, or of a comparison
    plots: str = ""  # which plots are there with their colours; empty: none
    steps: str = ""  # up to which step

    def must_empty(self, due: "Cursor") -> bool:
        """Whether plots are there whose colours are not those of the cursor that is `due`."""
        return self.shown != due.shown or self.plots not in ("", due.plots)


class Menu:
    """A menu of runs, or of comparisons: chooses the one that is shown, and deletes it. `memory` is the key of its id in the browser's
    memory; `find` and `find_all` read them from disk, `name` gives their names."""

    def __init__(self, page: Page, shown: gr.Textbox, memory: str, find: Callable[[Path, str], Run],
                 find_all: Callable[[Path, str], list], name: Callable[[Any], str], **widget: Any) -> None:
        self.page, self.shown, self.memory = page, shown, memory
        self._find, self._find_all, self._name = find, find_all, name
        self.widget = gr.Dropdown([], **widget)
        self.outputs = [shown, page.browser, self.widget]

    def wire(self, delete_button: gr.Button, question: str, news: gr.Textbox) -> gr.events.Dependency:
        """List the choices when the menu is opened and when `news` changes; delete after a `question`. Returns the event of a choice."""
        browser, quiet = self.page.browser, self.page.quiet
        gr.on([self.widget.focus, news.change], lambda memory: gr.update(choices=self.choices(memory)), browser, self.widget, **quiet)
        delete_button.click(self.delete, [self.shown, browser], self.outputs, js=confirm(question), **quiet)
        return self.widget.input(lambda chosen, memory: (chosen, memory | {self.memory: chosen}), [self.widget, browser],
                                 [self.shown, browser], **quiet)

    def choices(self, browser: dict) -> list[tuple[str, str]]:
        """(name and state, id) of the newest ones that this browser may list, and of the one that is shown, whoever owns it."""
        root, shown = self.page.jobs.root, browser.get(self.memory, "")
        found = {run.id: run for run in self._find_all(root, browser["key"])[:MENU_LENGTH]}
        with suppress(MtlError):  # none is shown, or it was deleted
            found.setdefault(shown, self._find(root, shown))
        return [(f"{self._name(run)}, {state_of(run)}", run.id) for run in found.values()]

    def existing(self, run_id: Any) -> str:
        """`run_id`, or an empty text if there is no such run or comparison."""
        with suppress(MtlError):
            return self._find(self.page.jobs.root, str(run_id)).id
        return ""

    def turn_to(self, run_id: str, browser: dict) -> Values:
        """Show another one (empty: none), and have the browser remember it."""
        browser = browser | {self.memory: run_id}
        return {self.shown: run_id, self.page.browser: browser,
                self.widget: gr.update(choices=self.choices(browser), value=run_id or None)}

    def delete(self, run_id: str, browser: dict) -> Values:
        """Delete the one that is shown; an empty id means that the user said no."""
        if not run_id:
            return {}
        self.page.jobs.delete(run_id, browser["key"])
        return self.turn_to("", browser)


def confirm(question: str) -> str:
    """JavaScript that asks before an event whose inputs are an id and the browser's memory; the answer no empties the id."""
    return f"(id, browser) => confirm({json.dumps(question)}) ? [id, browser] : ['', browser]"


def control_buttons(prefix: str, *names: str, **labels: str) -> dict[str, gr.Button]:
    """Buttons to pause, resume, stop or delete a run or a comparison, disabled, with the ids `prefix` + name; `labels` if not the names."""
    return {name: gr.Button(labels.get(name, name.capitalize()), variant="stop" if name == "stop" else "secondary", interactive=False,
                            min_width=200 if name in labels else 90, elem_id=prefix + name) for name in names}


def command(act: Callable[[str, str], Any]) -> Callable[[str, dict], None]:
    """A handler that calls `act(id, owner's key)`."""
    def handle(run_id: str, browser: dict) -> None:
        act(run_id, browser["key"])
    return handle
