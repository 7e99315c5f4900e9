"""A file in, a file out: how far the visitor's file is, which of its columns has the text, Cancel, and Download. It is predicted by
mtl/jobs/file_jobs.py; the page asks once a second while it is."""

from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from mtl.errors import MtlError
from mtl.jobs.file_jobs import FileJob, FileJobs
from mtl.runs.folder import STARTER_NAME
from mtl.text import many, roughly
from mtl.ui.page import Page, Values
from mtl.ui.templates import render

EVERY = 1.0  # seconds


class FilePanel:
    """The row that appears below the models once a file was uploaded."""

    def __init__(self, page: Page, tab: gr.Tab, upload: gr.UploadButton, model: gr.Dropdown) -> None:
        self.files = FileJobs(page.jobs, Path(get_upload_folder()) / "predicted")
        with gr.Row(visible=False, elem_id="file", elem_classes="mtl-asked") as self.row:
            self.state = gr.HTML(elem_id="file-state")
            self.column = gr.Dropdown([], label="Column with the text", elem_id="file-column", visible=False, container=False,
                                      allow_custom_value=True)
            self.cancel = gr.Button("Cancel", size="sm", elem_id="file-cancel")
            self.download = gr.DownloadButton(visible=False, size="sm", elem_id="answers-file")
        self.timer = gr.Timer(EVERY, active=False)
        shown, quiet, browser = [self.row, self.state, self.column, self.cancel, self.download, self.timer], page.quiet, page.browser
        upload.upload(self.start, [browser, upload, model], shown, **quiet)
        self.column.input(self.start_again, [browser, self.column], shown, **quiet)
        self.cancel.click(self.stop, browser, shown, **quiet)
        tab.select(self.show, browser, shown, **quiet)
        self.timer.tick(self.show, browser, shown, **quiet)

    def start(self, browser: dict, file: str, choice: str, column: str = "") -> Values:
        """Predict the rows of a file that was uploaded."""
        self.files.start(browser["key"], FileJob(Path(file), choice or STARTER_NAME, column))
        return self.show(browser)

    def start_again(self, browser: dict, column: str) -> Values:
        """The same file again, with the text in another column."""
        if (job := self.files.of(browser["key"])) is None:
            return {}
        if column not in job.columns:  # a browser may send any text
            raise MtlError("There is no such column in this file. Choose one of the list.")
        return self.start(browser, str(job.path), job.choice, column)

    def stop(self, browser: dict) -> Values:
        """Cancel it."""
        self.files.cancel(browser["key"])
        return self.show(browser)

    def show(self, browser: dict) -> Values:
        """How far the visitor's file is; the page asks again until that is over."""
        if (job := self.files.of(browser["key"])) is None:
            return {self.row: gr.update(visible=False), self.timer: gr.Timer(active=False)}
        told = render("file.html", job=job, ahead=self.files.ahead(job), left=roughly(job.seconds_left or 0), noted=_noted(job))
        shown = {self.row: gr.update(visible=True), self.state: told, self.timer: gr.Timer(active=not job.is_over)}
        shown |= {self.cancel: gr.update(visible=not job.is_over, interactive=not job.cancelled.is_set()),
                  self.column: gr.update(visible=job.is_over and len(job.columns) > 1, choices=list(job.columns), value=job.column)}
        return shown | {self.download: gr.update(visible=True, value=str(job.result), label=f"Download {job.result.name}")
                        if job.result and job.is_over else gr.update(visible=False)}


def _noted(job: FileJob) -> str:
    """What to know of the rows that are done."""
    if not job.done:
        return ""
    failed = f"{many(job.done.failed, 'row', 'has')} no answer; the column 'error' says why." if job.done.failed else ""
    cut = f"{many(job.done.cut, 'text', 'was')} longer than the model reads; 'cut_at' says where it stopped." if job.done.cut else ""
    return f"{failed} {cut}".strip()
