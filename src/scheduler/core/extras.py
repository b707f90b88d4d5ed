"""Optional extras: the one-line error where a package of an extra is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from scheduler.core.errors import MissingExtraError


@contextmanager
def extra_needed(feature: str, extra: str) -> Iterator[None]:
    """Report a package that is missing in the block as an extra that is not installed.

    Raises:
        MissingExtraError: a module outside this library is missing; the message names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"", "scheduler"}:
            raise
        raise MissingExtraError(
            f"{feature} needs the extra `{extra}` ({error}): pip install 'slotsmith[{extra}]'"
        ) from None
