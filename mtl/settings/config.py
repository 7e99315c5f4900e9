"""The settings of a run, each with its default, bounds and help, from which the form, the flags and the JSON files are made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from mtl.errors import MtlError, SettingError
from mtl.settings.best import refusal_of_best
from mtl.settings.methods import METHODS, SAMPLINGS, refusal
from mtl.settings.refusals import refused
from mtl.settings.steering import Steered
from mtl.text import can_be_shown

MAX_TASKS, MAX_LABELS, MAX_FILES, MAX_COLUMNS = 8, 1_000, 32, 64
Kind = Literal["classification", "tagging", "multilabel", "number"]
ROLES: dict[str, str] = {
    "text": "the sentence", "tokens": "its words", "class": "its label", "tags": "a tag a word", "spans": "its entities",
    "marked": "with entities marked", "labels": "its labels, any number", "in": "1 or 0, whether it has this label",
    "number": "a number to predict", "ignore": "not used"}
Role = Literal[tuple(ROLES)]
Spec = TypeVar("Spec", bound=BaseModel)


class Strict(BaseModel):
    """A value that never changes. Unknown fields and values of another type are refused."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", loc_by_alias=False)


class Scale(NamedTuple):
    """The numbers of the training rows: their mean, their standard deviation, the lowest and the highest."""

    mean: float
    deviation: float
    low: float
    high: float


class TaskSpec(Strict):
    """One task: its name (the column that holds its labels), its kind, and its labels, or the scale of its numbers, once they are known."""

    name: str = Field(min_length=1, max_length=64)
    kind: Kind
    labels: tuple[str, ...] = ()
    # not asked of users; nor shown where there is none, so that what was compared or digested before there were numbers stays the same
    scale: SkipJsonSchema[Scale | None] = Field(None, repr=False, exclude_if=lambda scale: scale is None)


class ColumnSpec(Strict):
    """What a column of the data is used for."""

    column: str = Field(min_length=1, max_length=64)
    role: Role
    task: str = Field("", max_length=64)  # whose labels it holds; empty: it has the name of the column
    group: str = Field("", max_length=64)  # the files for which this holds, such as sst2 for sst2.train.csv; empty: all


class HubSpec(Strict):
    """A dataset of the Hub, and which of its splits to use for each of ours (empty: the usual one; 'none': none)."""

    id: str = Field(min_length=1, max_length=200)
    config: str = Field("", max_length=100)  # the subset
    revision: str = Field("", max_length=40)  # the commit it is pinned to
    train: str = Field("", max_length=100)
    validation: str = Field("", max_length=100, validation_alias=AliasChoices("validation", "dev"))  # dev: the older name
    test: str = Field("", max_length=100)


def setting(default: Any, label: str, help: str, **bounds: Any) -> Any:
    """A field of RunConfig. The page shows the first sentence of `help`, and the rest behind 'more'."""
    return Field(default, title=label, description=help, **bounds)


