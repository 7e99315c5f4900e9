"""What the user asks for: TaskSpec and RunConfig. Every field has its default, its bounds and its sentence of help here; the page's
form, the flags of the command line and the JSON files are all made from them. Knows nothing of data, models or pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mtl.errors import MtlError, SettingError
from mtl.settings.methods import refusal
from mtl.settings.refusals import refused
from mtl.text import can_be_shown

MAX_TASKS = 8
MAX_LABELS = 200
MAX_FILES = 32
MAX_COLUMNS = 64
Kind = Literal["classification", "tagging", "multilabel"]
Role = Literal["text", "tokens", "class", "tags", "spans", "marked", "labels", "in", "ignore"]
ROLES: dict[str, str] = {
    "text": "the sentence", "tokens": "its words", "class": "its label", "tags": "a tag a word", "spans": "its entities",
    "marked": "with entities marked", "labels": "its labels, any number", "in": "1 or 0, whether it has this label", "ignore": "not used"}
Spec = TypeVar("Spec", bound=BaseModel)


class TaskSpec(BaseModel):
    """One task: its name (the column of the data that holds its labels), its kind, and its labels once they are known."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    kind: Kind
    labels: tuple[str, ...] = ()


class ColumnSpec(BaseModel):
    """What a column of the data is for. `group` tells files with columns of one name apart (sst2 for sst2.train.csv); empty: any file.
    `task` is the name of the task whose labels stand in it; empty: the column's own name."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    column: str = Field(min_length=1, max_length=64)
    role: Role
    task: str = Field("", max_length=64)
    group: str = Field("", max_length=64)


class HubSpec(BaseModel):
    """A dataset of the Hub: its id, the config (subset) of it, the commit it is pinned to, and which of its splits are for what (empty: the
    one that is called so; 'none': none)."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    id: str = Field(min_length=1, max_length=200)
    config: str = Field("", max_length=100)
    revision: str = Field("", max_length=40)
    train: str = Field("", max_length=100)
    validation: str = Field("", max_length=100, validation_alias=AliasChoices("validation", "dev"))  # the second is the older name
    test: str = Field("", max_length=100)


def setting(default: Any, label: str, help: str, *, basic: bool = False, **bounds: Any) -> Any:
    """A field of RunConfig; `basic` ones stand in sight on the page, the others are folded away."""
    return Field(default, title=label, description=help, json_schema_extra={"basic": basic}, **bounds)


