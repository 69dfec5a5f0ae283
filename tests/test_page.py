"""The page of results: its structure, that it fetches nothing and escapes everything, and what it does in a browser."""

import random
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from metrics_files import KEPT, pruned, retrained, trained

from specdnn.files import SavedModels
from specdnn.results import charts, markup, overview, page, runs, scorecard
from specdnn.results.charts import Axis
from specdnn.structures import Exhibit

STEPS = [{"stage": "warm-up", "widths": [9, 9, 2], "true_weights": 100, "validation_score": 0.9}]
STEPS += [{"stage": "round 1", "widths": [5, 4, 1], "true_weights": 60, "validation_score": 0.8}]
FOUND = {"steps": STEPS, "significance": 0.012, "captured_relevance": 0.7, "joined": 2, "module_sizes": [8, 4]}
EVIL = "<script>alert(1)</script> $title \"'&"
VOID = ("meta", "link", "input", "br")


def exhibit(k=0, name="0") -> dict:
    strengths = [[[4.0, 0.0], [1.0, 2.0], [0.5, 0.0]], [[0.0], [3.0]]]
    image, places = [[0, 100, 200], [255, 0, 10]], [[1, 0, 2], [0, 0, 1]]
    return {"class": k, "name": name, "kept": KEPT, "mean_image": image, "places": places, "strengths": strengths}


def made(*found, exhibits=(), published=None) -> str:
    """The page of these records."""
    arch = found[0]["arch"]
    rows, several = scorecard.cells(list(found), arch), scorecard.several(list(found), arch)
    cells = scorecard.published_cells(rows, published or {})
    return page.page(rows, several, [], cells, list(exhibits), "net.md")


def networks() -> list[dict]:
    """Three classes of ours, by numbers whose order is not that of their texts, and one of a rival."""
    weights = {0: 9, 1: 100, 2: 20}
    ours = [retrained(k, true_weights=w, accuracy=0.9 + k / 100) for k, w in weights.items()]
    return [pruned(0, **FOUND), *ours, retrained(0, algo="random", true_weights=15, auroc=None)]


def whole() -> str:
    return made(trained(), *networks(), exhibits=[exhibit()], published={0: (0.6, 0.4)})


@pytest.fixture(scope="module")
def published_pages(folder):
    """Network -> the page of its published runs."""

    places = {arch: SavedModels(folder.path / "results", arch) for arch in folder.architectures}
    found = {arch: runs.read(saved, folder.dataset.DEFAULT).found for arch, saved in places.items()}
    own = {arch: overview.of_network(found[arch], arch, folder.path / "published.csv") for arch in places}
    return {arch: results.page(places[arch]) for arch, results in own.items() if results}


