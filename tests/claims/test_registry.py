import pytest

from astrolab.claims import CLAIMS, PROTOCOLS, Claim
from astrolab.errors import ConfigError
from astrolab.metrics import find_metric
from astrolab.published import load_published

NUMBERED = [claim for claim in CLAIMS.values() if claim.kind == "ratio" and "@" not in claim.better]


@pytest.mark.parametrize("claim", NUMBERED, ids=lambda claim: claim.id)
def test_the_printed_tables_say_what_the_claim_says(claim):
    """Each ratio stands in Tables 2 and 3 of the paper, to the digits it is stated with."""
    direction, models = "forward", list(claim.models("published"))
    values = {d: load_published("lora_vs_transfer", direction=d) for d in ("forward", "reverse")}

    def printed(model):
        arm, _, turned = model.partition("-")
        table = values[turned or direction]
        rows = table[(table["arm"] == arm) & (table["survey"] == claim.survey) & (table["metric"] == claim.metric)]
        return abs(rows["value"].item())

    ratio = printed(models[0]) / printed(models[1])
    assert ratio > 1 if claim.times == 1 else ratio == pytest.approx(claim.times, rel=0.06)


def test_the_digitised_curve_says_that_a_tenth_improves():
    claim = CLAIMS["tenth_improves"]
    curve = load_published("data_fractions").query("survey == @claim.survey and metric == @claim.metric")
    values = curve.set_index("fraction")["value"]
    assert claim.better == "lora@0.1" and values[0.1] < values[0.0]


def test_every_claim_has_a_source_and_a_metric_that_exists():
    for claim in CLAIMS.values():
        assert "arXiv:" in claim.source and claim.sentence.endswith(".")
        assert claim.kind == "time" or find_metric(claim.metric)


def test_transfer_learning_means_another_arm_under_each_protocol():
    assert {name: CLAIMS["lora_bias_2.5"].models(name) for name in PROTOCOLS} == {
        "fair": ("tl", "lora"),
        "published": ("tl_published", "lora"),
    }
    assert CLAIMS["plateau_40_50"].models("fair") == ("lora",)


@pytest.mark.parametrize(
    "given", [{}, {"worse": "tl"}, {"worse": "tl", "better": "lora", "times": 0}, {"kind": "plateau", "better": "lora"}]
)
def test_a_claim_that_compares_nothing_is_refused(given):
    with pytest.raises(ConfigError, match="what is compared"):
        Claim(id="x", sentence="…", source="…", **given)
