"""The one exception that is shown to the user as it is; anything else is a bug and keeps its traceback."""

import errno


class MtlError(Exception):
    """A message written for the user: where, what was found, what was wanted, what to do."""


def is_disk_full(error: BaseException) -> bool:
    """Whether `error` says that no space is left.

    `torch.save` reports a full disk as a RuntimeError of its zip writer, not as an OSError.
    """
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, RuntimeError) and ("inline_container" in str(error) or "unexpected pos" in str(error))
