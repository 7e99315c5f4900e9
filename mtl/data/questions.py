"""Files that may as well be read in another way: what the user is asked, with a row of each reading. The answer is the role of a column."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Reading:
    """One way to read a file: in words, a row that is read so, the roles of columns by which the user says so, and whether it is taken."""

    words: str
    example: str
    roles: dict[str, str]
    is_taken: bool


@dataclass(frozen=True)
class Question:
    """The readings of a file, and the group of its columns: see ColumnSpec."""

    file: str
    group: str
    readings: tuple[Reading, ...]

    @classmethod
    def of_plain(cls, plain: dict[str, Any]) -> Self:
        """The question that `dataclasses.asdict` has taken apart."""
        return cls(plain["file"], plain["group"], tuple(Reading(**reading) for reading in plain["readings"]))
