"""The charts of the page: what each is called, and the frame that curves.js fills from the live feed. Knows no run."""

from dataclasses import dataclass

import gradio as gr

from mtl.ui.templates import render


@dataclass(frozen=True)
class Chart:
    """A chart: its title, a hint, the heads of the columns of its legend, and what it says while it is empty."""

    title: str
    hint: str
    heads: tuple[str, ...]
    empty: str = ""


CHARTS = {
    "scores": Chart("Scores on validation rows", "in %, on rows that it does not learn from; higher is better", ("now", "best"),
                    "The scores of each task appear here while it learns. Choose data, then press Start training."),
    "loss": Chart("Loss", "faint: training, strong: validation; lower is better", ("train", "validation"),
                  "How far off it still is, on the rows it learns from and on others."),
    "norms": Chart("Length of each task's gradient", "how hard each task pulls", ("now",)),
    "weights": Chart("Weight of each task's loss", "what the balancing makes of it", ("now",)),
    "members": Chart("Scores on validation rows", "of the task chosen, in %; higher is better", ("now", "best")),
}


def draw(kind: str, *names: str, with_tools: bool = False) -> gr.HTML:
    """The charts called `names`; `kind`, which is the element's id too, says of which runs: see curves.js."""
    template = render("curves.html", charts={name: CHARTS[name] for name in names}, with_tools=with_tools)
    return gr.HTML(elem_id=kind, html_template=str(template), apply_default_css=False,
                   js_on_load="element.mtlCurves = mtl.curves(element, watch, props)")
