"""The page: one function that builds it, and how it is served. Widgets and wiring only; what they show is computed elsewhere."""

import os
import secrets
from typing import Any

import gradio as gr

from mtl.jobs.queue import Jobs
from mtl.ui.compare_tab import CompareTab
from mtl.ui.messages import let_all_tell
from mtl.ui.page import Page, Values, text_of
from mtl.ui.predict_tab import PredictTab
from mtl.ui.scores_tab import ScoresTab
from mtl.ui.train_tab import TrainTab

THEME = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300")
IDLE = 0.02, 0.1  # seconds between two looks of the queue for work, and for progress to be sent


def build_app(jobs: Jobs) -> gr.Blocks:
    """The page over the runs of `jobs`."""
    with gr.Blocks(title="MTL Studio", delete_cache=(3600, 86400)) as demo:
        gr.Markdown("# MTL Studio\nOne encoder, one head per task: train them together on your text, watch, and predict while it learns.")
        # key and secret are fixed, or every restart of the app would forget whose runs are whose; what it holds is not trusted
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
            """Who this browser is and what it looked at: the run in the address, else the one it saw last."""
            jobs.prepare()
            memory = memory if isinstance(memory, dict) else {}
            key = memory.get("key") if isinstance(memory.get("key"), str) and memory.get("key") else secrets.token_urlsafe(32)
            # a link to a run that was deleted stays, and the run's state says that it was
            run_id = str(request.query_params.get("run") or train.still_there(memory.get("run")))
            remembered = {"key": key, "run": train.still_there(run_id), "comparison": compare.remembered(memory)}
            shown = train.turn_to(remembered["run"], remembered) | compare.turn_to(remembered["comparison"], remembered)
            return shown | {page.run_id: run_id} | train.form.fill(run_id)

        demo.load(restore, browser, [browser, page.run_id, train.menu, compare.comparison_id, compare.menu, *train.form.outputs],
                  **page.quiet).then(**train.form.data.look)
        let_all_tell(demo, page.message)
    demo.queue(max_size=64, default_concurrency_limit=4)
    # gradio's queue looks for work 900 times a second (6.31), which a training on the same cores feels; on Windows it waits longer too
    demo._queue.sleep_when_free, demo._queue.progress_update_sleep_when_free = IDLE
    return demo


def launch_options(jobs: Jobs) -> dict[str, Any]:
    """How the page is served: nothing of this machine's disk, no monitoring, no history of inputs in the visitors' browsers."""
    return {"theme": THEME, "css": text_of("style.css"), "js": text_of("focus.js"), "show_error": False, "footer_links": [],
            "ssr_mode": False, "mcp_server": False, "max_file_size": "20mb" if os.environ.get("SPACE_ID") else "200mb",
            "allowed_paths": [], "blocked_paths": [str(jobs.root)], "strict_cors": True, "enable_monitoring": False, "run_history": False}
