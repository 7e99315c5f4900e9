"""Files with a word a line, as people really have them: every layout and spelling of tags comes to the same sentences and entities."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl.data.formats.marked import parse_marked
from mtl.data.readers import read_files
from mtl.data.rows import Table
from mtl.errors import MtlError
from mtl.settings.shorthand import parse_columns
from tests.plain import from_bio

Sentence = list[tuple[str, str]]  # words, each with its tag in BIO
SENTENCES: list[Sentence] = [
    [("Ada", "B-PER"), ("Berg", "I-PER"), ("left", "O"), ("Oslo", "B-LOC"), (".", "O")], [("so", "O"), ("it", "O"), ("is", "O")],
    [("the", "O"), ("Old", "B-ORG"), ("Red", "I-ORG"), ("Bank", "I-ORG"), ("fell", "O"), ("again", "O")]]


@dataclass(frozen=True)
class Kind:
    """How a file is written: its name, the line of a word, what stands before all lines and around each sentence, how tags are spelled.
    A line may have the sentence's {number}, or its {first} at the first word only, the {place} of the word, or from {zero}, and a {pos}."""

    is_for: str
    file: str
    line: str
    head: str = ""
    after: str = "\n"
    before: str = ""
    spell: Callable[[str], str] = str
    scheme: str = "IOB2"
    told: str = ""  # part of a notice
    read: Callable[[str], str] = str  # what becomes of a type

    def write(self, sentences: Sequence[Sentence]) -> str:
        lines = [self.head]
        for number, sentence in enumerate(sentences, 1):
            lines.append(self.before.format(number=number, intent="ab"[number % 2]))
            tags = from_bio([tag for _, tag in sentence], self.scheme)
            for place, ((word, _), tag) in enumerate(zip(sentence, tags, strict=True)):
                lines.append(self.line.format(number=number, first="" if place else number, place=place + 1, zero=place, word=word,
                                              tag=self.spell(tag), pos="NV"[place % 2], intent="ab"[number % 2]) + "\n")
            lines.append(self.after)
        return "".join(lines)


def suffix(tag: str, mark: str = "-") -> str:
    return tag if tag == "O" else f"{tag[2:]}{mark}{tag[0]}"


