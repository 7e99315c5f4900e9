"""MTL Studio: `python app.py` serves the page; a Space runs the same file."""

import os
import signal
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from mtl.jobs.queue import Jobs  # noqa: E402 - the variables are read when gradio is imported
from mtl.runs.folder import default_root  # noqa: E402
from mtl.ui.app import build_app, launch_options  # noqa: E402

jobs = Jobs(default_root())
demo = build_app(jobs)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that a host that stops the app leaves time to save the run
    demo.launch(prevent_thread_lock=True, **launch_options(jobs))
    jobs.prepare()  # the page is served: what a training needs is loaded while the first visitor reads
    demo.block_thread()
