"""The page: one function builds it from its tabs, one says how it is served. Widgets and wiring only; nothing is computed here."""

import os
import secrets
from collections import Counter
from importlib.util import find_spec
from typing import Any

import gradio as gr

from mtl.jobs.queue import Jobs
from mtl.ui.answering import Answers
from mtl.ui.api import add_endpoints
from mtl.ui.compare_tab import CompareTab
from mtl.ui.header import Header
from mtl.ui.live import Feed
from mtl.ui.messages import show_messages
from mtl.ui.page import Page, Values, hidden_text, text_of
from mtl.ui.predict_tab import PredictTab
from mtl.ui.runs_tab import RunsTab
from mtl.ui.scores_tab import ScoresTab
from mtl.ui.teach_panel import TeachPanel
from mtl.ui.theme import make_theme
from mtl.ui.train_tab import TrainTab
from mtl.ui.why_view import Reasons

POLL = 0.02, 0.1  # seconds between two checks of Gradio's queue: for work, and for progress to send
# style.css reaches what is inside Gradio's page only: in the dark its body stays light else, and a Space draws its bar over the header
AROUND = "<style>body { background: var(--paper) !important; } #huggingface-space-header { top: auto !important; bottom: 16px; }</style>"
COUNT = "() => String(window.mtl.count = (window.mtl.count ?? 0) + 1)"  # another text each time
SCRIPTS = "live.js", "plot.js", "series.js", "curves.js", "tip.js", "why.js"  # each needs those before it
STYLES = "style.css", "many.css", "why.css"
# Gradio 6.31 ends a request with an internal error if a value is not among the choices. They may have changed while it was on its way, or
# while the page was still; every handler checks what it gets, and says what is wrong.
for _widget in (gr.Radio, gr.CheckboxGroup, gr.Dropdown):
    _widget.preprocess = lambda self, payload: payload


def build_app(jobs: Jobs) -> gr.Blocks:
    """The page over the runs of `jobs`."""
    with gr.Blocks(title="MTL Studio", delete_cache=(3600, 86400)) as demo:
        add_endpoints(jobs)  # first, so that no event of the page takes their names
        # With a key and a secret that are fixed, a browser still knows its runs after the app was restarted. Its contents are not trusted.
        browser = gr.BrowserState({"key": "", "run": "", "comparison": ""}, storage_key="mtl-studio",
                                  secret=os.environ.get("MTL_SECRET", "mtl-studio"))
        page = Page(jobs, browser)
        header = Header(page)
        with gr.Tab("Train", id="train"):
            train = TrainTab(page, header)
        with gr.Tab("Predict", id="predict") as tab:
            TeachPanel(page, PredictTab(page, tab), header.menu)
        with gr.Tab("Scores", id="scores") as tab:
            ScoresTab(page, tab)
        with gr.Tab("Data", id="data"):
            train.form.data.show_report()
        with gr.Tab("Runs", id="runs") as runs_tab:
            runs = RunsTab(page, header.menu, train.form)
        with gr.Tab("Compare", id="compare") as tab:
            compare = CompareTab(page, train.form, tab)
        runs.wire(runs_tab, compare)

        def restore(memory: Any, request: gr.Request) -> Values:
            """Who this browser is, and which run it shows: the one in the address, else the one it showed last."""
            jobs.prepare()
            memory = memory if isinstance(memory, dict) else {}
            key = memory.get("key") if isinstance(memory.get("key"), str) and memory.get("key") else secrets.token_urlsafe(32)
            # the id of a deleted run in the address stays there, so that the status line can say that it was deleted
            run_id = str(request.query_params.get("run") or train.menu.existing(memory.get("run")))
            memory = {"key": key, "run": train.menu.existing(run_id), "comparison": compare.menu.existing(memory.get("comparison"))}
            shown = train.menu.turn_to(memory["run"], memory) | compare.menu.turn_to(memory["comparison"], memory)
            return shown | {page.run_id: run_id} | train.form.fill(run_id)

        def take_link(request: gr.Request) -> Values:
            """The settings in the address, unless it names a run."""
            return {} if "run" in request.query_params else train.form.take_link(request.query_params)

        restored = dict.fromkeys([*train.menu.outputs, *compare.menu.outputs, *train.form.outputs])  # each once
        demo.load(restore, browser, list(restored), **page.quiet).then(take_link, None, train.form.outputs, **page.quiet).then(
            **train.form.data.read)
        show_messages(demo, page.message)
        separate(demo)
    demo.queue(max_size=64, default_concurrency_limit=4)
    # Gradio 6.31 checks its queue 900 times a second, which slows a training on the same cores; on Windows it waits longer anyway
    demo._queue.sleep_when_free, demo._queue.progress_update_sleep_when_free = POLL
    return demo


def separate(demo: gr.Blocks) -> None:
    """Give every handler that runs 'always_last' and shares its event an event of its own, the change of a hidden text. Gradio 6.31 answers
    one event by one handler after another, so that quick ones wait for slow ones; and when one of them was busy, it begins the event again
    for all, then others are busy, and so on: the page may ask the server without end."""
    handlers = Counter(target for event in demo.fns.values() for target in event.targets)
    for event in list(demo.fns.values()):
        targets = [(place, name) for place, name in event.targets if place is not None]  # not what follows another handler
        if event.trigger_mode == "always_last" and event.fn and any(handlers[target] > 1 for target in targets):
            relay = hidden_text()
            gr.on([getattr(demo.blocks[place], name) for place, name in targets], None, None, relay, js=COUNT, trigger_mode="multiple",
                  queue=False, show_progress="hidden", api_visibility="private")
            event.targets = [(relay._id, "change")]


def launch_options(jobs: Jobs) -> dict[str, Any]:
    """How the page is served: no files of this machine, no monitoring, no history of inputs in the visitors' browsers."""
    scripts = "".join(map(text_of, SCRIPTS))
    return {"theme": make_theme(), "css": "".join(map(text_of, STYLES)), "js": text_of("focus.js"),
            "head": f"<script>{scripts}</script>{AROUND}", "show_error": False, "footer_links": [], "ssr_mode": False,
            "mcp_server": _serves_mcp(), "max_file_size": "20mb" if os.environ.get("SPACE_ID") else "200mb",
            "allowed_paths": [], "blocked_paths": [str(jobs.root)], "strict_cors": True, "enable_monitoring": False, "run_history": False,
            "app_kwargs": {"routes": [Feed(jobs).route, Answers(jobs).route, Reasons(jobs).route]}}


def _serves_mcp() -> bool:
    """Whether the endpoints are MCP tools too: if MTL_MCP is set, and what that needs is installed; if it is not, a sentence says so."""
    is_wanted, is_here = bool(os.environ.get("MTL_MCP")), find_spec("mcp") is not None
    if is_wanted and not is_here:
        print("MTL_MCP is set, but MCP needs a package that is not installed: pip install 'mcp>=1.21,<2', then start again.", flush=True)
    return is_wanted and is_here
