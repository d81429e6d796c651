import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from astrolab.errors import CheckpointError, ConfigError
from astrolab.models.adapt import adapt
from astrolab.models.registry import make_model
from astrolab.models.saving import load_model, load_weights, save_model
from astrolab.models.strategies import ADAPTERS, STRATEGIES

WAYS = [{"strategy": name} for name in STRATEGIES if name != "lora"]
WAYS += [{"strategy": "lora", "adapter": name} for name in ADAPTERS]


def some(way):
    return "-".join(way.values())


@pytest.fixture
def saved_lora(small_network, moved, tmp_path):
    base = small_network("redshift_cnn")
    adapted = moved(adapt(base, strategy="lora", targets=("input", "regressor")), name="redshift_cnn")
    return base, adapted, save_model(adapted, directory=tmp_path / "lora")


@pytest.mark.parametrize("name", ["redshift_cnn", "redshift_mlp"])
@pytest.mark.parametrize("way", WAYS, ids=some)
def test_what_is_loaded_predicts_like_what_was_saved_to_the_last_bit(way, name, small_network, inputs, moved, tmp_path):
    base, x = small_network(name), inputs(name)
    adapted = moved(adapt(base, **way, seed=2), name=name)
    save_model(adapted, directory=tmp_path / "model", base=base)
    loaded = load_model(tmp_path / "model")
    assert torch.equal(loaded.network(x), adapted.network(x))
    assert loaded.settings == adapted.settings
    assert loaded.base_digest == adapted.base_digest
    assert loaded.plan.table.equals(adapted.plan.table)
    loaded.plan.assert_holds(loaded.network)


def test_a_plain_network_is_saved_too(small_network, inputs, tmp_path):
    network, x = small_network("redshift_mlp"), inputs("redshift_mlp")
    loaded = load_model(save_model(network, directory=tmp_path / "plain"))
    assert torch.equal(loaded.network(x), network(x))


def test_channels_last_weights_are_saved_in_plain_order(small_network, inputs, tmp_path):
    network = small_network("redshift_cnn").to(memory_format=torch.channels_last)
    loaded = load_model(save_model(network, directory=tmp_path / "model"))
    torch.testing.assert_close(loaded.network(inputs("redshift_cnn")), network(inputs("redshift_cnn")))


def test_peft_reads_the_adapters_itself(saved_lora, small_network, inputs):
    from peft import PeftModel

    _, adapted, folder = saved_lora
    plain = small_network("redshift_cnn")
    by_peft = PeftModel.from_pretrained(plain, folder).eval()
    by_peft.get_base_model().load_state_dict(load_file(folder / "buffers.safetensors"), strict=False)
    x = inputs("redshift_cnn")
    assert torch.equal(by_peft(x), adapted.network(x))


def test_the_folder_holds_safetensors_and_json_only(saved_lora, tmp_path):
    _, adapted, folder = saved_lora
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.json", "adapter_model.safetensors", "adapter_config.json", "buffers.safetensors"}
    card = json.loads((folder / "model.json").read_text())
    assert card["strategy"]["targets"] == ["input", "regressor"]
    assert card["parameters"] == adapted.plan.counts
    assert set(card["versions"]) == {"python", "astrolab", "torch", "safetensors", "peft"}
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["target_modules"] == ["features.0", "classifier.0", "classifier.3", "classifier.6"]


def test_adapters_alone_need_exactly_their_base(saved_lora, small_network, inputs, tmp_path):
    base, adapted, folder = saved_lora
    with pytest.raises(CheckpointError, match="without the network they belong to"):
        load_model(folder)
    other = make_model("redshift_cnn", n_bands=5, seed=8, hidden=(16, 8), width=8)
    for use in (
        lambda: load_model(folder, base=other),
        lambda: save_model(adapted, directory=tmp_path / "new", base=other),
    ):
        with pytest.raises(CheckpointError, match="Pass the network that was adapted"):
            use()
    x = inputs("redshift_cnn")
    assert torch.equal(load_model(folder, base=base).network(x), adapted.network(x))


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "buffers.safetensors", "model.json"])
@pytest.mark.parametrize("harm", ["truncate", "remove", "flip"])
def test_a_damaged_folder_is_refused(file, harm, saved_lora):
    base, _, folder = saved_lora
    content = bytearray((folder / file).read_bytes())
    if harm == "truncate":
        (folder / file).write_bytes(content[: len(content) // 2])
    elif harm == "remove":
        (folder / file).unlink()
    elif file == "model.json":
        (folder / file).write_text((folder / file).read_text().replace('"lora"', '"lorra"'))
    else:
        content[-3] ^= 1
        (folder / file).write_bytes(content)
    with pytest.raises(CheckpointError, match="to do"):
        load_model(folder, base=base)


def test_a_folder_of_another_format_is_refused(saved_lora):
    base, _, folder = saved_lora
    (folder / "model.json").write_text("[]")
    with pytest.raises(CheckpointError, match="format None"):
        load_model(folder, base=base)


def test_weights_that_do_not_fit_exactly_are_refused_by_name(small_network, inputs, tmp_path):
    network = small_network("redshift_cnn")
    path = tmp_path / "weights.safetensors"
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    weights["extra"] = torch.zeros(1)
    weights["features.1.bias"] = torch.zeros(9)
    weights["features.1.weight"] = weights["features.1.weight"].double()
    del weights["classifier.6.bias"]
    save_file(weights, path)
    before = network(inputs("redshift_cnn"))
    with pytest.raises(CheckpointError) as caught:
        load_weights(network, path=path)
    for part in (
        "missing: classifier.6.bias",
        "unexpected: extra",
        "features.1.bias float32(9,) instead of float32(8,)",
        "features.1.weight float64(8,) instead of float32(8,)",
    ):
        assert part in caught.value.received
    assert torch.equal(network(inputs("redshift_cnn")), before)


def test_weights_of_the_published_names_load(small_network, inputs, tmp_path):
    trained, x = small_network("redshift_cnn"), inputs("redshift_cnn")
    save_file(trained.state_dict(), tmp_path / "user.safetensors")
    network = make_model("redshift_cnn", n_bands=5, seed=77, hidden=(16, 8), width=8).eval()
    load_weights(network, path=tmp_path / "user.safetensors")
    assert torch.equal(network(x), trained(x))


def test_pickles_are_not_read(small_network, tmp_path):
    torch.save(small_network("redshift_mlp").state_dict(), tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"weights\.pt"):
        load_weights(small_network("redshift_mlp"), path=tmp_path / "weights.pt")


def test_a_model_replaces_a_model_and_nothing_else(small_network, tmp_path):
    network = small_network("redshift_mlp")
    folder = save_model(network, directory=tmp_path / "model")
    save_model(network, directory=folder)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "draft.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="no saved model"):
        save_model(network, directory=tmp_path / "thesis")
    assert (tmp_path / "thesis" / "draft.tex").read_text() == "years of work"