class Read(HTMLParser):
    """A page as (name, attributes, text right inside) of its elements; `open` is empty if every element was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements, self.wrong = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.elements.append([name, dict(attributes), ""])
        if len(dict(attributes)) < len(attributes):
            self.wrong.append(f"<{name}> has an attribute twice")
        if name not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, name, attributes):
        self.elements.append([name, dict(attributes), ""])

    def handle_endtag(self, name):
        if not self.open or self.open.pop()[0] != name:
            self.wrong.append(f"</{name}>")

    def handle_data(self, text):
        if self.open:
            self.open[-1][2] += text

    def named(self, name) -> list[tuple[dict, str]]:
        return [(attributes, text) for own, attributes, text in self.elements if own == name]


# ------------------------------------------------------------------------------------------ structure


def every_page(published_pages) -> list[str]:
    several = retrained(0, classes=[0, 1], mean_accuracy=0.9, accuracy=[0.9, 0.9], balanced_accuracy=[0.5, 0.5])
    return [whole(), made(retrained(0)), made(several), *published_pages.values()]


def test_every_element_is_closed_and_every_name_is_its_own(published_pages):
    for text in every_page(published_pages):
        read = Read(text)
        assert text.startswith("<!DOCTYPE html>\n") and not read.open and not read.wrong
        names = [attributes["id"] for _, attributes, _ in read.elements if "id" in attributes]
        assert len(names) == len(set(names))
        assert read.elements[0][:2] == ["html", {"lang": "en"}] and len(read.named("h1")) == 1
        inside = {attributes["href"] for attributes, _ in read.named("a") if attributes["href"].startswith("#")}
        assert {name[1:] for name in inside} <= set(names)
        drawn = {attributes["href"][1:] for attributes, _ in read.named("use")}
        assert drawn <= set(names)


def test_everything_has_a_name_for_those_who_do_not_see_it(published_pages):
    for text in every_page(published_pages):
        read = Read(text)
        assert all(attributes.get("aria-label") for attributes, _ in read.named("svg") if "role" in attributes)
        assert all("role" in a or a.get("aria-hidden") == "true" for a, _ in read.named("svg"))
        labelled = len(read.named("label"))
        assert labelled == len(read.named("input")) + len(read.named("select"))
        assert all(attributes["scope"] in ("col", "row") for attributes, _ in read.named("th"))
        assert all(a.get("aria-label") for a, _ in read.named("div") if a.get("role") == "region")


def test_a_page_fetches_nothing(published_pages):
    """Addresses lead inside or to the Markdown beside; a policy in the page forbids the rest."""
    for text in every_page(published_pages):
        read = Read(text)
        assert not any({"src", "srcset", "action", "data"} & set(attributes) for _, attributes, _ in read.elements)
        links = {attributes["href"] for _, attributes, _ in read.elements if "href" in attributes}
        assert all(re.fullmatch(r"#[\w-]+|data:,|\w+\.md", link) for link in links), links
        assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttp|import\(|innerHTML|eval\(", text)
        (policy,) = (a["content"] for a, _ in read.named("meta") if "http-equiv" in a)
        assert policy.startswith("default-src 'none'; ") and "http" not in policy
        assert not [a for _, a, _ in read.elements if any(name.startswith("on") for name in a)]


def test_the_same_runs_give_the_same_bytes():
    found = [trained(), *networks()]
    mixed = random.Random(1).sample(found, len(found))
    assert made(*found, exhibits=[exhibit()]) == made(*mixed, exhibits=[exhibit()])


def test_the_published_pages_are_small(published_pages):
    assert all(len(text.encode()) < 1_500_000 for text in published_pages.values())


# ------------------------------------------------------------------------------------------ escaping


def test_what_comes_from_files_is_text():
    """Architecture, algorithm, data set, layers, steps, versions, class and options."""
    kept = {f"{EVIL}1": [1], f"{EVIL}2": [0, 1], f"{EVIL}3": [0]}
    more = {"arch": EVIL, "kept": kept, "dataset": EVIL, "options": {"loss": EVIL, "cuda": False}}
    more |= {"torch_version": EVIL, "specdnn_version": EVIL, "date": EVIL}
    steps = [{**STEPS[1], "stage": f"round {EVIL}"}]
    told = {**exhibit(0, EVIL), "kept": kept, "strengths": [[[1.0, 2.0]], [[1.0], [0.0]]]}
    found = [pruned(0, **more, **{**FOUND, "steps": steps, "module_sizes": [EVIL]})]
    found += [retrained(0, **more)]
    found += [retrained(0, algo=EVIL, **{**more, "options": {"loss": "other", "cuda": False}})]
    text = made(*found, exhibits=[told], published={0: (0.6, 0.4)})
    read, plain = Read(text), Read(whole())
    assert not read.open and not read.wrong and len(read.named("script")) == len(plain.named("script")) == 1
    assert text.count("<script") == 1 and text.count("</script") == 1
    texts = {inside for _, _, inside in read.elements}
    assert {f"{EVIL} on {EVIL}", EVIL, f"Class 0: {EVIL}", f"round {EVIL}", f"{EVIL}2 (2)"} <= texts
    assert any(f"torch {EVIL}" in inside for inside in texts)
    assert any(inside.startswith(f"{EVIL}2, unit 1") for inside in texts)


@given(st.text(), st.text())
def test_a_text_comes_back_as_it_was(content, attribute):
    assume(not {"\r"} & {*content, *attribute})
    element = Read(markup.tag("p", content, title=attribute)).elements
    known = [text.encode("utf-8", "replace").decode() for text in (content, attribute)]
    assert [(name, attributes["title"], inside) for name, attributes, inside in element] == [("p", known[1], known[0])]


def test_sentences_of_the_markdown_are_emphasised():
    assert page.paragraph("**a < b** and *c*.") == "<p><strong>a &lt; b</strong> and <em>c</em>.</p>"


# ------------------------------------------------------------------------------------------ contents


def lines_of(read: Read, text: str, label: str) -> list[list[str]]:
    """The lines of the table with a label, the headings first."""
    part = re.search(rf'aria-label="{label}".*?</table>', text, re.DOTALL).group()
    own = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in re.findall(r"<tr>(.*?)</tr>", part)]
    assert len({len(line) for line in own}) == 1
    return own


def test_every_network_has_a_line():
    text = whole()
    headings, *lines = lines_of(Read(text), text, "All networks")
    assert headings[:6] == ["class", "algorithm", "seed", "budget", "accuracy %", "always no %"]
    told = [dict(zip(headings, line, strict=True)) for line in lines]
    assert [(line["class"], line["algorithm"], line["weights"]) for line in told] == [
        ("0", "OSLOM", "9"), ("1", "OSLOM", "100"), ("2", "OSLOM", "20"), ("0", "random", "15"),
    ]  # fmt: skip
    assert told[1]["accuracy %"] == "91.00" and told[3]["AUROC"] == "–" and told[0]["kept units"] == "3-2"


def test_the_page_tells_what_the_markdown_tells(published_pages, folder):
    for arch, text in published_pages.items():
        markdown = (folder.path / "results" / f"{arch}.md").read_text(encoding="utf-8")
        first, measured = markdown.split("\n\n")[:2]
        read = Read(text)
        assert first.strip("*") in {inside for _, _, inside in read.elements} and f"<p>{measured}</p>" in text
        headings = re.findall(r"^### (.*)$", markdown, flags=re.MULTILINE)
        assert len(headings) > 8 and set(headings) < {inside for _, inside in read.named("h2")}
        cells = {inside for _, inside in (*read.named("td"), *read.named("th"))}
        for line in markdown.splitlines():
            if line.startswith("| "):
                assert {cell.strip() for cell in line.strip("|").split("|")} <= cells, line


def test_the_community_of_a_class_has_a_line_per_seed():
    text = whole()
    headings, line = lines_of(Read(text), text, "Class 0: the community of each seed")
    told = dict(zip(headings, line, strict=True))
    assert (told["seed"], told["significance"], told["relevance %"], told["modules"]) == ("1", "0.012", "70.0", "8 + 4")
    assert told["round 1: units"] == "5-4" and "stability" not in headings
    assert lines_of(Read(text), text, "Class 0: cut by cut")[2] == ["1", "round 1", "5-4-1", "60", "80.00"]


@pytest.mark.parametrize(
    ("sizes", "told"),
    [([3, 2], "3 + 2"), ([9] * 8, "9 + 9 + 9 + 9 + 9 + 9 + 2 more"), (None, "–"), ("12", "–"), ([], "–"), (["1"], "–")],
)
def test_sizes_of_modules(sizes, told):
    assert page.modules({"pruned_module_sizes": sizes}) == told


def test_hits_and_misses_are_told():
    rows = scorecard.cells([retrained(0, tp=90, fn=10, fp=5, tn=1995)], "net")
    assert page.detected(rows).startswith("Finds 90 of 100 images of the class, and takes 5 of 2,000 others for it;")
    assert page.detected(scorecard.cells([retrained(0, tp=None)], "net")) == "Balanced accuracy 50.00 %."


@given(st.sets(st.integers(0, 60)))
def test_ranges_tell_every_number_once(numbers):
    told = [part.split("–") for part in page.ranges(numbers).split(", ") if part]
    ends = [(int(part[0]), int(part[-1])) for part in told]
    assert [k for first, last in ends for k in range(first, last + 1)] == sorted(numbers)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ends))


# ------------------------------------------------------------------------------------------ drawings


def test_points_are_means_over_seeds_and_over_classes():
    found = [
        retrained(k, seed, true_weights=10 * (k + seed), accuracy=0.9 + k / 100) for k in (0, 1) for seed in (1, 3)
    ]
    rows = scorecard.cells([*found, retrained(0, algo="random", accuracy=None)], "net")
    drawn = page.points(rows, page.VIEWS[1], {"OSLOM": 0, "random": 1})
    assert [(p.x, round(p.y, 6), p.look, p.large) for p in drawn] == [
        (20, 90, 0, False), (30, 91, 0, False), (25, 90.5, 0, True),
    ]  # fmt: skip
    assert drawn[2].told.splitlines()[:2] == ["OSLOM, mean of 2 classes", "budget: none; seeds 1, 3"]


def test_the_published_stand_beside_ours_where_their_size_is_known():
    text = whole()
    views = text.split('<div class="view v')[1:]
    assert len(views) == 3 and [view.count("mark published") for view in views] == [0, 0, 1]
    assert "published, class 0\naccuracy 40.00 %\npaper rule 60.0000 %" in views[2]
    assert made(retrained(0)).count('<div class="view v') == 2
    assert '<div class="plot">' not in made(retrained(0, accuracy=None, balanced_accuracy=None))


def test_an_algorithm_has_a_colour_and_a_shape_of_its_own():
    looks = {(k % charts.COLOURS, charts.mark(k, False)) for k in range(charts.COLOURS * len(charts.SHAPES))}
    assert len(looks) == charts.COLOURS * len(charts.SHAPES)
    assert page.algorithms([{"algo": a} for a in ("b", "OSLOM", "a", "b")]) == ["OSLOM", "a", "b"]


@given(st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=9))
def test_an_axis_has_all_values_inside_and_few_round_ticks(values):
    axis = Axis.around(values)
    assert all(0 < float(axis.place(value)[:-1]) < 100 for value in values)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 7 and ticks == sorted(ticks) and axis.low <= ticks[0] and ticks[-1] <= axis.high


def test_places_are_by_logarithm():
    axis = Axis(1, 1000)
    assert [axis.place(value) for value in (1, 10, 1000)] == ["0.00%", "33.33%", "100.00%"]
    assert axis.ticks() == [1, 3, 10, 30, 100, 300, 1000] and Axis(1, 10).ticks() == [1, 2, 5, 10]


def test_what_misses_nothing_is_drawn_highest():
    drawn = charts.chart([charts.Point(1, y, 0, False, str(y)) for y in (99.0, 100.0, 90.0)], "a", "b", "c")
    found = re.findall(r'y="([\d.]+)%"><title>([\d.]+)', drawn)
    assert [told for _, told in sorted(found, key=lambda one: float(one[0]))] == ["100.0", "99.0", "90.0"]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_runs_of_pixels_are_the_pixels(height, width, seed):
    dark = np.random.default_rng(seed).random((height, width)) < 0.5
    again = np.zeros_like(dark)
    for x, y, end, back in re.findall(r"M(\d+) (\d+)H(\d+)v1H(\d+)", charts._runs(dark)):
        assert x == back and not again[int(y), int(x) : int(end)].any()
        again[int(y), int(x) : int(end)] = True
    assert (again == dark).all()


def test_a_large_image_is_drawn_with_fewer_pixels():
    image = np.full((230, 100), 255)
    drawn = charts._image(image)
    assert "scale(5)" in drawn and drawn.count("v1H") == 46 and "H20v1" in drawn


def test_the_strongest_connections_are_drawn(monkeypatch):
    rng = np.random.default_rng(1)
    strengths = (rng.random((30, 20)), rng.random((20, 2)))
    one = Exhibit("0", np.ones((2, 2)), np.ones((2, 2)), ("a", "b", "c"), strengths)
    kept = {name: list(range(n)) for name, n in (("a", 30), ("b", 20), ("c", 2))}
    monkeypatch.setattr(charts, "MOST_EDGES", 50)
    assert charts.network(one, kept, "").count("L") == 50
    shares = sorted((s for pair in strengths for s in (pair / pair.max()).ravel()), reverse=True)
    assert charts.strongest(charts.connections(one)) == shares[49]


def test_examples_are_shown_where_there_are_any():
    told = {**exhibit(), "examples": {"found": [["0f", "70"]], "missed": [], EVIL: [["1"]]}}
    text = made(*networks(), exhibits=[told])
    seen = [attributes for attributes, _ in Read(text).named("svg") if attributes.get("class") == "example ink"]
    assert [attributes["aria-label"] for attributes in seen] == ["Class 0: found", f"Class 0: {EVIL}"]
    drawn = re.findall(r"<path d=\"(\S+ \S+)\" opacity=\"([\d.]+)\"", text.partition('class="example ink"')[2])[:2]
    assert drawn == [("M0 1H1v1H0", "0.47"), ("M1 0H2v1H1", "1.00")]
    assert 'class="examples"' not in whole()


def test_the_places_of_kept_units_are_told():
    told = re.findall(r"<title>(row.*?)</title>", whole())
    assert told == ["row 1, column 1: 1 kept unit", "row 1, column 3: 2 kept units", "row 2, column 3: 1 kept unit"]
    units = re.findall(r"<title>(hidden.*?)</title>", whole(), re.DOTALL)
    given = "of what its layer gives to the next"
    assert units == [f"hidden, unit 0\n0.0 % {given}", f"hidden, unit 4\n100.0 % {given}"]


def test_very_many_marks_are_few(monkeypatch):
    monkeypatch.setattr(charts, "MOST_MARKS", 2)
    text = whole()
    assert re.findall(r"<title>(places.*?)</title>", text) == [
        "places with 1 kept unit: 2",
        "places with 2 kept units: 1",
    ]
    assert "<title>input: 3 units</title>" in text and "<title>hidden, unit 0" in text
    assert 'd="M0 0H1v1H0M2 1H3v1H2" transform="scale(1)"' in text


# ------------------------------------------------------------------------------------------ colours


def luminance(colour: str) -> float:
    """Relative luminance as the Web Content Accessibility Guidelines define it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    shares = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * s for w, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_texts_and_marks_stand_out_from_light_and_dark_paper():
    assert contrast("#fff", "#000000") == pytest.approx(21)
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", whole(), re.DOTALL)
    ]
    assert len(schemes[0]) == len(schemes[1]) == 7 + charts.COLOURS
    for scheme in schemes[:2]:  # light, dark; the third is paper's
        for name in ("ink", "quiet", "accent"):
            assert min(contrast(scheme[name], scheme[behind]) for behind in ("paper", "sheet")) >= 4.5, name
        for name in ("hot", *(f"c{k}" for k in range(charts.COLOURS))):
            assert contrast(scheme[name], scheme["paper"]) >= 3, name


