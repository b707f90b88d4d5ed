"""Models package: one home, `scheduler.models`, also in a checkout whose folder `src` is on the path."""

import importlib

import pytest
from sqlmodel import SQLModel

import scheduler.models
from scheduler.models.registry import METADATA


def test_models_of_a_checkout_hands_out_the_same_classes() -> None:
    package = importlib.import_module("models")
    assert {name: getattr(package, name) for name in package.__all__} == {
        name: getattr(scheduler.models, name) for name in scheduler.models.__all__
    }


def test_models_of_a_checkout_refuses_a_deeper_name() -> None:
    importlib.import_module("models")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'models\.identity'$"):
        importlib.import_module("models.identity")


def test_sqlmodels_own_metadata_has_none_of_the_tables() -> None:
    assert len(METADATA.tables) > 50
    assert SQLModel.metadata.tables == {}
