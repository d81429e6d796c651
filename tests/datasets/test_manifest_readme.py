"""The README of the manifests keeps what it promises."""

import re
import tomllib
from dataclasses import fields

import pytest

from astrolab.datasets.manifest_schema import FORMATS, KINDS, MAGNITUDE_UNITS, Manifest
from astrolab.datasets.manifests import parse_manifest
from astrolab.parameters import shipped_folder

README = (shipped_folder("data_manifests") / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: tomllib.loads(text)["name"])
def test_the_examples_are_right(example):
    assert parse_manifest(tomllib.loads(example), where="README").files


def test_every_key_is_explained():
    table = README.split("## Every key")[1]
    for field in fields(Manifest):
        section = field.metadata.get("section")
        names = [f.name for f in fields(section)] if section else [field.name] if field.metadata else []
        assert not section or f"[{field.name}]" in table
        missing = [name for name in names if f"`{name}`" not in table and f"[{name}]" not in table]
        assert not missing, f"{field.name}: {missing}"
    assert not [word for word in (*FORMATS, *KINDS, *MAGNITUDE_UNITS) if f"`{word}`" not in table]
