import xml.etree.ElementTree as ET

from astrolab.gallery.captions import as_html, as_text, saved_figures


def test_figures_come_in_the_order_of_the_notebook_each_with_the_caption_below_it(make_notebook):
    notebook = make_notebook(
        ("text", "# Question?"),
        ("code", 'run.save_figure("truth", figure=plot())'),
        ("text", "*Figure: what is there.* Two\nlines.\n\nAnother paragraph."),
        ("text", "## The main figure"),
        ("code", "x = 1"),
        ("code", "run.save_figure(\n    'bars', figure=plot())"),
        ("text", "No caption.\n\n*Figures: too late, but found.*"),
        ("code", 'for c in cs:\n    run.save_figure(f"by_{c}", figure=plot())'),
    )
    figures = saved_figures(notebook)
    assert [f.caption for f in figures] == [
        "*Figure: what is there.* Two\nlines.",
        "*Figures: too late, but found.*",
        "",
    ]
    assert [f.is_main for f in figures] == [False, True, False]
    assert [bool(f.pattern.fullmatch("by_truth")) for f in figures] == [False, False, True]
    assert not figures[0].pattern.fullmatch("truth2")


def test_without_such_a_heading_the_first_figure_is_the_main_one(make_notebook):
    notebook = make_notebook(("code", 'run.save_figure("a", figure=1)\nrun.save_figure("b", figure=2)'))
    assert [f.is_main for f in saved_figures(notebook)] == [True, False]


def test_a_caption_becomes_html_with_mathml_and_text_without_either():
    html = as_html(r"*Figure: dashed: errors of $0.15\,(1+z)$ & more.*")
    root = ET.fromstring(html)
    assert root.find(".//{http://www.w3.org/1998/Math/MathML}math") is not None
    text = as_text(html)
    assert text.startswith("Figure: dashed: errors of")
    assert text.endswith("& more.")
    assert "<" not in text