class RunConfig(Strict):
    """All settings of a run. Read from JSON and written to it."""

    model_config = ConfigDict(allow_inf_nan=False)

    name: str = setting("", "Name", "A name by which you recognise the run.", max_length=64)

    # Data
    source: Literal["newsroom", "files", "hub", "hypothetical"] = setting(
        "newsroom", "Data", "'newsroom' is a small set of news sentences that comes with the program. 'files' are your own. 'hub' "
        "downloads datasets from the Hugging Face Hub. 'hypothetical' makes up sentences.")
    train_files: tuple[str, ...] = setting(
        (), "Training files", "Texts with labels to learn from: CSV, TSV, Excel (or one sheet: book.xlsx:Sheet), JSONL, JSON, CoNLL "
        "columns, marked text, Parquet, a zip of such files, or a folder that `datasets` saved. One with all tasks, or one per task.",
        max_length=MAX_FILES)
    validation_files: tuple[str, ...] = setting(
        (), "Validation files", "Texts on which the model is scored during training. Empty: some training rows are set aside for this.",
        max_length=MAX_FILES, validation_alias=AliasChoices("validation_files", "dev_files"))
    test_files: tuple[str, ...] = setting(
        (), "Test files", "Texts for one last score, when training is over and you ask for it.", max_length=MAX_FILES)
    hub: tuple[HubSpec, ...] = setting(
        (), "Hub datasets", "Datasets from the Hub, such as fancyzhx/ag_news or nyu-mll/glue:sst2. Several are trained together.",
        max_length=MAX_TASKS)
    columns: tuple[ColumnSpec, ...] = setting(
        (), "Columns", "What each column holds, such as Review=text,Stars=class:sentiment, where sentiment names the task. A column can be "
        "text, tokens, class, tags, spans, marked, labels, in, number or ignore ('in': 1 or 0, a column for each label, as in "
        "sport=in:topics,law=in:topics). Write file/ in front if files differ. Columns that are left out are guessed.",
        max_length=MAX_COLUMNS * 4)
    hypothetical_labels: Literal["learnable", "random"] = setting(
        "learnable", "Hypothetical labels", "'learnable' labels follow from the made-up sentence. 'random' labels do not, so the scores "
        "should stay at the level of guessing.")
    hypothetical_rows: int = setting(1200, "Hypothetical rows", "How many sentences to make up.", ge=20, le=1_000_000)
    validation_share: float = setting(
        0.1, "Validation share", "The share of the training rows to set aside for validation if there are no validation files. Rows with "
        "the same text stay together, and each label keeps its share.", ge=0.01, le=0.5,
        validation_alias=AliasChoices("validation_share", "dev_share"))

    # Tasks, and how they are trained together
    tasks: tuple[TaskSpec, ...] = setting((), "Tasks", "The tasks to train. Empty: all tasks in the data.", max_length=MAX_TASKS)
    alpha: float | None = setting(
        None, "Alpha", "With two tasks: how much the first one counts, from 0 to 1. The second one counts 1 - alpha.", ge=0, le=1)
    weights: dict[str, Annotated[float, Field(ge=0)]] = setting(
        {}, "Loss weights", "How much each task counts, such as intent=1,tags=2. A task that is left out counts 1.")
    sampling: Literal[tuple(SAMPLINGS)] = setting(
        "joint", "Sampling", "Which rows make up a step. " + " ".join(f"'{name}' {card.does}." for name, card in SAMPLINGS.items()))
    temperature: float = setting(
        2.0, "Temperature", "For Sampling 'temperature': 1 draws large tasks more often, in proportion to their rows; a large number draws "
        "all tasks equally often (in proportion to rows^(1/T)).", ge=1, le=1000)
    balancing: Literal[tuple(METHODS)] = setting(
        "even", "Balancing", "How the losses of all tasks are combined in a step. 'even' lets every task move the encoder alike, or as "
        "much as the Loss weights say. 'equal' adds the losses up, 'fixed' first multiplies them by Alpha or the Loss weights, the others "
        "find weights by themselves.")

    # Model
    encoder: str = setting(
        "bundled", "Encoder", "The language model to start from. 'bundled' is all-MiniLM-L6-v2, which comes with the program (22M "
        "parameters). 'tiny' is untrained. Or the id of an encoder on the Hub, such as distilbert-base-uncased.",
        min_length=1, max_length=200)
    fine_tuning: Literal["full", "lora", "heads"] = setting(
        "full", "Fine-tuning", "Which part of the model is trained. 'full': all of it, for the best scores. 'lora': small adapters beside "
        "the encoder; a little less accurate, with files of a few MB. 'heads': only the last layer of each task; the least accurate, but "
        "an epoch takes seconds.")
    lora_rank: int = setting(16, "LoRA rank", "The size of the adapters. Larger ones can learn more and need more space.", ge=1, le=256)
    freeze_embeddings: bool = setting(
        True, "Freeze embeddings", "With Fine-tuning 'full': leave the encoder's word vectors as they are. As accurate, faster, and less "
        "memory. The encoder 'tiny' always trains them.")
    frozen_layers: int = setting(
        0, "Frozen layers", "With Fine-tuning 'full': how many of the encoder's lowest layers, besides the word vectors, are left as they "
        "are. More make a step faster, but less can be learned.", ge=0, le=1000)
    pooling: Literal["mean", "cls", "pooler"] = setting(
        "mean", "Pooling", "How a sentence becomes one vector: 'mean' averages all its tokens, 'cls' takes the first one, 'pooler' is the "
        "encoder's own layer for this.")
    normalize: bool = setting(False, "Normalise", "Scale the vector of a sentence to length 1 before it is classified.")
    dropout: float = setting(
        0.1, "Dropout", "The share of the encoder's output that is hidden at random from the tasks while training, against overfitting.",
        ge=0, lt=1)
    encoder_dropout: float | None = setting(
        None, "Encoder dropout", "The same inside the encoder. Empty: as the encoder itself has it.", ge=0, lt=1)
    max_length: int = setting(
        128, "Max length", "The longest text the model reads, in subwords (parts of words). The rest is cut off; entities in it count as "
        "missed.", ge=8, le=8192)

    # Loop
    epochs: int | None = setting(
        None, "Epochs", "How many times the model goes through the training rows. Empty: by their number; the fewer rows, the more often.",
        ge=1, le=10_000)
    max_steps: int = setting(0, "Max steps", "Stop after so many steps, even if there are epochs left. 0: no limit.", ge=0, le=100_000_000)
    batch_size: int = setting(
        16, "Batch size", "How many sentences the model reads at once (in each process).", ge=1, le=4096)
    accumulation: int = setting(
        1, "Accumulation", "How many batches make up a step: as if a batch were so many times larger, in the memory of one.", ge=1, le=1024)
    learning_rate: float | None = setting(
        None, "Learning rate", "How far a step changes the encoder. Empty: what fits the encoder's size, the fine-tuning and the batch.",
        gt=0)
    head_learning_rate: float | None = setting(
        None, "Head learning rate", "How far a step changes the last layers, one per task. Empty: likewise.", gt=0)
    weight_decay: float = setting(
        0.01, "Weight decay", "How strongly weights are pulled towards zero (AdamW). Biases and norms are left out.", ge=0, le=1)
    schedule: Literal["linear", "cosine", "constant"] = setting("linear", "Schedule", "How the learning rates fall after the warm-up.")
    warmup: float = setting(0.1, "Warm-up", "The share of the steps in which the learning rates rise from 0.", ge=0, le=1)
    max_grad_norm: float = setting(
        1.0, "Clip gradients at", "Longer gradients are shortened to this length, so that no step changes too much. 0: never.", ge=0)
    diagnose_every: int = setting(
        10, "Diagnose every", "Check every so many steps whether the tasks pull the encoder in different directions. 0: never.", ge=0,
        le=10_000_000)
    eval_every: int = setting(
        0, "Evaluate every", "Score the validation rows every so many steps. 0: once an epoch.", ge=0, le=10_000_000)
    quick_looks: bool = setting(
        True, "Quick looks", "Between evaluations, score a few validation rows every few seconds, within 5 % of the time, so that the "
        "curves move; and pin three of them to watch, within 1 %. It changes nothing in the training.")
    best: str = setting(
        "mean", "Best", "Which evaluation is the best: by the 'mean' of the tasks' main scores (accuracy, F1), 'macro_f1' (so that rare "
        "classes count as much), 'everything_right', the lowest 'loss', or one task, by its name.", min_length=1, max_length=64)
    patience: int = setting(0, "Patience", "Stop after so many evaluations without a better one (see Best). 0: never.", ge=0, le=10_000)

    # Machine
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Device", "'auto' uses the GPU if there is one.")
    precision: Literal["auto", "fp32", "bf16"] = setting(
        "auto", "Precision", "How exactly numbers are computed. 'auto' uses the coarser bf16 where a short trial finds it clearly faster, "
        "else fp32.")
    threads: int = setting(0, "CPU threads", "How many processor cores to use. 0: all.", ge=0, le=1024)
    checkpoint_every: int = setting(
        0, "Checkpoint every", "Save a checkpoint every so many steps. 0: at every evaluation.", ge=0, le=10_000_000)
    keep_epochs: bool = setting(
        False, "Keep every epoch", "Keep the model as it was after every epoch, not only the best and the last one.")
    steering: tuple[Steered, ...] = setting(
        (), "Steering", "Changes in the middle of the run, such as those of a run that is repeated. 'step' says after which step.")
    seed: int = setting(
        1, "Seed", "Where the random numbers start. The same seed on the same machine gives the same run, bit for bit.", ge=0, lt=2**32)

    @field_validator("name")
    @classmethod
    def _printable(cls, name: str) -> str:
        if not can_be_shown(name):
            raise _wrong("name", "has characters that cannot be shown; use letters, digits and punctuation.")
        return name.strip()

    @model_validator(mode="after")
    def _fields_agree(self) -> RunConfig:
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise _wrong("tasks", f"two tasks have one name ({', '.join(names)}); give each its own column.")
        if self.source == "files" and not self.train_files:
            raise _wrong("train_files", "found none; name a file with texts and labels, or use the bundled data.")
        if self.source == "hub" and not self.hub:
            raise _wrong("hub", "found none; name a dataset of the Hub, such as fancyzhx/ag_news.")
        if self.source not in ("files", "hub") and (self.train_files or self.validation_files or self.test_files):
            raise _wrong("source", f"found '{self.source}', but a file is given too; set it to 'files', or leave the files out.")
        if self.fine_tuning != "full" and self.encoder == "tiny":
            raise _wrong("fine_tuning", f"found '{self.fine_tuning}', but the encoder 'tiny' has learned nothing that heads or adapters "
                         "could build on; use 'full', or another encoder.")
        if self.fine_tuning != "full" and self.frozen_layers:
            raise _wrong("frozen_layers", f"found {self.frozen_layers}, but Fine-tuning '{self.fine_tuning}' freezes every layer anyway; "
                         "leave it at 0, or use 'full'.")
        if self.fine_tuning == "heads" and self.pooling == "pooler":
            raise _wrong("pooling", "found 'pooler', a layer that may be untrained, but Fine-tuning 'heads' trains nothing of the encoder; "
                         "use 'mean' or 'cls'.")
        if self.alpha is not None and self.weights:
            raise _wrong("alpha", f"found {self.alpha:g}, but Loss weights are given too; use one of them.")
        if names and (problem := refusal_of_best(self.best, names)):
            raise _wrong("best", problem)
        if problem := refusal(self):
            raise _wrong("balancing", f"found '{self.balancing}', {problem}.")
        return self

    def loss_weights(self, tasks: list[str]) -> dict[str, float]:
        """The weight of each of the `tasks`, which are in training order. Raises MtlError if alpha or the weights do not fit them."""
        if self.alpha is not None:
            if len(tasks) != 2:
                raise _wrong("alpha", f"weighs two tasks against each other, but this run has {len(tasks)} ({', '.join(tasks)}). Use Loss "
                             "weights instead, such as " + ",".join(f"{task}=1" for task in tasks) + ".")
            return {tasks[0]: self.alpha, tasks[1]: 1 - self.alpha}
        if unknown := [name for name in self.weights if name not in tasks]:
            raise _wrong("weights", f"there is no task '{unknown[0]}'. The tasks are: {', '.join(tasks)}.")
        weights = {task: self.weights.get(task, 1.0) for task in tasks}
        if not any(weights.values()):
            raise _wrong("weights", "every task has weight 0, so nothing would be learned. Give at least one task a weight above 0.")
        return weights


