from astrolab.metrics import REQUIREMENTS, find_metric


def test_the_lsst_limits_are_those_of_the_text_not_of_the_misprint():
    assert (REQUIREMENTS["bias"].limit, REQUIREMENTS["scatter"].limit) == (0.003, 0.02)
    assert "misprint" in REQUIREMENTS["bias"].note


def test_every_requirement_is_of_a_metric_and_cited():
    for name, requirement in REQUIREMENTS.items():
        assert find_metric(name).id == requirement.metric
        assert requirement.reference
