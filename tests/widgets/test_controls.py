import pytest
from ipywidgets.widgets.widget import _instances

from astrolab.widgets import controls


def test_controls_carry_their_label_and_class():
    made = [
        controls.dropdown("arm", label="Model", options=["tl", "lora"], value="lora"),
        controls.slider("scale", label="Scale", value=0.5, low=0.0, high=1.0, step=0.1),
        controls.text_field("filename", label="File", value="selection"),
        controls.button("clear", label="Clear", on_click=lambda: None),
    ]
    for control, name in zip(made, ("arm", "scale", "filename", "clear"), strict=True):
        assert control.description and f"astrolab-{name}" in control._dom_classes


def test_a_range_slider_holds_everything_at_the_start():
    control = controls.range_slider("magnitude", label="i (mag)", low=18.0, high=24.0)
    low, high = control.value
    assert low < 18.0 and high > 24.0 and high - low == pytest.approx(6.0, rel=0.01)
    assert "astrolab-slice-magnitude" in control._dom_classes


def test_a_button_does_what_it_says():
    clicks = []
    controls.button("clear", label="Clear", on_click=lambda: clicks.append(1)).click()
    assert clicks == [1]


def test_rows_and_columns_hold_their_controls_in_order():
    parts = [controls.markup("title"), controls.markup("status")]
    for box in (controls.row(*parts), controls.column(*parts)):
        assert list(box.children) == parts
    assert controls.under_title(parts[0], title="a < b").children[0].value == "<b>a &lt; b</b>"


def test_closing_closes_all_that_belongs_to_a_control():
    before = set(_instances)
    box = controls.row(
        controls.dropdown("arm", label="Model", options=["tl"], value="tl"),
        controls.under_title(controls.slider("scale", label="Scale", value=0.5, low=0.0, high=1.0, step=0.1), title=""),
        controls.range_slider("magnitude", label="i (mag)", low=18.0, high=24.0),
    )
    assert len(set(_instances) - before) >= 10
    controls.close_all(box)
    controls.close_all(box)
    assert set(_instances) == before
