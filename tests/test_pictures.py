"""Pictures: what is drawn, not how it looks; the same numbers give the same bytes."""

import io
import itertools

import networkx
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from metrics_files import pruned, retrained
from PIL import Image

from specdnn.files import SavedModels
from specdnn.options import ALGORITHMS
from specdnn.results import overview, pictures, runs, scorecard
from specdnn.structures import Exhibit

STEPS = [{"stage": "round 1", "true_weights": 60, "validation_score": 0.8}]
STEPS += [{"stage": "trim 1", "true_weights": 10, "validation_score": 0.6}]


def exhibit(name="0") -> Exhibit:
    """Two pixels of six, two hidden units, one output."""
    strengths = (np.array([[4.0, 0.0], [1.0, 2.0]]), np.array([[0.0], [3.0]]))
    image, places = np.arange(6).reshape(2, 3) * 50, np.array([[1, 0, 0], [0, 0, 1]])
    return Exhibit(name, image, places, ("input", "hidden", "out"), strengths)


def cells():
    """Two classes at a small and a large budget, a third at the large one only, a rival."""
    found = []
    for rate, size, accuracy, classes in ((0.1, 100, 0.9, (0, 1)), (0.2, 200, 0.95, (0, 1, 2))):
        for k in classes:
            kept = {"input": [size, k], "out": [k]}
            numbers = {"true_parameters": size, "paper_rule_rate": rate, "accuracy": accuracy + 0.01 * k}
            found += [pruned(k, kept=kept, options={"rate": rate}, steps=STEPS), retrained(k, kept=kept, **numbers)]
    return scorecard.cells([*found, retrained(0, algo="random", true_parameters=150, accuracy=0.8)], "net")


def axes():
    return Figure().subplots()


def height_of(picture: bytes) -> int:
    return Image.open(io.BytesIO(picture)).height


def curves(drawn) -> list[tuple[list, list]]:
    """(x, y) of every line, rounded."""
    return [(np.round(line.get_xdata(), 6).tolist(), np.round(line.get_ydata(), 6).tolist()) for line in drawn.lines]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: pictures.pareto(cells(), scorecard.published_cells(cells(), {0: (0.2, 0.9)})),
        lambda: pictures.pareto(scorecard.cells([retrained(0)], "net"), []),
        lambda: pictures.overlap({"input": [[1, 0.25], [0.25, 1]]}, [3, 8]),
        lambda: pictures.kept_shares([[0.5], [1.0]], ["input"], [3, 8]),
        lambda: pictures.contact_sheet([exhibit("0"), exhibit("1"), exhibit("2")]),
    ],
    ids=["pareto", "pareto of one cell", "overlap", "kept", "contact sheet"],
)
def test_a_picture_is_a_png_without_metadata_and_always_the_same(draw):
    image = Image.open(io.BytesIO(draw()))
    assert image.format == "PNG" and image.width == 1280 and not set(image.info) - {"dpi"}
    assert len(np.unique(np.array(image))) > 5
    assert draw() == draw()


def test_settings_of_the_user_do_not_change_a_picture(monkeypatch):
    import matplotlib

    before = pictures.contact_sheet([exhibit()])
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30.0)
    monkeypatch.setitem(matplotlib.rcParams, "figure.facecolor", "red")
    assert pictures.contact_sheet([exhibit()]) == before


def test_a_thin_line_per_class_and_the_mean_of_the_budgets_all_classes_have():
    drawn = axes()
    pictures.against_size(drawn, cells(), "accuracy", "true_parameters")
    lines = curves(drawn)
    for k in (0, 1):
        assert lines.count(([100, 200], [90 + k, 95 + k])) == 1
    assert lines[-1] == ([200], [96]) and drawn.lines[-1].get_label() == "OSLOM"
    assert drawn.get_xscale() == "log"


@pytest.fixture(scope="module")
def published_runs(folder):
    """Network -> its published runs and the published cells."""
    places = {arch: SavedModels(folder.path / "results", arch) for arch in folder.architectures}
    found = {arch: runs.read(saved, folder.dataset.DEFAULT).found for arch, saved in places.items()}
    return {arch: overview.of_network(found[arch], arch, folder.path / "published.csv") for arch in places}


def crowded():
    """Ten classes of a single budget within a percent of each other, at nearly one size."""
    found = [retrained(k, accuracy=0.95 + 0.001 * k, true_parameters=180000 + k) for k in range(10)]
    return overview.Results(scorecard.cells(found, "net"), [], [], [], [])


