import json

import pytest
import torch
from bit_flips import require_every_flip_refused

from astrolab.errors import CheckpointError, ConfigError, UnknownNameError
from astrolab.models.adapt import ADAPTERS, STRATEGIES, adapt, merge
from astrolab.models.network import TrainingRecord
from astrolab.models.registry import MODELS, make_model
from astrolab.models.saving import load_model, save_model

WAYS = [{"strategy": name} for name in STRATEGIES if name != "lora"]
WAYS += [{"strategy": "lora", "adapter": name} for name in ADAPTERS]


def some(way):
    return "-".join(map(str, way.values()))


@pytest.fixture
def saved_lora(small_network, moved, tmp_path):
    base = small_network("cnn")
    adapted = moved(adapt(base, strategy="lora", targets=("stem", "head")))
    return base, adapted, save_model(adapted, directory=tmp_path / "lora")


@pytest.mark.parametrize("name", ["cnn", "mlp", "spectrum_mlp", "spectrum_transformer"])
@pytest.mark.parametrize("way", WAYS, ids=some)
def test_what_is_loaded_predicts_like_what_was_saved_to_the_last_bit(way, name, small_network, inputs, moved, tmp_path):
    base, x = small_network(name), inputs()
    adapted = moved(adapt(base, **way, seed=2))
    save_model(adapted, directory=tmp_path / "model", base=base)
    loaded = load_model(tmp_path / "model")
    assert torch.equal(loaded.network(x), adapted.network(x))
    assert loaded.settings == adapted.settings
    assert loaded.base_digest == adapted.base_digest
    assert loaded.plan.table.equals(adapted.plan.table)
    assert loaded.network.trained_on == adapted.network.trained_on
    loaded.plan.assert_holds(loaded.network)


def test_a_plain_network_is_saved_too(small_network, inputs, tmp_path):
    network, x = small_network("mlp"), inputs()
    loaded = load_model(save_model(network, directory=tmp_path / "plain"))
    assert torch.equal(loaded.network(x), network(x))


def test_channels_last_weights_are_saved_in_plain_order(small_network, inputs, tmp_path):
    network = small_network("cnn").to(memory_format=torch.channels_last)
    loaded = load_model(save_model(network, directory=tmp_path / "model"))
    torch.testing.assert_close(loaded.network(inputs()), network(inputs()))