def rename_old(text: str) -> str:
    """Settings as JSON, with the names of today for those that earlier versions wrote."""
    return re.sub(r'"dev(_files|_share)?":', r'"validation\1":', text)


def read_config(path: Path) -> RunConfig:
    """The RunConfig in the JSON file at `path`; raises MtlError if it is not one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # an OSError's own text names the folder
        raise MtlError(f"{path.name}: cannot be read as a run's settings ({why}).") from error
    return make_config(values, is_json=True)


def make_config(values: Any, *, is_json: bool = False) -> RunConfig:
    """A checked RunConfig from plain values, with Balancing 'fixed', not 'equal', if there are weights. Raises MtlError for users."""
    if isinstance(values, dict) and values.get("balancing") == "equal" and (values.get("weights") or values.get("alpha") is not None):
        values = values | {"balancing": "fixed"}
    try:
        return RunConfig.model_validate_json(json.dumps(values)) if is_json else RunConfig.model_validate(values)
    except ValidationError as error:
        raise refused(error, RunConfig) from error


def make_spec(field: str, kind: type[Spec], values: dict[str, Any]) -> Spec:
    """A checked item of RunConfig's `field`: a ColumnSpec of 'columns', a HubSpec of 'hub'; raises MtlError in the user's words."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise refused(error, kind, field, RunConfig.model_fields[field].title) from error


def _wrong(name: str, what: str) -> SettingError:
    """The refusal of the setting `name`, with its label in front."""
    return SettingError(RunConfig.model_fields[name].title, name, what)