@pytest.mark.parametrize("which", ["LeNet_300_100", "LeNet_5", "crowded"])
def test_numbers_of_classes_and_sizes_do_not_touch_each_other(which, published_runs, monkeypatch):
    """Every class of every panel has one number, inside the picture and clear of all points."""
    own, seen = published_runs.get(which) or crowded(), []
    original = pictures.number_classes
    monkeypatch.setattr(pictures, "number_classes", lambda axes: original(axes) or seen.append(axes))
    pictures.pareto(own.rows, own.published)
    for axes in seen:
        axes.figure.draw_without_rendering()
        numbers = [Text.get_window_extent(text) for text in axes.texts]  # without the line that leads there
        classes = [line.get_gid() for line in axes.lines if line.get_gid()]
        assert sorted(text.get_text() for text in axes.texts) == sorted(classes) and len(classes) >= 10
        sizes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        for boxes in (numbers, sizes):
            assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
        points = np.concatenate([axes.transData.transform(line.get_xydata()) for line in axes.lines])
        assert not any(box.contains(*point) for box in numbers for point in points)
    assert len(seen) == 3


@pytest.mark.parametrize(
    "rivals", [(), ("random", "attribution", "OSLOM-null", "graph-null", "relevance", "magnitude")]
)
def test_a_legend_of_long_names_stays_inside_the_picture(rivals, monkeypatch):
    """Rivals of some classes have these in brackets."""
    found = [retrained(k, accuracy=0.9, true_parameters=100 + k) for k in range(10)]
    found += [retrained(k, algo=name, accuracy=0.8, true_parameters=100 + k) for name in rivals for k in (0, 3, 8)]
    seen, original = [], pictures.number_classes
    monkeypatch.setattr(pictures, "number_classes", lambda axes: original(axes) or seen.append(axes.figure))
    pictures.pareto(scorecard.cells(found, "net"), [])
    (legend,) = seen[0].legends
    seen[0].draw_without_rendering()
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= seen[0].bbox.width
    assert {text.get_text() for text in legend.get_texts()} == {"OSLOM", *(f"{name} (0, 3, 8)" for name in rivals)}


@pytest.mark.parametrize(("before", "after"), [((99, 101), (50, 200)), ((10, 100), (10, 100))])
def test_sizes_that_are_nearly_the_same_have_room(before, after):
    drawn = axes()
    pictures.log_sizes(drawn)
    drawn.set_xlim(*before)
    pictures.fit_sizes(drawn)
    assert drawn.get_xlim() == pytest.approx(after, rel=1e-3)


@pytest.mark.parametrize(
    ("high", "numbers"),
    [
        (1e3, [10, 20, 50, 100, 200, 500, 1000]),
        (2e4, [10, 30, 100, 300, 1e3, 3e3, 1e4]),
        (1e7, [10, 100, 1e3, 1e4, 1e5, 1e6, 1e7]),
    ],
)
def test_numbers_of_wide_axes_are_fewer(high, numbers):
    drawn = axes()
    pictures.log_sizes(drawn)
    drawn.set_xlim(10, high)
    pictures.fit_sizes(drawn)
    assert [tick for tick in drawn.get_xticks() if 9 < tick < 1.1 * high] == pytest.approx(numbers)


def test_all_rivals_have_different_marks():
    rivals = sorted({*ALGORITHMS, "group-norm"} - {"OSLOM"})
    rows = scorecard.cells([retrained(0, algo=name) for name in rivals], "net")
    drawn = axes()
    pictures.rival_points(drawn, rows, "accuracy")
    assert [line.get_label() for line in drawn.lines] == rivals
    assert len({line.get_marker() for line in drawn.lines}) == len(rivals)


def test_a_rival_that_did_not_make_every_class_stands_with_the_classes_not_with_the_means():
    both = [retrained(k, algo=algo) for algo in ("OSLOM", "all") for k in (0, 1)]
    rows = scorecard.cells([*both, retrained(1, algo="few")], "net")
    drawn = axes()
    pictures.rival_points(drawn, rows, "accuracy")
    sizes = {line.get_label(): line.get_markersize() for line in drawn.lines}
    assert set(sizes) == {"all", "few (1)"} and sizes["few (1)"] < sizes["all"]


def test_the_published_points_and_their_mean():
    drawn = axes()
    pictures.published_points(drawn, scorecard.published_cells([], {0: (0.002, 0.9), 4: (0.004, 0.8)}))
    assert curves(drawn) == [([0.2], [90]), ([0.4], [80]), ([0.3], [85])]
    assert [line.get_gid() for line in drawn.lines] == ["0", "4", None]


def test_the_way_down_shows_scores_of_validation_and_their_mean():
    drawn = axes()
    pictures.way_down(drawn, cells())
    *lines, mean = curves(drawn)
    assert lines == [([10, 60], [60, 80])] * 3
    assert mean[0][0] == pytest.approx(10) and mean[1][0] == pytest.approx(60) and mean[1][-1] == pytest.approx(80)
    pictures.way_down(empty := axes(), scorecard.cells([retrained(0)], "net"))
    assert not empty.lines and not empty.axison


