"""Missing extras: one line that names the extra to install."""

from importlib import import_module

import pytest

from scheduler.core.errors import MissingExtraError
from scheduler.core.extras import extra_needed


def test_a_missing_package_is_reported_as_its_extra() -> None:
    with pytest.raises(MissingExtraError) as refused, extra_needed("encryption", "postgres"):
        import_module("no_such_package.of_a_host")
    assert str(refused.value) == (
        "encryption needs the extra `postgres` (No module named 'no_such_package'): pip install 'slotsmith[postgres]'"
    )


@pytest.mark.parametrize("error", [ModuleNotFoundError("no module", name="scheduler.absent"), ModuleNotFoundError("x")])
def test_a_missing_module_of_the_library_itself_is_no_extra(error: ModuleNotFoundError) -> None:
    with pytest.raises(ModuleNotFoundError) as refused, extra_needed("encryption", "postgres"):
        raise error
    assert refused.value is error


def test_a_block_that_misses_nothing_runs_to_its_end() -> None:
    with extra_needed("encryption", "postgres"):
        package = import_module("scheduler.core.extras")
    assert package.extra_needed is extra_needed
