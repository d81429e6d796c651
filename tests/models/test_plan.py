import pytest
import torch

from astrolab.errors import PlanError
from astrolab.models.adapt import adapt
from astrolab.models.plan import batchnorm_layers


@pytest.fixture
def adapted(small_network):
    return adapt(small_network("cnn"), strategy="layers")


def trainable(network):
    return [p for p in network.parameters() if p.requires_grad]


def test_the_table_lists_every_parameter(adapted):
    table = adapted.plan.table.set_index("parameter")
    named = dict(adapted.network.named_parameters())
    assert list(table.index) == list(named)
    assert table["count"].sum() == sum(p.numel() for p in named.values())
    assert table.loc["features.0.weight", "state"] == "trained"
    assert table.loc["features.1.weight", "state"] == "frozen"
    assert table.loc["features.0.weight", "shape"] == (8, 5, 7, 7)


def test_the_line_says_how_much_trains(adapted):
    counts = adapted.plan.counts
    assert (
        counts["trainable"]
        == counts["trained"]
        == adapted.plan.n_trainable
        == 8 * 5 * 49 + 64 * 16 + 16 + 16 * 8 + 8 + 9
    )
    assert repr(adapted.plan).startswith(f"layers: {counts['trainable']:,} of {counts['total']:,} parameters train")


def test_what_is_thawed_or_frozen_behind_the_plan_is_found(adapted):
    adapted.plan.assert_holds(adapted.network)
    weight = adapted.network.features[1].weight.requires_grad_(True)
    with pytest.raises(PlanError, match=r"would train, though frozen: features\.1\.weight"):
        adapted.plan.assert_holds(adapted.network)
    weight.requires_grad_(False)
    adapted.network.features[0].weight.requires_grad_(False)
    with pytest.raises(PlanError, match=r"would not train, though planned to: features\.0\.weight"):
        adapted.plan.assert_holds(adapted.network)
    adapted.plan.enforce(adapted.network)
    adapted.plan.assert_holds(adapted.network)


def test_the_published_mistake_is_found(adapted, small_network):
    """The published code froze a network, then trained another one that it had loaded (nothing frozen)."""
    with pytest.raises(PlanError, match="would train, though frozen"):
        adapted.plan.assert_holds(small_network("cnn"))


def test_another_network_is_found(adapted, small_network):
    with pytest.raises(PlanError, match="are missing from the network"):
        adapted.plan.assert_holds(small_network("mlp"))
    adapted.network.classifier[6] = torch.nn.Linear(9, 1)
    with pytest.raises(PlanError, match=r"another shape than planned: classifier\.6\.weight"):
        adapted.plan.assert_holds(adapted.network)
    adapted.network.extra = torch.nn.Linear(1, 1)
    with pytest.raises(PlanError, match=r"are not in the plan: extra\.bias, extra\.weight"):
        adapted.plan.assert_holds(adapted.network)


def test_the_optimizer_must_hold_exactly_what_trains(adapted):
    plan, network = adapted.plan, adapted.network
    plan.assert_holds(network, optimizer=torch.optim.Adam(trainable(network)))
    with pytest.raises(PlanError, match="the optimizer lacks them"):
        plan.assert_holds(network, optimizer=torch.optim.Adam(trainable(network)[1:]))
    with pytest.raises(PlanError, match=r"do not train: features\.1\.bias"):
        plan.assert_holds(network, optimizer=torch.optim.Adam(network.parameters()))


def test_what_is_frozen_can_be_proven_untouched(adapted):
    before = adapted.plan.frozen_digests(adapted.network)
    with torch.no_grad():
        adapted.network.features[0].weight += 1
        batchnorm_layers(adapted.network)[0].running_mean += 1
    adapted.plan.assert_untouched(adapted.network, before=before)
    with torch.no_grad():
        adapted.network.features[4][0].conv1.weight[0, 0, 0, 0] += 1e-3
    with pytest.raises(PlanError, match=r"have changed, though frozen: features\.4\.0\.conv1\.weight"):
        adapted.plan.assert_untouched(adapted.network, before=before)


def test_frozen_batchnorm_statistics_are_part_of_the_proof(small_network):
    adapted = adapt(small_network("cnn"), strategy="layers", batchnorm="freeze")
    before = adapted.plan.frozen_digests(adapted.network)
    adapted.network.train()({"image": torch.randn(4, 5, 16, 16)})
    with pytest.raises(PlanError, match=r"features\.1\.num_batches_tracked"):
        adapted.plan.assert_untouched(adapted.network, before=before)
