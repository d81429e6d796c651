from astrolab.datasets.citing import cite, cited_works
from astrolab.datasets.manifests import load_manifest, parse_manifest


def test_a_recipe_thanks_its_members_once():
    text = cite("combo")
    assert "Do et al. 2024" in text and "Soriano et al. 2024" in text and "Seenivasan" in text
    for key in ("Do2024GalaxiesML", "Soriano2024TransferZ", "Aihara2019", "Weaver2022"):
        assert text.count(f"{{{key},") == 1
    assert text.count("{") == text.count("}")
    assert set(cited_works("combo")) >= set(load_manifest("galaxiesml").citation.keys)


def test_a_twin_thanks_its_original():
    twin = {
        **{"name": "t", "title": "T", "version": "1", "kind": "images", "simulated": True},
        **{"image": {"key": "image", "bands": ["g"]}, "files": [{"path": "a.h5"}]},
        "twin": {"of": "galaxiesml", "simulator": "hsc", "n": 3},
    }
    text = cite(parse_manifest(twin, where="t.toml"))
    assert "Do2024GalaxiesML" in text and "simulated by astrolab" in text
    del twin["twin"]
    assert "names no work" in cite(parse_manifest(twin, where="t.toml"))
