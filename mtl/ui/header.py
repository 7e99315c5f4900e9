"""The header, seen from every tab: the name, the run that is shown with its state and progress, the menu of runs, its link, the theme."""

import os
from functools import partial

import gradio as gr

from mtl.runs.folder import list_runs, open_run
from mtl.ui.page import MENU_LENGTH, Menu, Page, text_of
from mtl.ui.status import run_name


class Header:
    """The widgets: `menu`, and `link` with the address of the run."""

    def __init__(self, page: Page) -> None:
        with gr.Row(elem_id="header"):
            gr.HTML("<h1>MTL Studio</h1>", elem_id="brand")
            gr.HTML(html_template=text_of("header.html"), js_on_load=text_of("header.js"), elem_id="header-run")
            self.menu = Menu(page, page.run_id, "run", open_run, partial(list_runs, most=MENU_LENGTH), run_name, label="Show a run",
                             elem_id="run-menu", container=False, min_width=120, show_label=False)
            if os.environ.get("SPACE_ID"):
                gr.DuplicateButton("Duplicate this Space", elem_id="duplicate", size="sm")  # and train there without this one's limits
            self.link = gr.Textbox(visible="hidden", elem_id="link")
        host = os.environ.get("SPACE_HOST", "").split(",")[0]  # domains of its owner follow
        page.run_id.change(None, page.run_id, self.link, js=text_of("link.js").replace("SPACE_HOST", host), **page.quiet)
