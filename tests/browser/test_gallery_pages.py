"""The gallery in a real browser, from the disk: index → page → index, on a desk and on a phone."""

import pytest
from small_runs import METRICS, build_run, scores_of

from astrolab.gallery import write_gallery

pytestmark = pytest.mark.timeout(900)

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
SURVEYS = ("twin-transferz", "twin-galaxiesml", "combo")
DRAWN = "image => { image.loading = 'eager'; return image.decode(); }"  # fails where there is no image
ARMS = {"zero_shot": 0.05, "tl": 0.04, "lora": 0.03, "full": 0.035, "combo": 0.02}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Four runs of two studies: whole, of other parameters, not finished, damaged."""
    runs = tmp_path_factory.mktemp("gallery") / "runs"
    scores = scores_of(ARMS, surveys=SURVEYS, metrics=METRICS)
    for name, changed in (("first", {}), ("second", {"epochs": 3, "arms": list(ARMS), "seeds": [0, 1, 2]})):
        own = scores.assign(value=scores["value"] + 0.01 * bool(changed))
        build_run(runs, name, scores=own, figures=("metrics", "truth", "cost"), **changed)
    build_run(runs, "2026-01-01T00-00-00-0123abcd", study="my_own_study_of_a_survey", scores=scores, finish=False)
    (build_run(runs, "damaged", figures=()) / "run.json").write_text("{")
    return write_gallery(runs, out=runs.parent / "site")


def width_of(page) -> int:
    """How wide the page is, with all that sticks out of it."""
    return page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_index_to_page_and_back(index, open_page, artefacts, size, scheme):
    width, height = SIZES[size]
    page = open_page(width, height, color_scheme=scheme)
    page.goto(index.as_uri())
    assert page.locator("h1").inner_text() == "Runs"
    assert width_of(page) == width
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, dark.strip("rgb()").split(","))) < 200) == (scheme == "dark")
    page.screenshot(path=artefacts / f"gallery_index_{size}_{scheme}.png", full_page=True)

    page.locator(".card h2 a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/**/index.html")
    assert width_of(page) == width
    page.evaluate(f"Promise.all([...document.images].map({DRAWN}))")  # `wait_for_function` evals, which pages forbid
    page.screenshot(path=artefacts / f"gallery_page_{size}_{scheme}.png", full_page=True)
    page.get_by_role("link", name="All runs").click()
    page.wait_for_url("**/site/index.html")
    assert page.errors == []


def test_every_page_fits_a_phone_and_needs_no_script(index, open_page):
    page = open_page(*SIZES["phone"], java_script_enabled=True)
    for path in index.parent.rglob("index.html"):
        page.goto(path.as_uri(), wait_until="networkidle")  # lazy images too, before it goes on
        assert width_of(page) == SIZES["phone"][0], path
    bare = open_page(*SIZES["phone"], java_script_enabled=False)
    bare.goto(index.as_uri())
    assert bare.locator(".card").count() == 3
    assert page.errors + bare.errors == []


def shown(page):
    """Titles of the runs that are seen, from the left and the top."""
    cards = page.locator(".card:visible").all()
    placed = sorted((round(c.bounding_box()["y"]), round(c.bounding_box()["x"]), c) for c in cards)
    return [card.locator("h2").inner_text() for *_, card in placed]


@pytest.mark.parametrize("size", SIZES)
def test_runs_are_filtered_sorted_and_put_side_by_side_without_a_script(index, open_page, artefacts, size):
    width, height = SIZES[size]
    page = open_page(width, height)
    page.goto(index.as_uri())
    first, second = "lora_vs_transfer · quick · seeds 0", "lora_vs_transfer · quick · arms zero_shot"
    assert len(shown(page)) == 3
    page.locator("#state").select_option(label="whole")
    assert len(shown(page)) == 2 and all(title.startswith("lora") for title in shown(page))
    page.locator("#state").select_option(label="all")
    page.locator("#study").select_option(label="my_own_study_of_a_survey")
    assert len(shown(page)) == 1
    page.locator("#study").select_option(label="all")

    page.locator("#order").select_option(label="by study")
    assert [title.partition(" ")[0] for title in shown(page)][2] == "my_own_study_of_a_survey"
    page.locator("#order").select_option(label="by scatter of the best arm")
    assert [title.startswith(second) for title in shown(page)] == [False, False, True], "its scores are larger"

    assert not page.locator("#beside").is_visible()
    for title in (first, second):
        page.locator(".card", has_text=title).get_by_label("Compare").check()
    page.locator("#beside").check()
    one, other = sorted(page.locator(".card:visible").all(), key=lambda card: card.bounding_box()["x"])
    assert abs(one.bounding_box()["y"] - other.bounding_box()["y"]) < 2
    assert other.bounding_box()["x"] >= one.bounding_box()["x"] + one.bounding_box()["width"]
    assert one.get_by_role("columnheader", name="catastrophic_rate").is_visible(), "the whole table"
    assert width_of(page) == width
    page.screenshot(path=artefacts / f"gallery_beside_{size}.png", full_page=True)
    page.locator("#beside").uncheck()
    assert len(shown(page)) == 3
    assert page.errors == []