def test_a_heat_map_tells_its_figures_in_percent():
    drawn = axes()
    pictures.heat_map(drawn, np.array([[1, 0.254], [0.254, 1]]), [3, 8], 30)
    assert [text.get_text() for text in drawn.texts] == ["25", "25"]
    assert [label.get_text() for label in drawn.get_xticklabels()] == ["3", "8"]


def test_many_heat_maps_take_several_rows():
    """Of a deep network five beside each other, so that figures can be read."""
    matrices = {f"layer{k}": [[1, 0.25], [0.25, 1]] for k in range(12)}
    heights = [height_of(pictures.overlap(dict(list(matrices.items())[:count]), [3, 8])) for count in (1, 5, 12)]
    assert heights[0] == heights[1] < heights[2] / 2


def test_shares_of_layers_are_told_in_percent():
    figure = Figure()
    pictures.share_map(figure, np.array([[0.25, 1.0], [0.125, 0.5]]), ["conv", "ip"], [0, 3])
    drawn, bar = figure.axes
    assert [text.get_text() for text in drawn.texts] == ["25", "100", "12.5", "50"]
    assert [label.get_text() for label in drawn.get_xticklabels()] == ["conv", "ip"]
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["0", "3"]
    assert bar.get_ylabel() == "kept units %"


@pytest.mark.parametrize(("widths", "drawn"), [((3, 4, 2), True), ((3, 198, 2), False), ((2,) * 9, False)])
def test_a_network_that_no_drawing_can_show_is_told_by_the_widths_of_its_layers(widths, drawn, monkeypatch):
    pairs = tuple(np.ones(pair) for pair in itertools.pairwise(widths))
    shown = Exhibit("cat", np.zeros((2, 2)), np.ones((2, 2)), tuple(f"layer{k}" for k in range(len(widths))), pairs)
    asked = []
    for name in ("network", "layer_widths"):
        monkeypatch.setattr(pictures, name, lambda axes, one, name=name: asked.append(name))
    pictures.contact_sheet([shown])
    assert asked == ["network" if drawn else "layer_widths"]


def test_bars_are_as_high_as_layers_are_wide():
    shown = Exhibit(
        "cat", np.zeros((2, 2)), np.ones((2, 2)), ("input", "conv", "out"), (np.ones((3, 5)), np.ones((5, 1)))
    )
    drawn = axes()
    pictures.layer_widths(drawn, shown)
    assert [bar.get_height() for bar in drawn.patches] == [3, 5, 1]
    assert [text.get_text() for text in drawn.texts] == ["3", "5", "1", "input", "out"]


def test_where_all_places_are_kept_alike_the_image_is_shown_as_it_is():
    drawn = axes()
    pictures.kept_places(drawn, Exhibit("cat", np.zeros((4, 4)), np.ones((4, 4)), ("a", "b"), (np.ones((1, 1)),)))
    assert not drawn.patches


def test_the_kept_places_lie_where_they_are_in_the_image():
    drawn = axes()
    pictures.kept_places(drawn, exhibit("7"))
    (squares,) = drawn.collections
    middles = [square.get_extents().get_points().mean(axis=0) for square in squares.get_paths()]
    assert np.allclose(middles, [(0.5, 0.5), (2.5, 1.5)])
    assert drawn.get_title(loc="left") == "7"


def test_the_network_is_a_graph_of_layers_with_relative_strengths():
    graph = pictures.network_graph(exhibit().strengths)
    assert networkx.get_node_attributes(graph, "layer") == {(0, 0): 0, (0, 1): 0, (1, 0): 1, (1, 1): 1, (2, 0): 2}
    strengths = networkx.get_edge_attributes(graph, "strength")
    assert strengths[(0, 0), (1, 0)] == 1 and strengths[(0, 1), (1, 1)] == 0.5 and strengths[(1, 1), (2, 0)] == 1
    skipping = pictures.network_graph(exhibit().strengths, [(0, 2, np.array([[5.0], [2.5]]))])
    assert skipping.edges[(0, 1), (2, 0)]["strength"] == 0.5 and len(skipping.edges) == len(graph.edges) + 2
    dead = pictures.network_graph([np.zeros((2, 1))])
    assert set(networkx.get_edge_attributes(dead, "strength").values()) == {0}


def test_an_edge_is_as_wide_as_its_connection_is_strong():
    drawn = axes()
    pictures.network(drawn, exhibit())
    edges = drawn.collections[0]
    assert sorted(edges.get_linewidths()) == pytest.approx([0, 0, 0.55, 1.1, 2.2, 2.2])
    assert [text.get_text() for text in drawn.texts] == ["input\n2", "hidden\n2", "out\n1"]