BARE, JOINED = "neighbours of one type are one entity", "rows are joined into sentences"
KINDS = [
    # tables
    Kind("a table: the sentence's number at its first word only", "x.csv", "{first},{word},{pos},{tag}", "Sentence #,Word,POS,Tag\n", "",
         told="rows are joined into sentences where 'Sentence #' is filled. To read every row as a text of its own, set 'Word' to text."),
    Kind("a table: the sentence's number in words", "x.csv", "Sentence: {number},{word},{pos},{tag}", "Sentence #,Word,POS,Tag\n", "",
         told="'POS' is not taken for a task: it holds grammar, not entities"),
    Kind("a table: a number on every row", "x.csv", "{number},{word},{tag}", "sentence_id,words,labels\n", "",
         told="where 'sentence_id' changes"),
    Kind("a table of types: columns of unknown names", "x.csv", "{number},{word},{tag}", "Satz,Wort,Etikett\n", "", scheme="bare",
         told=BARE),
    Kind("a table: columns of unknown names in another order", "x.csv", "{tag},{pos},{word},s{number}", "Etikett,Art,Wort,Satz\n", "",
         told="where 'Satz' changes"),
    Kind("a table: sentences counted in each document", "x.csv", "d{number},1,{word},{tag}", "doc,sent,token,ner\n", "", told=JOINED),
    Kind("a table: words counted, sentences not", "x.csv", "{place},{word},{tag}", "idx,word,label\n", "", told="where 'idx' begins anew"),
    Kind("a table: words counted from 0", "x.tsv", "{zero}\t{word}\t{tag}", "idx\tword\tlabel\n", "", told="where 'idx' begins anew"),
    Kind("a table: blank lines between sentences", "x.csv", "{word},{tag}", "word,tag\n", told="joined into sentences at blank lines"),
    Kind("a table: rows of empty cells between sentences", "x.csv", "{word};{tag}", "word;tag\n", ";\n", told="at blank lines"),
    Kind("a table without a header", "x.csv", "{word},{tag}", told="at blank lines"),
    Kind("a table without a header: a number on every row", "x.tsv", "{number}\t{word}\t{tag}", after="", told="where 'column 1' changes"),
    Kind("a table: the whole sentence at each word", "x.csv", "{number}: so it is,{word},{tag}", "sentence,token,label\n", "",
         told="where 'sentence' changes"),
    Kind("a table named .txt, with bars", "x.txt", "{word}|{tag}", told="joined into sentences at blank lines"),
    Kind("a table named .txt, with semicolons", "x.txt", "{first};{word};{tag}", "Sentence #;Word;Tag\n", "", told=JOINED),
    Kind("a table named .txt, without a header", "x.txt", "{word},{tag}", told=JOINED),
    Kind("a table of types, no entity with O", "x.csv", "{number},{word},{tag}", "sentence_id,word,label\n", "", scheme="bare", told=BARE),
    Kind("a table of types, no entity with an empty cell", "x.csv", "{number},{word},{tag}", "sentence_id,word,entity\n", "", scheme="bare",
         spell=lambda tag: "" if tag == "O" else tag, told="an empty cell in 'entity' is read as O"),
    Kind("a table of underscores", "x.csv", "{number},{word},{tag}", "sent,token,tag\n", "", spell=lambda tag: tag.replace("-", "_"),
         told="the tags in 'tag' are written like B_PER"),
    Kind("a table with a chunk column", "x.csv", "{number},{word},{tag},B-NP", "sent,token,ner,chunk\n", "",
         told="'chunk' is not taken for a task"),
    Kind("objects of a word each", "x.jsonl", '{{"sentence_id": {number}, "word": "{word}", "tag": "{tag}"}}', after="", told=JOINED),
    Kind("a table between blanks: a number on every row", "x.txt", "{number} {word} {tag}", "sentence_id word tag\n", ""),
    # columns
    Kind("columns", "x.conll", "{word} {tag}"),
    Kind("columns with TABs, named .tsv", "x.tsv", "{word}\t{tag}"),
    Kind("columns with names", "x.conll", "{word} {tag}", "token ner\n"),
    Kind("columns with unusual names", "x.conll", "{word} {pos} {tag}", "Palabra Clase Etiqueta\n",
         told="the first line, 'Palabra Clase Etiqueta', is taken for the names of the columns"),
    Kind("columns with unusual names, named .tsv", "x.tsv", "{word}\t{tag}", "Palabra\tEtiqueta\n", told="is taken for the names"),
    Kind("columns with names, named .txt", "x.txt", "{word}\t{tag}", "word\ttag\n"),
    Kind("columns of types, mostly O, named .tsv", "x.tsv", "{word}\t{tag}", scheme="bare", told=BARE),
    Kind("columns of types, named .txt, between blanks", "x.txt", "{word} {tag}", scheme="bare", told=BARE),
    Kind("columns: word, part of speech, chunk, tag, and documents", "x.conll", "{word} {pos} X {tag}", "-DOCSTART- -X- O O\n\n"),
    Kind("columns: the place of the word first (NeuroNLP2)", "x.conll", "{place} {word} {pos} X {tag}",
         told="the words are in column 2, after numbers of sentences or words, which are left out"),
    Kind("columns: the place of the word, from 0, no blank lines", "x.conll", "{zero} {word} {tag}", after=""),
    Kind("columns: both numbers, no blank lines", "x.conll", "{place} {number} {word} {tag}", after=""),
    Kind("columns: ids of sentences, with names, no blank lines", "x.conll", "doc-{number} {word} {tag}", "id word ner\n", ""),
    Kind("columns: the number of the sentence, no blank lines", "x.conll", "{number} {word} {tag}", after=""),
    Kind("columns: Label Studio", "x.conll", "{word} -X- _ {tag}", "-DOCSTART- -X- O\n"),
    Kind("columns: MultiCoNER", "x.conll", "{word} _ _ {tag}", before="# id 52{number}9d8-aa00-4c domain=en\n"),
    Kind("columns: ids and texts in comments", "x.conll", "{place}\t{word}\t{tag}", before="# sent_id: {number}\n# text: so so\n"),
    Kind("columns: CoNLL-U with tags in the last column", "x.conllu", "{place}\t{word}\t_\t_\t_\t_\t0\troot\t_\t{tag}",
         spell=lambda tag: "SpaceAfter=No" if tag == "O" else f"Name={tag}|SpaceAfter=No", told="'_' in 'Name' is read as O"),
    Kind("columns: the tag before the word (MIT's movies)", "x.bio", "{tag}\t{word}", told="the tags are taken from the first column"),
    # tags
    *[Kind(f"tags like {spell('B-PER')} and {spell('O')} in {scheme}", "x.conll", "{word} {tag}", spell=spell, scheme=scheme, told=told,
           read=read)
      for spell, scheme, told, read in [
        (lambda tag: tag.replace("-", "_"), "IOB2", "are written like B_PER; they are read as B-PER and I-PER are", str),
        (lambda tag: tag.replace("-", ":"), "IOB2", "are written like B_PER", str),
        (suffix, "IOB2", "are written like PER-B", str),
        (lambda tag: suffix(tag, "_"), "BIOES", "are written like PER-B", str),
        (str.lower, "IOB2", "are written like b-per", str.lower),
        (lambda tag: suffix(tag).lower(), "IOB2", "are written like per-b", str.lower),
        (lambda tag: tag.replace("-", ""), "IOB2", "are written like BPER", str),
        (lambda tag: tag.replace("B-", "BEGIN-").replace("I-", "INSIDE-"), "IOB2", "are written like begin-PER", str),
        (lambda tag: tag[0], "IOB2", "have no types; every entity is called 'entity'", lambda label: "entity"),
        (lambda tag: f"en:{tag}", "IOB2", "'en:' in front of every tag in 'tags' is left out", str),
        (lambda tag: tag.replace("I-", "M-"), "BIOES", "are written like M-PER", str),
        (lambda tag: tag.replace("I-", "M-"), "IOB2", "are written like M-PER", str),
        *[(lambda tag, outside=outside: outside if tag == "O" else tag, "IOB2", f"'{outside}' in 'tags' is read as O: no entity", str)
          for outside in ("-X-", "_", "NoLabel", "0", "none", "-", "o", "Other")],
        (lambda tag: "none" if tag == "O" else tag, "bare", "'none' in 'tags' is read as O", str)]],
    Kind("types in lower case after B-, in upper case after I-", "x.conll", "{word} {tag}",
         spell=lambda tag: "B-" + tag[2:].lower() if tag[0] == "B" else tag, told="all are read in upper case"),
    Kind("a language in front of every word", "x.conll", "en:{word} {tag}", told="'en:' in front of every word is left out"),
]


