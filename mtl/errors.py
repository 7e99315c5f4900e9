"""The exception whose message is shown to the user; any other exception is a bug and keeps its traceback."""

import errno

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class MtlError(Exception):
    """A message written for the user: where, what was found, what was wanted, what to do."""


class SettingError(MtlError):
    """An invalid setting: its `label` on the page, its `name`, and `what` is wrong. `for_terminal` also names its flag."""

    def __init__(self, label: str, name: str, what: str) -> None:
        super().__init__(f"{label}: {what}")
        self.for_terminal = f"{label} (--{name.replace('_', '-')}): {what}" if name else str(self)


def is_disk_full(error: BaseException) -> bool:
    """Whether no space is left; torch.save reports that as a RuntimeError of its zip writer, safetensors as an error of its own."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    text = str(error)
    if isinstance(error, RuntimeError) and ("inline_container" in text or "unexpected pos" in text):
        return True
    return any(f"(os error {number})" in text for number in _FULL)
