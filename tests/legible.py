"""What the tests of messages share: whether a person can read one."""

from mtl.text import FIRST_STRONG_ISOLATE, POP_ISOLATE, can_be_shown


def is_legible(message: str) -> bool:
    """Whether every character of `message` can be seen, but for those that keep right-to-left names apart, which come in pairs."""
    paired = message.count(FIRST_STRONG_ISOLATE) == message.count(POP_ISOLATE)
    return paired and can_be_shown(message.replace(FIRST_STRONG_ISOLATE, "").replace(POP_ISOLATE, ""))