def read(folder: Path, name: str, content: str, columns: str = "", wanted: Sequence[str] = ()) -> Table:
    (folder / name).write_text(content, encoding="utf-8")
    return read_files([folder / name], parse_columns(columns), wanted)


def shown(table: Table, task: str = "") -> list[tuple[str, tuple]]:
    """The text and the entities of each row, of one task."""
    return [(row.text, tuple(row.values[task or table.tasks[-1].name] or ())) for row in table.rows]


def marked(*texts: str) -> list[tuple[str, tuple]]:
    return [parse_marked(text, "round") for text in texts]


def of(sentence: Sentence, rename: Callable[[str], str]) -> str:
    """A sentence as marked text."""
    parts: list[list[str]] = []
    for word, tag in sentence:
        if tag[0] == "I":
            parts[-1][0] += f" {word}"
        else:
            parts.append([word, tag[2:]])
    return " ".join(f"[{words}]({rename(label)})" if label else words for words, label in parts)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.is_for)
def test_every_kind_of_file_comes_to_the_same_sentences_and_says_what_was_guessed(tmp_path, kind):
    table = read(tmp_path, kind.file, kind.write(SENTENCES))
    assert shown(table) == marked(*(of(sentence, kind.read) for sentence in SENTENCES))
    assert [task.kind for task in table.tasks] == ["tagging"]
    assert any(kind.told in notice for notice in table.notices) or not kind.told
    again = read_files([tmp_path / kind.file], table.columns)  # as a run reads it, with the roles that were guessed
    assert list(again.rows) == list(table.rows)


