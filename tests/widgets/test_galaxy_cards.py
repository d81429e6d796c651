from astrolab.exploring import match_models, with_deviations
from astrolab.widgets.galaxy_cards import galaxy_cards


def test_galaxies_have_their_ids_numbers_and_frames(predictions, survey):
    tl, lora = (predictions.query(f"arm == '{arm}' and seed == 0 and object_id > 99") for arm in ("tl", "lora"))
    galaxies = match_models(with_deviations(tl.reset_index(drop=True)), others=lora).iloc[[3, 7]]
    cards = galaxy_cards(galaxies.assign(is_outlier=[True, False], pred=[-0.25, 0.5]), survey=survey)
    assert cards.count("<figure") == 2 and cards.count('class="framed"') == 1
    assert "hsc-g, hsc-r, hsc-i" in cards and "→ −0.250" in cards and "→ 0.500" in cards
    for galaxy in galaxies.itertuples():
        assert str(galaxy.object_id) in cards and f"other → {galaxy.pred_other:.3f}" in cards
    alone = galaxy_cards(galaxies.drop(columns="pred_other"), survey=survey)
    assert "other →" not in alone