# ------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window, or a skip where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs a browser: none of chromium, chromium-browser, google-chrome is installed")
    with driver.sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Page text, options -> the page in the browser; afterwards it must have asked for nothing and told no error."""
    places, contexts, told, asked = [], [], [], []

    def show(text: str, **options):
        place = tmp_path / f"{len(places)}.html"
        place.write_text(text, encoding="utf-8")
        places.append(place.as_uri())
        contexts.append(browser.new_context(**options))
        shown = contexts[-1].new_page()
        shown.set_default_timeout(5000)
        shown.on("console", lambda message: told.append(message.text))
        shown.on("pageerror", lambda error: told.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(places[-1])
        return shown

    yield show
    assert told == [] and [address for address in asked if address != "data:,"] == places
    for context in contexts:
        context.close()


def column(shown, number: int) -> list[str]:
    return shown.locator(f"table.sortable tbody tr:not([hidden]) :is(td, th):nth-child({number})").all_inner_texts()


def heading(shown, name: str):
    return shown.locator("table.sortable thead th").filter(has=shown.get_by_role("button", name=name, exact=True))


def number_of(shown, name: str) -> int:
    return 1 + heading(shown, name).evaluate("heading => heading.cellIndex")


def test_a_click_sorts_numbers_as_numbers_both_ways(opened):
    shown = opened(whole())
    weights = number_of(shown, "weights")
    for order, expected in (("ascending", ["9", "15", "20", "100"]), ("descending", ["100", "20", "15", "9"])):
        heading(shown, "weights").get_by_role("button").click()
        assert column(shown, weights) == expected
        assert heading(shown, "weights").get_attribute("aria-sort") == order
    heading(shown, "algorithm").get_by_role("button").click()
    assert column(shown, 2) == ["OSLOM", "OSLOM", "OSLOM", "random"]
    assert heading(shown, "weights").get_attribute("aria-sort") == "none"


def test_the_keyboard_sorts_and_a_dash_stays_below(opened):
    shown = opened(whole())
    button = heading(shown, "AUROC").get_by_role("button")
    button.focus()
    for key in ("Enter", "Space"):
        shown.keyboard.press(key)
        assert column(shown, number_of(shown, "AUROC")) == ["0.5000", "0.5000", "0.5000", "–"]
    assert heading(shown, "AUROC").get_attribute("aria-sort") == "descending"
    shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    assert heading(shown, "kept units").get_attribute("aria-sort") == "ascending"


def test_networks_are_chosen(opened):
    shown = opened(whole())
    shown.get_by_label("algorithm", exact=True).select_option("random")
    assert column(shown, 2) == ["random"] and shown.get_by_role("status").inner_text() == "1 of 4 networks"
    shown.get_by_label("algorithm", exact=True).select_option("")
    shown.get_by_label("class", exact=True).select_option("0")
    assert column(shown, 2) == ["OSLOM", "random"]


def test_a_mark_tells_what_it_is_under_the_pointer_and_by_keyboard(opened):
    shown = opened(whole(), viewport={"width": 1400, "height": 900})
    tip, marks = shown.locator("#tip"), shown.locator(".v0 .mark")
    assert tip.is_hidden()
    marks.last.hover()
    assert tip.is_visible() and tip.inner_text().startswith("OSLOM, mean of 3 classes\nbudget: none; seed 1\n")
    shown.mouse.move(1, 1)
    assert tip.is_hidden()
    marks.first.focus()
    assert tip.inner_text().startswith("random, class 0\n")
    shown.keyboard.press("End")
    assert tip.inner_text().startswith("OSLOM, mean of 3 classes\n")
    shown.keyboard.press("ArrowLeft")
    assert not tip.inner_text().startswith("OSLOM, mean of 3 classes\n") and tip.is_visible()
    shown.keyboard.press("Escape")
    assert tip.is_hidden()
    assert shown.locator(".v0 .mark[tabindex='0']").count() == 1
    box = tip.evaluate("tip => tip.getAttribute('role')")
    assert box == "tooltip"


def test_what_is_plotted_is_chosen(opened):
    shown = opened(whole())
    assert [shown.locator(f".v{k}").is_visible() for k in range(3)] == [True, False, False]
    shown.get_by_label("accuracy, beside the published", exact=True).check()
    assert [shown.locator(f".v{k}").is_visible() for k in range(3)] == [False, False, True]
    assert shown.locator(".v2 .mark.published").first.is_visible()
    shown.get_by_label("OSLOM", exact=True).uncheck()
    assert shown.locator(".v2 .mark.a0").first.is_hidden() and shown.locator(".v2 .mark.a1").first.is_visible()
    first = shown.locator(".v2 .mark[tabindex='0']")
    assert first.count() == 1 and first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_never_scrolls_sideways(opened, published_pages, width, scheme):
    for text in (*published_pages.values(), made(retrained(0, arch="a" * 90, algo="b" * 90))):
        shown = opened(text, viewport={"width": width, "height": 900}, color_scheme=scheme)
        shown.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        paper = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_without_a_script_everything_is_there(opened):
    shown = opened(whole(), java_script_enabled=False)
    assert shown.locator("table.sortable tbody tr").count() == 4
    assert shown.locator(".filters").is_hidden() and shown.locator(".v0 .mark title").count() > 4
    shown.get_by_text("accuracy", exact=True).first.click()
    assert shown.locator(".v1").is_visible() and shown.locator(".v0").is_hidden()
    shown.get_by_text("Cut by cut").click()
    assert shown.get_by_text("warm-up").is_visible()


def test_what_comes_from_files_does_not_run(opened):
    evil = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    shown = opened(made(retrained(0, arch=evil, algo=evil, torch_version=evil)))
    assert shown.locator("h1").inner_text() == f"{evil} on pairs" and shown.locator("img").count() == 0
    heading(shown, "algorithm").get_by_role("button").click()
    shown.locator(".v0 .mark").first.focus()
    assert shown.locator("#tip").inner_text().startswith(evil) and shown.locator("#tip *").count() == 0