@st.composite
def sentence(draw) -> Sentence:
    """Words with entities of one to three words, more words in none, and no two entities side by side."""
    word = st.text("abcdefgh", min_size=2, max_size=5)
    words: Sentence = []
    for _ in range(draw(st.integers(1, 3))):
        words += [(draw(word), "O") for _ in range(draw(st.integers(2, 4)))]
        label = draw(st.sampled_from(["PER", "LOC", "ORG", ""]))
        words += [(draw(word), f"{'I' if place else 'B'}-{label}") for place in range(draw(st.integers(1, 2)) if label else 0)]
    return words


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(sentence(), min_size=1, max_size=6))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.is_for)
def test_any_sentences_come_back_from_every_kind_of_file(tmp_path, kind, sentences):
    sentences = [*SENTENCES, *sentences]
    assert shown(read(tmp_path, kind.file, kind.write(sentences))) == marked(*(of(each, kind.read) for each in sentences))


# Labels of sentences, and several tasks


INTENT = "1\tfly\tO\n2\tto\tO\n3\tOslo\tB-to\n\n", "1\tbook\tO\n2\ta\tO\n3\troom\tB-what\n\n"


@pytest.mark.parametrize(("name", "content", "task"), [
    ("x.conll", "# intent: go\n{0}# intent: stay\n{1}# intent: go\n{0}", "intent"),
    ("x.conllu", "# id: 1\n# text: fly to Oslo\n# intent: go\n# slots: 7:11:to\n{0}# id: 2\n# text: x\n# intent: stay\n# slots: 0:1:x\n{1}"
                 "# id: 3\n# text: fly to Oslo\n# intent: go\n# slots: 7:11:to\n{0}", "intent"),
    ("x.conll", "# a remark: only once\n# intent = go\n{0}# intent = stay\n{1}# intent = go\n{0}", "intent"),
    ("x.conll", "# text: fly\n# intent: go\n{go}# intent: stay\n{stay}# intent: go\n{go}", "intent"),
    ("x.conll", "{go}{stay}{go}", "column 3"),
    ("x.csv", "number,intent,word,slot\n1,go,fly,O\n1,go,to,O\n1,go,Oslo,B-to\n2,stay,book,O\n2,stay,a,O\n2,stay,room,B-what\n"
              "3,go,fly,O\n3,go,to,O\n3,go,Oslo,B-to\n", "intent"),
    ("x.csv", "number,intent,word,slot\n1,go,fly,O\n,,to,O\n,,Oslo,B-to\n2,stay,book,O\n,,a,O\n,,room,B-what\n3,go,fly,O\n,,to,O\n"
              ",,Oslo,B-to\n", "intent")])
def test_a_label_of_the_sentence_is_a_class_and_what_only_describes_it_is_no_task(tmp_path, name, content, task):
    repeated = {label: re.sub(r"\t(\S+)\n", rf"\t{label}\t\1\n", part) for label, part in zip(("go", "stay"), INTENT, strict=True)}
    table = read(tmp_path, name, content.format(*INTENT, **repeated))
    assert sorted(task.kind for task in table.tasks) == ["classification", "tagging"]
    assert [row.values[task] for row in table.rows] == ["go", "stay", "go"]
    tags = next(task.name for task in table.tasks if task.kind == "tagging")
    assert shown(table, tags) == marked("fly to [Oslo](to)", "book a [room](what)", "fly to [Oslo](to)")


