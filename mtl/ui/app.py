"""The page: one function that builds it, and how it is served. Widgets and wiring only; what they show is computed elsewhere."""

import os
import secrets
from typing import Any

import gradio as gr

from mtl.jobs.queue import Jobs
from mtl.ui.compare_tab import CompareTab
from mtl.ui.messages import let_all_tell
from mtl.ui.page import Page
from mtl.ui.predict_tab import PredictTab
from mtl.ui.scores_tab import ScoresTab
from mtl.ui.train_tab import TrainTab

THEME = gr.themes.Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300")
CSS = """
.mtl-status progress { width: 100%; height: 10px; margin: 6px 0; accent-color: #2563eb; }
.mtl-badge { padding: 2px 10px; border-radius: 10px; background: #475569; color: white; font-size: 0.9em; }
.mtl-running { background: #15803d; } .mtl-failed { background: #b91c1c; } .mtl-finished { background: #1d4ed8; }
.mtl-paused, .mtl-queued, .mtl-stopping, .mtl-interrupted { background: #a16207; }
#log textarea, #findings textarea { font-family: ui-monospace, monospace; font-size: 0.8em; }
.mtl-legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 0.85em; }
.mtl-legend i { display: inline-block; width: 14px; height: 4px; margin-right: 5px; vertical-align: middle; border-radius: 2px; }
@media (max-width: 700px) { .run-column { order: -1; } }
.mtl-status { padding: 4px 2px; }
.mtl-report h4 { margin: 10px 0 4px; } .mtl-report p { margin: 4px 0; } .mtl-report { font-size: 0.9em; }
.mtl-report table { border-collapse: collapse; width: 100%; } .mtl-report td, .mtl-report th { padding: 2px 8px 2px 0; text-align: left; }
.mtl-report tbody tr { border-top: 1px solid var(--border-color-primary); } .mtl-scroll { overflow-x: auto; }
.mtl-report summary { cursor: pointer; margin-top: 8px; font-weight: 600; }
.mtl-finding { border-left: 4px solid #64748b; padding-left: 8px; } .mtl-finding b { text-transform: uppercase; font-size: 0.8em; }
#compare-members td, #compare-members th, #compare-result td, #compare-result th { border: 0 !important; }
#compare-result td { white-space: nowrap; }
.mtl-difference { position: relative; display: block; height: 8px; margin: 4px 0; max-width: 420px; background: linear-gradient(to right,
  transparent calc(50% - 1px), currentColor calc(50% - 1px), currentColor calc(50% + 1px), transparent calc(50% + 1px)); }
.mtl-difference i { position: absolute; top: 2px; height: 4px; background: #2563eb; opacity: 0.6; }
.mtl-difference u { position: absolute; top: 0; width: 3px; height: 8px; background: #2563eb; }
.mtl-problem { border-color: #b91c1c; } .mtl-warning { border-color: #a16207; } .mtl-fine { border-color: #15803d; }
.mtl-heat { display: grid; grid-template-columns: minmax(0, max-content) minmax(80px, 1fr) max-content; gap: 3px 8px;
  align-items: center; font-size: 0.9em; }
.mtl-heat b { font-weight: 400; overflow-wrap: anywhere; } .mtl-heat span { display: flex; min-width: 80px; }
.mtl-heat small { opacity: 0.75; }
.mtl-heat i { flex: 1; height: 18px; min-width: 1px; }
.mtl-agree, .mtl-disagree { border-left: 12px solid #2563eb; padding-left: 5px; margin-left: 6px; } .mtl-disagree { border-color: #dc2626; }
@media (max-width: 700px) { .mtl-heat { grid-template-columns: 1fr max-content; } .mtl-heat b { grid-column: 1 / -1; } }
@media (max-width: 700px) { .tab-container button { padding: 0 7px; font-size: 0.9em; } }
.mtl-bars { display: flex; align-items: flex-end; gap: 2px; height: 60px; } .mtl-bars i { flex: 1; background: #2563eb; min-height: 1px; }
.mtl-row { border-top: 1px solid var(--border-color-primary); padding: 6px 0; overflow-wrap: anywhere; }
.mtl-row div { opacity: 0.8; font-size: 0.9em; display: flex; flex-wrap: wrap; gap: 2px 12px; }
.mtl-row mark { background: color-mix(in srgb, var(--c) 22%, transparent); color: inherit; border-radius: 3px; padding: 0 2px; }
.mtl-row sub { font-size: 0.7em; margin-left: 3px; opacity: 0.8; }
.mtl-scores > summary { font-size: 1.2em; } .mtl-scores td { white-space: nowrap; }
/* a long name wraps, so that the numbers beside it stay in sight */
.mtl-report td:first-child, .mtl-report th { white-space: normal; overflow-wrap: break-word; max-width: max(8em, 30vw); }
.mtl-status b, .mtl-legend span, .mtl-report p, .mtl-report h4, .mtl-report summary, #tasks label span { overflow-wrap: anywhere; }
[id^="classified-"] :is(h2, dt) { overflow-wrap: anywhere; min-width: 0; text-align: start; } [id^="classified-"] dd { flex: none; }
[id^="classified-"] .inner-wrap { min-width: 0; } [id^="classified-"] h2 { padding-top: 0; }
[id^="classified-"] [data-testid="block-label"] { position: static; width: fit-content; max-width: 100%; margin-bottom: 8px;
  overflow-wrap: anywhere; }
.gradio-container input[role="combobox"] { text-overflow: ellipsis; }
[id^="tagged-"] .textfield { word-break: normal; overflow-wrap: anywhere; } [id^="tagged-"] .label { unicode-bidi: isolate; }
/* settings in as many columns as can be read */
.mtl-settings .block { min-width: min(200px, 100%) !important; }
/* where the keyboard is */
:root { --mtl-focus: #1d4ed8; } .dark { --mtl-focus: #93c5fd; }
.gradio-container :is(button, a, summary, [tabindex], input[type="range"]):focus-visible, label:has(input:is([type="radio"],
  [type="checkbox"]):focus-visible), .wrap:has(> .wrap-inner input:focus-visible) {
  outline: 3px solid var(--mtl-focus) !important; outline-offset: -2px; }
.mtl-scores td, .mtl-scores th { border-color: var(--border-color-primary) !important; padding: 2px 6px !important; }
.mtl-interval { position: relative; width: 120px; height: 8px; border-radius: 4px; background: var(--border-color-primary); }
.mtl-interval i { position: absolute; height: 8px; min-width: 2px; border-radius: 4px; background: #6fa8ff; }
.mtl-interval b { position: absolute; width: 2px; height: 12px; top: -2px; background: currentColor; }
.mtl-report .mtl-confusion { width: auto; } .mtl-report .mtl-confusion td { padding: 2px 6px; text-align: right; min-width: 28px; }
.mtl-confusion thead th span { writing-mode: vertical-rl; max-height: 140px; overflow: hidden; }
.mtl-confusion thead { vertical-align: bottom; }
.mtl-hit { background: color-mix(in srgb, #2563eb var(--s), transparent); }
.mtl-miss { background: color-mix(in srgb, #dc2626 var(--s), transparent); }
.mtl-stack { display: flex; height: 14px; border-radius: 4px; overflow: hidden; margin: 6px 0; } .mtl-stack i { min-width: 2px; }
#task-table, #last-values { font-family: system-ui, sans-serif; --font-mono: system-ui, sans-serif; }
#message { position: fixed; bottom: 16px; left: 50%; transform: translateX(-50%); z-index: 100; width: min(560px, calc(100vw - 24px));
  pointer-events: none; }
.mtl-message { display: flex; align-items: flex-start; gap: 12px; padding: 10px 14px; pointer-events: auto; color: var(--body-text-color);
  border: 1px solid var(--border-color-primary); border-left: 5px solid #a16207; border-radius: 8px;
  background: var(--background-fill-primary); box-shadow: 0 2px 14px rgb(0 0 0 / 45%); }
.mtl-message span { flex: 1; overflow-wrap: anywhere; } .mtl-message button { font-size: 1.4em; line-height: 1; padding: 0 4px; }
footer { display: none !important; }
"""
# A pressed button that can no longer be pressed loses the focus: it goes to the button that now takes its place, else to what is said of
# the run, and nowhere if the person has moved on meanwhile.
KEEP_FOCUS = """() => {
  const next = {pause: ['resume', 'status'], resume: ['pause', 'status'], stop: ['resume', 'status'], delete: ['status'],
    'compare-resume': ['compare-stop', 'compare-state'], 'compare-stop': ['compare-resume', 'compare-state'],
    'compare-delete': ['compare-state'], 'measure-test': ['scores']};
  let last = null;
  document.addEventListener('focusin', (event) => { last = event.target; });
  document.addEventListener('focusout', (event) => { if (!event.target.disabled) last = null; });
  new MutationObserver(() => setTimeout(() => {
    if (!last?.disabled || ![null, document.body, last].includes(document.activeElement)) return;
    const heir = (next[last.id] ?? []).map((id) => document.getElementById(id)).find((part) => part && !part.disabled);
    if (!heir) return;
    if (heir.tagName !== 'BUTTON') heir.tabIndex = -1;
    heir.focus();
  })).observe(document.body, {subtree: true, attributeFilter: ['disabled']});
}"""
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
            train.data.show_report()
        with gr.Tab("Scores", id="scores") as tab:
            ScoresTab(page, tab)
        with gr.Tab("Predict", id="predict") as tab:
            PredictTab(page, tab)
        with gr.Tab("Compare", id="compare") as tab:
            compare = CompareTab(page, train, tab)

        def restore(memory: Any, request: gr.Request) -> list:
            """Who this browser is and what it looked at: the run in the address, else the one it saw last."""
            jobs.prepare()
            memory = memory if isinstance(memory, dict) else {}
            key = memory.get("key") if isinstance(memory.get("key"), str) and memory.get("key") else secrets.token_urlsafe(32)
            # a link to a run that was deleted stays, and the run's state says that it was
            run_id = str(request.query_params.get("run") or train.still_there(memory.get("run")))
            browser = {"key": key, "run": train.still_there(run_id), "comparison": compare.remembered(memory)}
            return [browser, run_id, gr.update(choices=train.choices(browser), value=browser["run"] or None), *compare.restore(browser),
                    *train.fill_form(run_id)]

        demo.load(restore, browser, [browser, page.run_id, train.menu, compare.comparison_id, compare.menu, *train.form_outputs()],
                  **page.quiet).then(**train.data.look)
        let_all_tell(demo, page.message)
    demo.queue(max_size=64, default_concurrency_limit=4)
    # gradio's queue looks for work 900 times a second (6.31), which a training on the same cores feels; on Windows it waits longer too
    demo._queue.sleep_when_free, demo._queue.progress_update_sleep_when_free = IDLE
    return demo


def launch_options(jobs: Jobs) -> dict[str, Any]:
    """How the page is served: nothing of this machine's disk, no monitoring, no history of inputs in the visitors' browsers."""
    return {"theme": THEME, "css": CSS, "js": KEEP_FOCUS, "show_error": False, "footer_links": [], "ssr_mode": False, "mcp_server": False,
            "max_file_size": "20mb" if os.environ.get("SPACE_ID") else "200mb", "allowed_paths": [], "blocked_paths": [str(jobs.root)],
            "strict_cors": True, "enable_monitoring": False, "run_history": False}
