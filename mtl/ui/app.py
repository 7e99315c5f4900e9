"""The page: one function builds it from its tabs, one says how it is served. Widgets and wiring only; nothing is computed here."""

import os
import secrets
from typing import Any

import gradio as gr

from mtl.jobs.queue import Jobs
from mtl.ui.compare_tab import CompareTab
from mtl.ui.messages import show_messages
from mtl.ui.page import Page, Values, text_of
from mtl.ui.predict_tab import PredictTab
from mtl.ui.scores_tab import ScoresTab
from mtl.ui.train_tab import TrainTab

THEME = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300")
TITLE = """# MTL Studio
Train one model for several tasks at once, on your own sentences: it learns to label them, to find names in them, or both. Watch it learn,
and try it while it does."""
POLL = 0.02, 0.1  # seconds between two checks of Gradio's queue: for work, and for progress to send


def build_app(jobs: Jobs) -> gr.Blocks:
    """The page over the runs of `jobs`."""
    with gr.Blocks(title="MTL Studio", delete_cache=(3600, 86400)) as demo:
        gr.Markdown(TITLE)
        # With a key and a secret that are fixed, a browser still knows its runs after the app was restarted. Its contents are not trusted.
        browser = gr.BrowserState({"key": "", "run": "", "comparison": ""}, storage_key="mtl-studio",
                                  secret=os.environ.get("MTL_SECRET", "mtl-studio"))
        page = Page(jobs, browser)
        with gr.Tab("Train", id="train"):
            train = TrainTab(page)
        with gr.Tab("Data", id="data"):
            train.form.data.show_report()
        with gr.Tab("Scores", id="scores") as tab:
            ScoresTab(page, tab)
        with gr.Tab("Predict", id="predict") as tab:
            PredictTab(page, tab)
        with gr.Tab("Compare", id="compare") as tab:
            compare = CompareTab(page, train.form, tab)

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

        restored = dict.fromkeys([*train.menu.outputs, *compare.menu.outputs, *train.form.outputs])  # each once
        demo.load(restore, browser, list(restored), **page.quiet).then(**train.form.data.read)
        show_messages(demo, page.message)
    demo.queue(max_size=64, default_concurrency_limit=4)
    # Gradio 6.31 checks its queue 900 times a second, which slows a training on the same cores; on Windows it waits longer anyway
    demo._queue.sleep_when_free, demo._queue.progress_update_sleep_when_free = POLL
    return demo


def launch_options(jobs: Jobs) -> dict[str, Any]:
    """How the page is served: no files of this machine, no monitoring, no history of inputs in the visitors' browsers."""
    return {"theme": THEME, "css": text_of("style.css"), "js": text_of("focus.js"), "show_error": False, "footer_links": [],
            "ssr_mode": False, "mcp_server": False, "max_file_size": "20mb" if os.environ.get("SPACE_ID") else "200mb",
            "allowed_paths": [], "blocked_paths": [str(jobs.root)], "strict_cors": True, "enable_monitoring": False, "run_history": False}