def test_two_columns_of_tags_are_two_tasks(tmp_path):
    """GermEval 2014: the place of the word, the outer and the nested entity; a source before each sentence."""
    source = "#\thttp://example.org/a [2009-10-17]\n"
    for name in ("x.tsv", "x.conll"):
        table = read(tmp_path, name, (f"{source}1\tFC\tB-ORG\tO\n2\tKiel\tI-ORG\tB-LOC\n3\twon\tO\tO\n\n"
                                      f"{source}1\tso\tO\tO\n2\tit\tO\tO\n\n"))
        assert shown(table, "column 3") == marked("[FC Kiel](ORG) won", "so it")
        assert shown(table, "tags") == marked("FC [Kiel](LOC) won", "so it") and len(table.tasks) == 2


def test_ontonotes_is_read_though_its_lines_differ_in_length(tmp_path):
    lines = ["#begin document (a/b); part 000", "a/b 0 0 Ada NNP (S* - - - - (PERSON* * (12", "a/b 0 1 Berg NNP * - - - - *) * 12)",
             "a/b 0 2 left VBD *) leave 01 1 - * (V*) -", "", "a/b 0 0 Oslo NNP (S* - - - - (GPE) (V*) *) -",
             "a/b 0 1 is VBZ *) be - - - * * *) -", "#end document", "#begin document (a/c); part 000", "a/c 0 0 so RB (S*) - - - - * -",
             "", "#end document"]
    table = read(tmp_path, "x.conll", "\n".join(lines) + "\n")
    assert shown(table, "ner") == marked("[Ada Berg](PERSON) left", "[Oslo](GPE) is", "so")
    assert [task.name for task in table.tasks] == ["ner"]


def test_grammar_is_learned_where_the_user_says_so(tmp_path):
    content = "Sentence #,Word,POS,chunk,Tag\n1,Ada,N,B-NP,B-per\n,left,V,B-VP,O\n2,Oslo,N,B-NP,B-geo\n,is,V,O,O\n"
    assert [task.name for task in read(tmp_path, "x.csv", content).tasks] == ["Tag"]
    assert [task.name for task in read(tmp_path, "x.csv", content, "POS=tags:pos").tasks] == ["pos", "Tag"]
    assert [task.name for task in read(tmp_path, "x.csv", content, wanted=["chunk"]).tasks] == ["chunk", "Tag"]


def test_what_stands_at_the_words_around_is_no_task(tmp_path):
    content = ("sentence_idx,word,prev-iob,tag,next-pos\n1.0,Ada,O,B-per,V\n1.0,left,B-per,O,N\n2.0,Oslo,O,B-geo,V\n2.0,is,B-geo,O,N\n")
    table = read(tmp_path, "x.csv", content)
    assert shown(table) == marked("[Ada](per) left", "[Oslo](geo) is") and [task.name for task in table.tasks] == ["tag"]


def test_a_file_of_one_sentence_is_read(tmp_path):
    assert shown(read(tmp_path, "x.csv", "sentence_id,word,tag\n7,Ada,B-PER\n7,left,O\n")) == marked("[Ada](PER) left")
    assert shown(read(tmp_path, "x.conll", "1 Ada B-PER\n2 left O\n")) == marked("[Ada](PER) left")
    assert shown(read(tmp_path, "x.conll", "0 Ada B-PER\n1 left O\n\n0 so O\n")) == marked("[Ada](PER) left", "so")
    assert shown(read(tmp_path, "x.conll", "1 Ada B-PER\n2 left O\n\n1 it O\n\n1 so O\n")) == marked("[Ada](PER) left", "it", "so")


@pytest.mark.parametrize("name", ["x.txt", "x.tsv", "x", "x.conll"])
def test_a_file_without_blank_lines_is_one_sentence_and_says_so_if_it_looks_like_several(tmp_path, name):
    for content, told in (("Ada\tB-PER\nleft\tO\n.\tO\n", []), ("Ada\tB-PER\n.\tO\nIt\tO", [
            f"{name}: has no blank line, and is read as one sentence of 3 words. Put a blank line after every sentence."])):
        table = read(tmp_path, name, content)
        assert shown(table) == marked("[Ada](PER) " + " ".join(content.split()[2::2])) and table.notices == told


