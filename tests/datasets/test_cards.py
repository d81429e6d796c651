import pytest

from astrolab.datasets.cards import cite, data_card, in_columns, on_disk, survey_table
from astrolab.datasets.fetching import survey_dir
from astrolab.datasets.manifest import load_manifest, parse_manifest, registry_dir


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROLAB_DATA_DIR", str(tmp_path))


def touch(manifest, *names, folder="."):
    for name in names:
        path = survey_dir(manifest) / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_table_holds_every_survey_even_a_broken_one():
    registry_dir().mkdir()
    (registry_dir() / "broken.toml").write_text('folder = "x"\nname = 3\n')
    table = survey_table().set_index("name")
    assert table.loc["galaxiesml", "n"] == 286_401
    assert table.loc["combo", "kind"] == "recipe" and table.loc["combo", "n"] == 286_401 + 100_442 - 557
    assert set(table.drop("broken").on_disk) == {"no"}
    assert table.loc["broken", "title"] == "unusable: ManifestError"


def test_what_is_on_disk():
    galaxiesml, transferz = load_manifest("galaxiesml"), load_manifest("transferz")
    touch(galaxiesml, *(f.path for f in galaxiesml.select_files(size=64)))
    assert on_disk(galaxiesml) == "3 of 6 files"
    touch(galaxiesml, *(f.path for f in galaxiesml.files))
    assert on_disk(galaxiesml) == "yes"
    assert on_disk(load_manifest("combo")) == "no"
    touch(transferz, *(f.path for f in transferz.files))
    assert on_disk(load_manifest("combo")) == "yes"


def test_realisations_of_a_twin():
    table = {
        **{"name": "t", "title": "T", "version": "1", "simulated": True},
        **{"input": {"image": {"key": "image", "channels": ["g"]}}, "files": [{"path": "a.h5"}]},
        "twin": {"of": "galaxiesml", "simulator": "hsc", "n": 3, "knobs": {"depth": 26.5}},
    }
    twin = parse_manifest(table, where="t.toml")
    assert on_disk(twin) == "no"
    touch(twin, "a.h5", folder="n3-s0-abcd")
    assert on_disk(twin) == "1 realisation"
    touch(twin, "a.h5", folder="n3-s1-abcd")
    assert on_disk(twin) == "2 realisations"
    card = data_card(twin)
    assert "image, simulated" in card and "depth = 26.5" in card and "twin of      galaxiesml" in card


def test_the_card_of_a_survey():
    card = data_card("galaxiesml")
    for words in ("arXiv:2410.00271", "specz_redshift", "hsc-y", "0.168 arcsec/px", "16.9 GB", "CC BY 4.0", "-99.9"):
        assert words in card
    assert "transferz, galaxiesml" in data_card("combo")


def test_columns_line_up():
    assert in_columns([("a", "bc"), ("def", "g")]) == "a    bc\ndef  g"


def test_a_recipe_thanks_its_members_once():
    text = cite("combo")
    assert "Do et al. 2024" in text and "Soriano et al. 2024" in text and "Seenivasan" in text
    for key in ("Do2024GalaxiesML", "Soriano2024TransferZ", "Aihara2019", "Weaver2022"):
        assert text.count(f"{{{key},") == 1
    assert text.count("{") == text.count("}")


def test_a_twin_thanks_its_original():
    twin = {
        **{"name": "t", "title": "T", "version": "1", "simulated": True},
        **{"input": {"image": {"key": "image", "channels": ["g"]}}, "files": [{"path": "a.h5"}]},
        "twin": {"of": "galaxiesml", "simulator": "hsc", "n": 3},
    }
    text = cite(parse_manifest(twin, where="t.toml"))
    assert "Do2024GalaxiesML" in text and "simulated by astrolab" in text
    del twin["twin"]
    assert "names no work" in cite(parse_manifest(twin, where="t.toml"))