class RunConfig(BaseModel):
    """Everything that a run is asked to do. Immutable; JSON in and out."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    name: str = setting("", "Name", "A name for you to recognise the run by.", max_length=64)

    # Data
    source: Literal["newsroom", "files", "hub", "hypothetical"] = setting(
        "newsroom", "Data", "'newsroom' is the bundled corpus; 'files' reads your own; 'hub' loads datasets of the Hub; 'hypothetical' "
        "makes sentences from the seed.")
    train_files: tuple[str, ...] = setting(
        (), "Training files", "Sentences to learn from: CSV, TSV, JSONL, JSON, CoNLL columns, marked text, Parquet, or a folder "
        "that `datasets` saved; one, or one per task.", max_length=MAX_FILES)
    validation_files: tuple[str, ...] = setting(
        (), "Validation files", "Sentences to measure on while training. Empty: a share of the training rows.", max_length=MAX_FILES,
        validation_alias=AliasChoices("validation_files", "dev_files"))
    test_files: tuple[str, ...] = setting(
        (), "Test files", "Sentences measured once, after the run and when you ask for it, with the best checkpoint.", max_length=MAX_FILES)
    hub: tuple[HubSpec, ...] = setting(
        (), "Hub datasets", "Datasets of the Hub, such as fancyzhx/ag_news or nyu-mll/glue:sst2; several are trained together.",
        max_length=MAX_TASKS)
    columns: tuple[ColumnSpec, ...] = setting(
        (), "Columns", "What the columns are for, such as Review=text,Stars=class:sentiment (text, tokens, class, tags, spans, marked, "
        "labels, in or ignore; 'in' is for labels with a column each, such as sport=in:topics,law=in:topics; after a colon, a name for the "
        "task; in front, file/ where files differ). Not named: guessed.", max_length=MAX_COLUMNS * 4)
    hypothetical_labels: Literal["learnable", "random"] = setting(
        "learnable", "Hypothetical labels",
        "'learnable' labels follow from the sentence; 'random' ones do not, so that validation scores should stay at chance.")
    hypothetical_rows: int = setting(1200, "Hypothetical rows", "How many sentences to make.", ge=20, le=1_000_000)
    validation_share: float = setting(
        0.1, "Validation share", "Share of the training rows kept aside when there is no validation file: equal texts together, and of "
        "every label its share; the rest is chance that follows from the seed.", ge=0.01, le=0.5,
        validation_alias=AliasChoices("validation_share", "dev_share"))

    # Tasks
    tasks: tuple[TaskSpec, ...] = setting((), "Tasks", "The tasks to train. Empty: every task found in the data.", max_length=MAX_TASKS)
    alpha: float | None = setting(
        None, "Alpha", "With two tasks: the total loss is alpha x the first one's loss + (1 - alpha) x the second one's.", ge=0, le=1)
    weights: dict[str, Annotated[float, Field(ge=0)]] = setting(
        {}, "Loss weights", "Weight of each task's loss in the sum, such as intent=1,tags=2. Not named: 1.")
    sampling: Literal["joint", "alternating", "proportional", "temperature", "annealed"] = setting(
        "joint", "Sampling", "Which rows make up a step. 'joint': all mixed, with every label on them; 'alternating': the tasks take "
        "turns; the others draw each row for one task.", basic=True)
    temperature: float = setting(
        2.0, "Temperature", "T of 'temperature' sampling, which draws tasks in proportion to size^(1/T). 1: as 'proportional'; large: all "
        "alike.", ge=1, le=1000)
    balancing: Literal["equal", "fixed", "uncertainty", "random", "famo", "pcgrad", "upgrad"] = setting(
        "equal", "Balancing", "How the tasks' losses become one gradient. 'equal' adds them; 'fixed' weighs them by Alpha or Loss weights; "
        "the others find weights by themselves.", basic=True)

    # Model
    encoder: str = setting(
        "bundled", "Encoder", "'bundled' is all-MiniLM-L6-v2 (22M parameters, no download); 'tiny' starts from random weights and "
        "wants a learning rate of about 2e-3; or the id of a Hub encoder, such as distilbert-base-uncased.", basic=True, min_length=1,
        max_length=200)
    fine_tuning: Literal["full", "lora", "heads"] = setting(
        "full", "Fine-tuning", "'full' trains every weight: the best scores. 'lora' trains small adapters beside the frozen encoder: a "
        "checkpoint of a few MB, a little less accurate, and it wants a learning rate of 1e-3 to 2e-3. 'heads' trains only the heads on "
        "the frozen encoder, which reads each sentence once: seconds an epoch, the least accurate, and it wants a head learning rate of "
        "about 1e-2.")
    lora_rank: int = setting(16, "LoRA rank", "Size of the adapters: a higher rank learns more, and its files are larger.", ge=1, le=256)
    freeze_embeddings: bool = setting(
        True, "Freeze embeddings", "With 'full': keep the word embeddings as they came: as accurate, faster steps, less memory, and words "
        "that the training rows lack stay where they were. 'tiny' has none yet and learns them anyway; 'lora' and 'heads' never do.")
    frozen_layers: int = setting(
        0, "Frozen layers", "With 'full': so many of the lowest layers, and the embeddings, keep the weights they came with: the more, the "
        "faster a step, and the less can be learned. 0: none.", ge=0, le=1000)
    pooling: Literal["mean", "cls", "pooler"] = setting(
        "mean", "Pooling", "How a sentence becomes one vector: the mean over its tokens, its first token, or the encoder's own pooler.")
    normalize: bool = setting(False, "Normalise", "Scale the sentence vector to length 1 before the classification heads.")
    dropout: float = setting(0.1, "Dropout", "Share of the features hidden from the heads while training.", ge=0, lt=1)
    encoder_dropout: float | None = setting(None, "Encoder dropout", "Dropout inside the encoder. Empty: the encoder's own.", ge=0, lt=1)
    max_length: int = setting(
        128, "Max length", "Longest sentence in subwords; what is beyond is cut off, and entities there count as missed.", ge=8, le=8192)

    # Loop
    epochs: int = setting(8, "Epochs", "How many times the training rows are seen.", basic=True, ge=1, le=10_000)
    max_steps: int = setting(0, "Max steps", "End after so many steps, whatever the epochs say. 0: no limit.", ge=0, le=100_000_000)
    batch_size: int = setting(32, "Batch size", "Sentences per forward pass (on each process).", basic=True, ge=1, le=4096)
    accumulation: int = setting(
        1, "Accumulation", "Forward passes per step: the step is as if the batch were so many times larger.", ge=1, le=1024)
    learning_rate: float = setting(2e-4, "Learning rate", "Step size for the encoder; 2e-5 to 3e-4 is usual.", basic=True, gt=0)
    head_learning_rate: float = setting(
        1e-3, "Head learning rate", "Step size for the heads, which start from nothing and may go faster.", gt=0)
    weight_decay: float = setting(0.01, "Weight decay", "Pull towards zero (AdamW); never on biases and norms.", ge=0, le=1)
    schedule: Literal["linear", "cosine", "constant"] = setting("linear", "Schedule", "How the learning rate falls after the warm-up.")
    warmup: float = setting(0.1, "Warm-up", "Share of the steps over which the learning rate rises from 0.", ge=0, le=1)
    max_grad_norm: float = setting(1.0, "Clip gradients at", "Longer gradients are scaled down to this norm. 0: never.", ge=0)
    diagnose_every: int = setting(
        10, "Diagnose every", "Steps between two looks at how the tasks' gradients agree. 0: never.", ge=0, le=10_000_000)
    eval_every: int = setting(0, "Evaluate every", "Steps between two evaluations on the validation rows. 0: once an epoch.", ge=0,
                              le=10_000_000)
    patience: int = setting(0, "Patience", "Stop after so many evaluations without a better score. 0: never.", ge=0, le=10_000)

    # Machine
    device: Literal["auto", "cpu", "cuda"] = setting("auto", "Device", "'auto' takes the GPU where there is one.", basic=True)
    precision: Literal["auto", "fp32", "bf16"] = setting(
        "auto", "Precision", "'auto' takes bf16 where a short look at the machine finds it clearly faster, else fp32.")
    threads: int = setting(0, "CPU threads", "0: all cores.", ge=0, le=1024)
    checkpoint_every: int = setting(0, "Checkpoint every", "Steps between two checkpoints. 0: at every evaluation.", ge=0, le=10_000_000)
    keep_epochs: bool = setting(False, "Keep every epoch", "Keep the weights of every epoch, not only the best and the last.")
    seed: int = setting(1, "Seed", "The same seed on the same machine gives the same run, bit for bit.", ge=0, lt=2**32)

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
            raise _wrong("train_files", "found none; name a file with sentences and labels, or use the bundled corpus.")
        if self.source == "hub" and not self.hub:
            raise _wrong("hub", "found none; name a dataset of the Hub, such as fancyzhx/ag_news.")
        if self.source not in ("files", "hub") and (self.train_files or self.validation_files or self.test_files):
            raise _wrong("source", f"found '{self.source}', but a file is given too; set it to 'files', or leave the files out.")
        if self.fine_tuning != "full" and self.encoder == "tiny":
            what = {"lora": "that could be adapted", "heads": "that heads could read"}[self.fine_tuning]
            raise _wrong("fine_tuning", f"found '{self.fine_tuning}', but the encoder 'tiny' has learned nothing {what}; use 'full', or "
                         "another encoder.")
        if self.fine_tuning != "full" and self.frozen_layers:
            raise _wrong("frozen_layers", f"found {self.frozen_layers}, but Fine-tuning '{self.fine_tuning}' freezes every layer anyway; "
                         "leave it at 0, or use 'full'.")
        if self.fine_tuning == "heads" and self.pooling == "pooler":
            raise _wrong("pooling", "found 'pooler', which may be new and would have to be trained, but Fine-tuning 'heads' trains nothing "
                         "of the encoder; use 'mean' or 'cls'.")
        if self.alpha is not None and self.weights:
            raise _wrong("alpha", f"found {self.alpha:g}, but Loss weights are given too; use one of them.")
        if problem := refusal(self.balancing, self):
            raise _wrong("balancing", f"found '{self.balancing}', {problem}.")
        return self

    def loss_weights(self, tasks: list[str]) -> dict[str, float]:
        """The weight of each task's loss, for the `tasks` in training order.

        Raises MtlError if alpha is set for other than two tasks, a weight names an unknown task, or no weight is above 0.
        """
        if self.alpha is not None:
            if len(tasks) != 2:
                raise _wrong("alpha", f"weighs two tasks against each other, but this run has {len(tasks)} ({', '.join(tasks)}). Use Loss "
                             "weights instead, such as " + ",".join(f"{task}=1" for task in tasks) + ".")
            return {tasks[0]: self.alpha, tasks[1]: 1 - self.alpha}
        for name in self.weights:
            if name not in tasks:
                raise _wrong("weights", f"there is no task '{name}'. The tasks are: {', '.join(tasks)}.")
        weights = {task: self.weights.get(task, 1.0) for task in tasks}
        if not any(weights.values()):
            raise _wrong("weights", "every task has weight 0, so nothing would be learned. Give at least one task a weight above 0.")
        return weights


def make_config(values: dict[str, Any]) -> RunConfig:
    """A checked RunConfig from plain values (a form, flags); raises MtlError in the user's words."""
    return _checked(lambda: RunConfig.model_validate(_fixed(values)))


def read_config(path: Path) -> RunConfig:
    """The RunConfig in the JSON file at `path`; raises MtlError if it is not one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error  # the whole of an OSError names the folder
        raise MtlError(f"{path.name}: cannot be read as a run's settings ({why}).") from error
    return _checked(lambda: RunConfig.model_validate_json(json.dumps(_fixed(values))))


def _fixed(values: Any) -> Any:
    """Who gives weights need not say that they are fixed."""
    if not isinstance(values, dict) or values.get("balancing", "equal") != "equal":
        return values
    return values | {"balancing": "fixed"} if values.get("weights") or values.get("alpha") is not None else values


def make_spec(field: str, kind: type[Spec], values: dict[str, Any]) -> Spec:
    """A checked item of RunConfig's `field`: a ColumnSpec of 'columns', a HubSpec of 'hub'; raises MtlError in the user's words."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise refused(error, kind, field, RunConfig.model_fields[field].title) from error


def _checked(make: Any) -> RunConfig:
    try:
        return make()
    except ValidationError as error:
        raise refused(error, RunConfig) from error


def _wrong(name: str, what: str) -> SettingError:
    """Why the setting `name` cannot be as it is, with its label in front."""
    return SettingError(RunConfig.model_fields[name].title, name, what)
