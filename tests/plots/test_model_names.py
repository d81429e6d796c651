from astrolab.plots.model_names import brief_names, in_words, name_models

OPTIONS = {"run": ("A", "B"), "survey": ("combo",), "arm": ("tl", "lora"), "fraction": (0.1, 1.0, "–"), "seed": (0, 1)}
FIRST = {"run": "A", "survey": "combo", "arm": "tl", "fraction": 0.1, "seed": 0}


def test_values_are_written_as_in_figures():
    assert in_words("seed", value=0.0) == in_words("seed", value=0) == "0"
    assert in_words("arm", value="my_arm") == "my_arm"


def test_one_model_is_its_arm_with_all_that_could_be_chosen_otherwise():
    assert name_models([FIRST], options=OPTIONS) == (["transfer learning"], "run A · fraction 0.1 · seed 0")
    alone = {name: (value,) for name, value in FIRST.items()}
    assert name_models([FIRST], options=alone) == (["transfer learning"], "")


def test_two_models_have_names_that_tell_them_apart():
    names, shared = name_models([FIRST, FIRST | {"run": "B", "seed": 1}], options=OPTIONS)
    assert names == ["transfer learning · run A · seed 0", "transfer learning · run B · seed 1"]
    assert shared == "fraction 0.1"
    names, shared = name_models([FIRST, FIRST | {"arm": "lora", "fraction": "–"}], options=OPTIONS)
    assert names == ["transfer learning · fraction 0.1", "LoRA"], "what a model does not have is not named"


def test_models_without_arms_go_by_their_run():
    bare = [{"run": run, "survey": "combo", "label": "z"} for run in ("base", "adapted")]
    options = {"run": ("base", "adapted"), "survey": ("combo",), "label": ("z",)}
    assert name_models(bare, options=options) == (["base", "adapted"], "")
    assert name_models([{"survey": "combo"}], options={"survey": ("combo",)}) == (["model"], "")
    assert name_models([bare[0] | {"arm": "–"}], options=options)[0] == ["base"]


def test_long_names_give_way_beside_numbers():
    long = "transfer learning · run 2026-11-21T10-50-47-f7ba4308"
    assert brief_names([long]) == ["the first"] and brief_names([long, "LoRA"]) == ["the first", "the second"]
    assert brief_names(["transfer learning · seed 0", "LoRA"]) == ["transfer learning · seed 0", "LoRA"]