def test_words_with_grammar_alone_are_sentences_without_a_task(tmp_path):
    table = read(tmp_path, "x.csv", "sentence_id,word,pos\n1,Ada,N\n1,left,V\n2,it,P\n2,is,V\n")
    assert [row.text for row in table.rows] == ["Ada left", "it is"] and not table.tasks


def test_lists_of_words_are_known_by_the_tags_beside_them(tmp_path):
    table = read(tmp_path, "x.jsonl", '{"satz": ["Ada", "left"], "namen": ["B-PER", "O"]}\n{"satz": ["so"], "namen": ["O"]}\n')
    assert shown(table) == marked("[Ada](PER) left", "so")
    assert "'satz' is taken for it, as another has a tag for each word" in table.notices[0]


def test_words_may_be_signs_and_numbers(tmp_path):
    content = 'Sentence #,Word,POS,Tag\nSentence: 1,"""",``,O\n,Ada,N,B-per\n,",",P,O\nSentence: 2,10,N,O\n,NaN,N,O\n'
    assert shown(read(tmp_path, "x.csv", content)) == marked('" [Ada](per) ,', "10 NaN")


def test_a_task_that_is_asked_for_is_read_as_it_is_found(tmp_path):
    content = "sentence_id,word,Etikett\n1,Ada,B-PER\n1,left,\n2,Oslo,B-LOC\n2,is,\n2,it,\n"
    for wanted in ([], ["Etikett"]):
        assert shown(read(tmp_path, "x.csv", content, wanted=wanted)) == marked("[Ada](PER) left", "[Oslo](LOC) is it")


def test_rows_stay_texts_where_the_user_says_so_or_they_are_no_words(tmp_path):
    for content, columns, text in (
            ("id,word,label\n1,Ada,B-PER\n1,left,O\n2,Oslo,B-LOC\n2,is,O\n", "word=text,label=class", "Ada"),
            ("id,word,label\n1,Ada,B-PER\n1,left,O\n2,Oslo,B-LOC\n2,is,O\n", "label=class", "Ada"),
            ("id,word,label\n1,bank,pos\n1,river,neg\n2,bank,none\n2,sea,pos\n", "", "bank"),
            ("name,text,label\nO,so good,O\nA,so bad,A\n\nB,so so,O\n", "", "so good"),
            ("text,label\nhello,A\nbye,O\n\nyes,O\nno,AB\n", "", "hello")):
        table = read(tmp_path, "x.csv", content, columns)
        assert table.rows[0].text == text and len(table.rows) == content.replace("\n\n", "\n").count("\n") - 1
        assert not any(JOINED in notice for notice in table.notices)


# Words and tags in cells


@pytest.mark.parametrize("tags", ["B-PER I-PER O B-LOC", "B-PER,I-PER,O,B-LOC", "B-PER, I-PER, O, B-LOC", "B-PER;I-PER;O;B-LOC",
                                  "B-PER|I-PER|O|B-LOC", "['B-PER', 'I-PER', 'O', 'B-LOC']", '["B-PER", "I-PER", "O", "B-LOC"]',
                                  "('B-PER', 'I-PER', 'O', 'B-LOC')",
                                  "[B-PER, I-PER, O, B-LOC]", "(B-PER, I-PER, O, B-LOC)", "[B-PER I-PER O B-LOC]",
                                  "B_PER I_PER O B_LOC", "['PER-B', 'PER-I', 'O', 'LOC-B']"])
@pytest.mark.parametrize("words", ["Ada Berg left Oslo", "['Ada', 'Berg', 'left', 'Oslo']", "('Ada', 'Berg', 'left', 'Oslo')",
                                   "[Ada, Berg, left, Oslo]"])
def test_the_tags_of_a_sentence_stand_in_one_cell(tmp_path, words, tags):
    quoted = [cell.replace('"', '""') for cell in (words, tags)]
    table = read(tmp_path, "x.csv", 'tokens,ner\n"{}","{}"\n'.format(*quoted))
    assert shown(table, "ner") == marked("[Ada Berg](PER) left [Oslo](LOC)")