@pytest.mark.parametrize("name", ["cnn", "mlp"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_peft_alone_gives_the_same_answers(adapter, name, small_network, inputs, moved, tmp_path):
    from peft import PeftModel

    base, x = small_network(name), inputs()
    adapted = moved(adapt(base, strategy="lora", adapter=adapter))
    folder = save_model(adapted, directory=tmp_path / "model")
    by_peft = PeftModel.from_pretrained(small_network(name), folder).eval()
    assert torch.equal(by_peft(x), adapted.network(x))
    merged = by_peft.merge_and_unload().state_dict()
    for key, tensor in merge(adapted).state_dict().items():
        assert torch.equal(merged[key], tensor), f"{key}: the statistics too"


def test_the_folder_holds_safetensors_and_json_only(saved_lora, tmp_path):
    _, adapted, folder = saved_lora
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.json", "adapter_model.safetensors", "adapter_config.json"}
    card = json.loads((folder / "model.json").read_text())
    assert card["strategy"]["targets"] == ["stem", "head"]
    assert card["parameters"] == adapted.plan.counts
    assert set(card["versions"]) == {"python", "astrolab", "torch", "safetensors", "peft"}
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["target_modules"] == ["features.0", "classifier.0", "classifier.3", "classifier.6"]
    assert len(config["modules_to_save"]) == 20 and config["modules_to_save"][0] == "features.1"


def test_adapters_alone_need_exactly_their_base(saved_lora, make_survey, inputs, tmp_path):
    base, adapted, folder = saved_lora
    with pytest.raises(CheckpointError, match="without the network they belong to"):
        load_model(folder)
    other = make_model("cnn", survey=make_survey(), seed=8, hidden=(16, 8), width=8)
    for use in (
        lambda: load_model(folder, base=other),
        lambda: save_model(adapted, directory=tmp_path / "new", base=other),
    ):
        with pytest.raises(CheckpointError, match="Pass the network that was adapted"):
            use()
    x = inputs()
    assert torch.equal(load_model(folder, base=base).network(x), adapted.network(x))


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json", "model.json"])
def test_a_damaged_adapter_is_refused(file, saved_lora):
    base, _, folder = saved_lora
    require_every_flip_refused(folder / file, load=lambda: load_model(folder, base=base), error=CheckpointError)


def test_a_damaged_network_is_refused_below_an_adapter_too(saved_lora, tmp_path):
    base, adapted, _ = saved_lora
    folder = save_model(adapted, directory=tmp_path / "with base", base=base)
    for file in ("model.safetensors", "model.json"):
        require_every_flip_refused(folder / "base" / file, load=lambda: load_model(folder), error=CheckpointError)


def test_an_edited_description_is_refused(saved_lora):
    base, _, folder = saved_lora
    for file, edit in (("model.json", '"alpha": 16.0'), ("adapter_config.json", '"lora_alpha": 16.0')):
        whole = (folder / file).read_text()
        assert edit in whole
        (folder / file).write_text(whole.replace(edit, edit.replace("16.0", "99.0")))
        with pytest.raises(CheckpointError, match=f"{file} of a saved model"):
            load_model(folder, base=base)
        (folder / file).write_text(whole)


def test_a_folder_of_an_earlier_format_is_refused(saved_lora):
    base, _, folder = saved_lora
    card = json.loads((folder / "model.json").read_text())
    del card["file_digest"]
    for text in (json.dumps(card), "[]"):
        (folder / "model.json").write_text(text)
        with pytest.raises(CheckpointError, match="not written by this version"):
            load_model(folder, base=base)


def test_a_model_whose_class_has_changed_is_refused_by_the_names_of_its_weights(
    own_networks, make_survey, monkeypatch, tmp_path
):
    network = make_model("two_inputs", survey=make_survey(), seed=0)

    class Changed(type(network)):
        def __init__(self, *, inputs, task, width=4):
            super().__init__(inputs=inputs, task=task, width=width)
            self.pixels[0] = torch.nn.Conv2d(1, 3, 3)
            self.more = torch.nn.Linear(2, 2)

    folder = save_model(network, directory=tmp_path / "model")
    monkeypatch.setitem(MODELS, "two_inputs", Changed)
    with pytest.raises(CheckpointError, match=r"TwoInputs as it was") as caught:
        load_model(folder)
    assert "more.weight" in caught.value.received and "size mismatch for pixels.0.weight" in caught.value.received


def test_pickles_are_not_read(small_network, tmp_path):
    network = small_network("mlp")
    folder = save_model(network, directory=tmp_path / "model")
    torch.save(network.state_dict(), folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_model(folder)


def test_a_model_replaces_a_model_and_nothing_else(small_network, tmp_path):
    network = small_network("mlp")
    folder = save_model(network, directory=tmp_path / "model")
    save_model(network, directory=folder)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "draft.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="no saved model"):
        save_model(network, directory=tmp_path / "thesis")
    assert (tmp_path / "thesis" / "draft.tex").read_text() == "years of work"


OWN = [("two_inputs", ("z",)), ("two_inputs", tuple(f"label{k}" for k in range(37))), ("autoencoder", ())]


@pytest.mark.parametrize("way", [{"strategy": "full"}, {"strategy": "lora", "rank": 2}], ids=some)
@pytest.mark.parametrize(("name", "labels"), OWN)
def test_a_network_of_ones_own_comes_back_too(way, name, labels, own_networks, make_survey, inputs, moved, tmp_path):
    survey, x = make_survey(labels=labels), inputs()
    base = make_model(name, survey=survey, seed=0, width=5)
    adapted = moved(adapt(base, **way))
    adapted.network.trained_on = TrainingRecord.of(survey, inputs=adapted.network.inputs)
    loaded = load_model(save_model(adapted, directory=tmp_path / "model", base=base))
    assert torch.equal(loaded.network(x), adapted.network(x))
    if not labels:
        mask = {"spectrum": torch.rand(12, 20) < 0.5}
        filled, expected = (one.network.reconstruct(x, mask)["spectrum"] for one in (loaded, adapted))
        assert torch.equal(filled, expected)
    network = loaded.network
    assert (network.task, network.inputs, network.trained_on) == (survey.task, base.inputs, adapted.network.trained_on)
    assert network.trained_on.declared == ("image: lsst-g as subaru-g",)


def test_a_class_that_is_not_registered_is_named(own_networks, make_survey, monkeypatch, tmp_path):
    network = make_model("two_inputs", survey=make_survey(), seed=0)
    folder = save_model(adapt(network, strategy="lora"), directory=tmp_path / "model", base=network)
    monkeypatch.delitem(MODELS, "two_inputs")
    with pytest.raises(UnknownNameError, match=r"toy_networks\.TwoInputs: astrolab\.register_model\(TwoInputs\)"):
        load_model(folder)
