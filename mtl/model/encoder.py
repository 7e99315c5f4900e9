"""Name -> encoder and tokenizer: the bundled one (checked by hash), a tiny random one, or any text encoder of the Hub.
A Hub name comes from a stranger: the name is checked before it is looked up, the repository before its weights are fetched, and only
safetensors and JSON are read. No code of a repository ever runs. Knows nothing of tasks, heads or runs."""

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx2
import torch
from huggingface_hub import HfApi, errors, scan_cache_dir, snapshot_download
from tokenizers import Regex, models, pre_tokenizers
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.models.bert import BertConfig, BertModel, BertTokenizer
from transformers.utils import logging

from mtl.data.hub.access import HUB_TIMEOUT, check_hub_name, quiet
from mtl.data.report import INSTALL, bundled_folder
from mtl.errors import MtlError
from mtl.model.packing import first_position
from mtl.model.randomness import OwnRandomness

logging.disable_progress_bar()  # transformers' bars for every load and save would garble the log in the terminal

BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_MAX_BYTES = 3 * 10**9
SMALL_FILES = ["*.json", "*.txt", "*.model"]
WEIGHT_FILES = ["model.safetensors", "model-*.safetensors"]
SKIPPED_FILES = ["*/*", "adapter_*"]  # subfolders (onnx/, 1_Pooling/); an adapter would load a second model
TOKENIZER_FILES = {"tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"}
TINY_WORDS = 4000
TINY_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def load_encoder(name: str, texts: Sequence[str] = (), seed: int = 0) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The encoder `name` and its tokenizer, in fp32 and eval mode: 'bundled', 'tiny' (random weights from `seed`, vocabulary from `texts`)
    or the id of a Hub encoder. `seed` also decides weights that a Hub model lacks, such as a pooler. Raises MtlError with the reason."""
    if name == "bundled":
        return _from_folder(_checked_bundle(), seed)
    if name == "tiny":
        tokenizer = _tiny_tokenizer(texts)
        config = BertConfig(vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128,
                            max_position_embeddings=512)
        with OwnRandomness(seed):
            return BertModel(config).eval(), tokenizer
    check_hub_name(name, "model")
    with quiet(logging) as token:
        folder = _hub_folder(name, token)
    return _checked_from_folder(folder, name, seed)


def plain_text_tokenizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """`tokenizer`, changed in place so that a typed '[SEP]' or '</s>' is ordinary text. Calling it twice does no harm."""
    # transformers passes its own split_special_tokens to the backend at every call; in init_kwargs it is saved and survives a reload
    tokenizer.split_special_tokens = True
    tokenizer.init_kwargs["split_special_tokens"] = True
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True
    if isinstance(backend.model, models.Unigram):  # '</s>' is an ordinary piece of its vocabulary, so it is split before
        tokens = [token for token in tokenizer.all_special_tokens if len(token) > 1]
        pattern = "|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in tokens)
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([backend.pre_tokenizer, split]) if backend.pre_tokenizer else split
    return tokenizer


def longest_input(encoder: PreTrainedModel) -> int:
    """The number of subwords that the encoder has positions for. RoBERTa and its relatives reserve the first ones."""
    return (getattr(encoder.config, "max_position_embeddings", None) or sys.maxsize) - first_position(encoder)


def _checked_bundle() -> Path:
    """The checked files of the bundled encoder."""
    folder = bundled_folder()
    with (folder / "model.safetensors").open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != BUNDLED_SHA256:
        raise MtlError(f"model.safetensors is not the file that was published (sha256 {found[:12]}..., wanted {BUNDLED_SHA256[:12]}...). "
                       f"Install the bundled encoder again: {INSTALL}")
    return folder


def _tiny_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    backend, counts = BertTokenizer().backend_tokenizer, Counter()
    for text in texts:
        counts.update(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text)))
    characters = sorted({chr(code) for code in range(33, 127)}.union(*counts))
    words = sorted(counts, key=lambda word: (-counts[word], word))[:TINY_WORDS]
    pieces = dict.fromkeys([*TINY_SPECIAL, *characters, *("##" + character for character in characters), *words])
    return plain_text_tokenizer(BertTokenizer({piece: number for number, piece in enumerate(pieces)}, model_max_length=512))


def _hub_folder(name: str, token: bool | None) -> Path:
    """The checked files of Hub model `name` on this disk, from the cache if the Hub cannot be reached."""
    try:
        return _download(name, token)
    except errors.GatedRepoError as error:
        raise MtlError(f"'{name}' is gated: its owner must let you in first. Use an open model, or the 'bundled' encoder.") from error
    except errors.RepositoryNotFoundError as error:
        raise MtlError(f"The Hub has no model '{name}', or it is private. Check the name.") from error
    except (errors.HfHubHTTPError, httpx2.TransportError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 503
        if 400 <= status < 500 and status != 429:
            raise MtlError(f"The Hub refused to give '{name}' (status {status}). Try another model, or the 'bundled' encoder.") from error
        if (folder := _cached_folder(name)) is None:
            raise MtlError(f"The Hub cannot be reached, and '{name}' is not on this machine yet. Check the connection, "
                           "or use the 'bundled' encoder, which needs none.") from error
        return folder


def _download(name: str, token: bool | None) -> Path:
    info = HfApi(token=token).model_info(name, files_metadata=True, timeout=HUB_TIMEOUT)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or [] if "/" not in file.rfilename}
    weights = sum(size for file, size in sizes.items() if file.endswith(".safetensors"))
    if not any(file.endswith(".safetensors") for file in sizes):
        raise MtlError(f"'{name}' has no *.safetensors file, and other formats can carry code. Pick a model that has one.")
    if weights > HUB_MAX_BYTES:
        raise MtlError(f"'{name}' has {weights / 1e9:.1f} GB of weights; the limit is {HUB_MAX_BYTES / 1e9:.0f} GB. Pick a smaller model.")
    if not TOKENIZER_FILES & sizes.keys():
        raise MtlError(f"'{name}' has no tokenizer files. Pick a model that comes with its tokenizer.")
    wanted = {"revision": info.sha, "token": token, "ignore_patterns": SKIPPED_FILES}
    _check_config(Path(snapshot_download(name, allow_patterns=SMALL_FILES, **wanted)), name)  # before its weights are fetched
    return Path(snapshot_download(name, allow_patterns=SMALL_FILES + WEIGHT_FILES, **wanted))


def _cached_folder(name: str) -> Path | None:
    """The newest complete snapshot of `name` in the local cache, if there is one."""
    with suppress(errors.CacheNotFound):
        revisions = [revision for repo in scan_cache_dir().repos if (repo.repo_type, repo.repo_id) == ("model", name)
                     for revision in repo.revisions]
        for revision in sorted(revisions, key=lambda revision: revision.last_modified, reverse=True):
            with suppress(errors.LocalEntryNotFoundError):
                folder = Path(snapshot_download(name, revision=revision.commit_hash, local_files_only=True,
                                                allow_patterns=SMALL_FILES + WEIGHT_FILES, ignore_patterns=SKIPPED_FILES))
                if any(folder.glob("*.safetensors")):
                    return folder
    return None


def _check_config(folder: Path, name: str) -> None:
    """Raises MtlError unless the config.json in `folder` is that of a text encoder in transformers."""
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = values.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise MtlError(f"'{name}' has no config.json that can be read. Pick another model.") from error
    reason = None
    if kind not in CONFIG_MAPPING_NAMES:
        reason = "needs code of its own, which is never run here" if "auto_map" in values else f"is of an unknown type ({kind!r})"
    elif values.get("is_decoder") or (kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES):
        reason = f"is a decoder ({kind}), which reads a word without those after it"
    elif kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        reason = f"is not a text encoder ({kind})"
    elif values.get("is_encoder_decoder", CONFIG_MAPPING[kind]().is_encoder_decoder):
        reason = f"is an encoder with a decoder ({kind})"
    if reason:
        raise MtlError(f"'{name}' {reason}. Pick an encoder, such as distilbert-base-uncased.")


def _checked_from_folder(folder: Path, name: str, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """As _from_folder, but any error becomes an MtlError, because the files are a stranger's."""
    _check_config(folder, name)
    try:
        model, tokenizer = _from_folder(folder, seed)
        ids = torch.tensor([tokenizer("A test.").input_ids])
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    except MtlError as error:
        raise MtlError(f"'{name}' {error}") from error
    except Exception as error:  # tokenizers, safetensors and transformers raise errors of any type on files that do not fit
        lines = str(error).strip().splitlines()
        raise MtlError(f"'{name}' cannot be loaded ({type(error).__name__}: {lines[0] if lines else ''}). Pick another model.") from error
    if states.shape != (*ids.shape, model.config.hidden_size):
        raise MtlError(f"'{name}' does not give one vector per subword. Pick an encoder, such as distilbert-base-uncased.")
    return model, tokenizer


def _from_folder(folder: Path, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    safe = {"local_files_only": True, "trust_remote_code": False}  # the default, None, would ask on stdin
    with quiet(logging), OwnRandomness(seed):
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
        if not tokenizer.is_fast or tokenizer.pad_token is None:
            raise MtlError("has no fast tokenizer that can pad. Pick another model.")
        config = AutoConfig.from_pretrained(folder, **safe)
        model, loaded = AutoModel.from_pretrained(folder, config=config, use_safetensors=True, dtype=torch.float32,
                                                  ignore_mismatched_sizes=True, output_loading_info=True, **safe)
    lacking = sorted(key for key in {*loaded["missing_keys"], *(key for key, *_ in loaded["mismatched_keys"])} if "pooler" not in key)
    if lacking:
        raise MtlError(f"lacks weights that its encoder needs ({lacking[0]} is the first of {len(lacking)}). Pick another model.")
    known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > known:
        raise MtlError(f"has a tokenizer of {len(tokenizer)} entries, but an encoder that knows {known}. Pick another model.")
    return model, plain_text_tokenizer(tokenizer)