def test_an_entity_given_twice_is_kept_once_and_told(tmp_path):
    table = read(tmp_path, "x.jsonl", '{"text": "Ada left", "e": [[0, 3, "PER"], [0, 3, "PER"], [0, 3, "PER"]]}\n')
    assert shown(table) == marked("[Ada](PER) left")
    assert table.notices == ["x.jsonl: 2 entity spans that are given twice with one label were kept once (first in line 1)."]
    with pytest.raises(MtlError, match="0-3 and 0-3 overlap"):
        read(tmp_path, "x.jsonl", '{"text": "Ada left", "e": [[0, 3, "PER"], [0, 3, "ORG"]]}\n')


# Refusals


@pytest.mark.parametrize(("name", "content", "message"), [
    ("x.csv", "word,tag\nAda,B-PER\nleft,O\nOslo,B-LOC\n", "nothing tells where a sentence ends. Add a column with the number of"),
    ("x.csv", "tokens,tags\n\"['Ada', 'left']\",[1 0]\n\"['so']\",[0]\n", "'tags' has the number '1' for a tag. Names such as O"),
    ("x.csv", "id,word,ner_tags\n1,Ada,1\n1,left,0\n2,Oslo,3\n2,is,0\n", "'ner_tags' has the number '1' for a tag. Names such as O"),
    ("x.csv", "sid,word,label\n1,Ada,1\n1,left,0\n2,Oslo,3\n2,is,0\n2,it,0\n", "'label' has the number '1' for a tag. Names such as O"),
    ("x.csv", "id,word,tag\n1,Ada,B-PER\n1,left,O\n2,New York,B-LOC\n2,is,O\n2,it,O\n", "token 1 of 'word' 'New York' has a blank in it"),
    ("x.tsv", "Ada\tB-PER\nBerg\tI-PER\nleft\tO\n\nNew York\tB-LOC\nis\tO\n", "'New York' has a blank in it. A token is one word"),
    ("x.jsonl", '{"tokens": ["Ada"], "ner_tags": [1]}\n', "only Parquet and saved datasets can have a list of names"),
    ("x.conll", "Ada B-PER\nleft O\n\nOslo b-loc\n", "line 4: tag 'b-loc' in 'tags' is not in BIO form"),
    ("x.conll", "Ada B-PER\nleft O\n\nOslo B_LOC\n", "line 4: tag 'B_LOC' in 'tags' is not in BIO form"),
    ("x.conll", "Ada B-PER\nleft O\n\nOslo LOC\n", "line 4: tag 'LOC' in 'tags' is not in BIO form"),
    ("x.conll", "Ada M-PER\nBerg L-PER\nleft O\n", "line 1: tag 'M-PER' in 'tags' is not in BIO form"),
    ("x.conll", "Ada B_PER\nBerg E_PER\nleft O\nOslo U_LOC\n", "the tags mix two schemes: BIOES (E-) and BILOU (U-)"),
    *[(name, "#FORMAT=WebAnno TSV 3.3\n#T_SP=a|value\n\n\n#Text=Ada left\n1-1\t0-3\tAda\tPER\t\n1-2\t4-8\tleft\t_\t\n",
       "line 1: is WebAnno's TSV, which INCEpTION writes too. Export the annotations from there as CoNLL 2002")
      for name in ("x.tsv", "x.conll")],
    ("x.csv", "id,word,tag\n" + "1,so,O\n" * 300 + "2,Ada,B-PER\n2,is,O\n" + "3,so,O\n" * 2001,
     "x.csv: the sentence from line 304 has over 2,000 words. Sentences end where 'id' changes"),
])
def test_what_cannot_be_read_is_refused_by_name(tmp_path, name, content, message):
    with pytest.raises(MtlError) as caught:
        read(tmp_path, name, content)
    assert message in str(caught.value) and len(str(caught.value)) <= 250
