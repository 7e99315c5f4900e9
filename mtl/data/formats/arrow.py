"""Parquet files, and folders that `datasets` saved, into records. `datasets` would copy a Parquet file first, so pyarrow reads it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mtl.data.formats.files import KINDS, MAX_LINE, SAVED, SAVED_SPLITS, Record, Source, check_file, check_names, check_size, show
from mtl.data.store import BATCH, Stored, open_dataset
from mtl.errors import MtlError
from mtl.text import many

Opened = tuple[list[str], Mapping[str, Any], Iterator[dict[str, Any]]]  # the names of the columns, their features, and the rows


def read_parquet(source: Source) -> Iterator[Record]:
    """The rows of a Parquet file."""
    check_file(source.path, "Parquet")
    return _records(source, "Parquet", _open_parquet)


def read_dataset(source: Source) -> Iterator[Record]:
    """The rows of a folder that `Dataset.save_to_disk` wrote."""
    check_size(source.path)
    if (source.path / SAVED_SPLITS).is_file():
        raise MtlError(f"{source.name}: holds several splits, and one is wanted. Name the folder of that split, which is in it.")
    if not (source.path / SAVED).is_file():
        raise MtlError(f"{source.name}: is a folder, but not one that `datasets` saved: it has no {SAVED}. Name a file instead.")
    return _records(source, "a saved dataset", _open_dataset)


def _open_parquet(source: Source) -> Opened:
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(source.path)
    schema, features = file.schema_arrow, {}
    if b"huggingface" in (schema.metadata or {}):
        from datasets import Features

        try:
            features = Features.from_arrow_schema(schema)
        except (ValueError, TypeError, KeyError, AttributeError):
            source.notice("what it says of its columns cannot be understood; numbers of classes stay numbers.")
    return schema.names, features, (row for batch in file.iter_batches(BATCH) for row in batch.to_pylist())


def _open_dataset(source: Source) -> Opened:
    try:
        dataset = open_dataset(source.path)
    except IndexError:  # `datasets` fails so where no row was saved
        return [], {}, iter(())
    return dataset.column_names, dataset.features, iter(Stored(dataset, dict))


def _records(source: Source, format: str, open_rows: Callable[[Source], Opened]) -> Iterator[Record]:
    from pyarrow import ArrowException

    name, number = source.name, 0
    try:
        columns, features, rows = open_rows(source)
        with source.at(1):
            check_names(columns)
        named = {column: feature for column, feature in features.items() if "ClassLabel(" in str(feature)}  # the others take no time
        for number, row in enumerate(rows, 1):
            with source.at(number):
                fields = {column: _plain(value, named.get(column)) for column, value in row.items()}
            yield number, fields
    except UnicodeDecodeError as error:
        raise MtlError(f"{name}: has text that is not UTF-8 after row {number}. Write the file anew, in UTF-8.") from error
    except (OSError, ValueError, TypeError, KeyError, ArrowException) as error:
        reason = show(" ".join(str(error).replace(str(source.path), name).split()).split(". ")[0], 80)
        raise MtlError(f"{name}: cannot be read as {format} ({reason}). Is it whole?") from error


def _plain(value: Any, feature: Any) -> object:
    """A value of a kind that readers know: the number of a class becomes its name (-1: None), dates, bytes and decimals become text."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, list):
        of_part = getattr(feature, "feature", None)
        return [_plain(part, of_part) for part in value]
    if isinstance(value, dict):
        of_keys = feature if isinstance(feature, dict) else {}
        return {key: _plain(part, of_keys.get(key)) for key, part in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") if len(value) < MAX_LINE else f"{len(value):,} bytes"
    names = feature and getattr(feature, "names", None)
    if names is None or type(value) is not int:
        return value if type(value) in KINDS else str(value)
    if not -1 <= value < len(names):
        raise MtlError(f"class number {value} has no name; the file names {many(len(names), 'class')}. Mend the file.")
    return names[value] if value >= 0 else None
