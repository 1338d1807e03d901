"""Pictures of what a model gets wrong: their numbers and words."""

import itertools
import pathlib
import warnings

import keras
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import kerastrain as ktr
from kerastrain import Confusion, Residuals, TopLosses, _fonts
from kerastrain import plot_confusion as draw_confusion
from kerastrain import plot_residuals as draw_residuals
from kerastrain import plot_top_losses as draw_top_losses
from kerastrain.mistake_records import Case, Column
from kerastrain.mistakes import confusion, residuals, top_losses

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 4)).astype("float32")
LABELS = X[:, :3].argmax(axis=1)
PETS = Confusion([[6, 3, 0], [1, 998, 1], [0, 0, 0]], ["cat", "dog", "owl"])
PLENTY = Confusion(np.eye(100, dtype=int).tolist(), [f"species number {i}" for i in range(100)])


@pytest.fixture(autouse=True)
def closing():
    yield
    plt.close("all")


def model_of(units, activation, loss):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation)])
    model.compile("sgd", loss)
    return model


CLASSIFIER = model_of(3, "softmax", "sparse_categorical_crossentropy")
REGRESSION = model_of(2, "linear", "mse")


def words(ax):
    return [text.get_text() for text in ax.texts]


def names(ticks):
    return [tick.get_text() for tick in ticks]


# Confusions.


@pytest.mark.parametrize("normalize", ["true", "pred", "all"])
def test_the_cells_are_shares(normalize):
    ax = draw_confusion(PETS, normalize=normalize)
    np.testing.assert_array_equal(ax.images[0].get_array().filled(np.nan), PETS.shares(normalize))


def test_numbers_are_per_cent_of_the_class_and_empty_cells_are_empty():
    ax = draw_confusion(PETS)
    assert words(ax) == ["67", "33", "<1", "100", "<1"]
    assert [text.get_position() for text in ax.texts] == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert names(ax.get_yticklabels()) == names(ax.get_xticklabels()) == ["cat", "dog", "owl"]
    assert ax.get_title() == "99.5 % of 1,009 rows right"
    assert ax.figure.axes[1].get_ylabel() == "% of the true class"


def test_counts_are_drawn_as_they_are():
    ax = draw_confusion(PETS, normalize=None)
    assert words(ax) == ["6", "3", "1", "998", "1"]
    assert ax.images[0].get_array().tolist() == PETS.counts
    assert ax.figure.axes[1].get_ylabel() == "rows"


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_every_number_can_be_read_on_its_cell(style):
    with plt.style.context(style):
        counts = np.diag(np.linspace(1, 99, 12).astype(int))
        counts[:, 0] = 100 - counts.diagonal()
        ax = draw_confusion(Confusion(counts.tolist(), [str(i) for i in range(12)]))
        image = ax.images[0]
        for text in ax.texts:
            column, row = text.get_position()
            cell = image.cmap(image.norm(counts[row, column] / counts[row].sum()))
            ink = matplotlib.colors.to_rgb(text.get_color())
            assert abs(luminance(cell) - luminance(ink)) > 0.3


def luminance(colour):
    return float(np.dot(colour[:3], (0.299, 0.587, 0.114)))


def test_a_hundred_classes_have_few_ticks_and_no_numbers():
    ax = draw_confusion(PLENTY)
    assert words(ax) == []
    assert names(ax.get_xticklabels())[:2] == ["species number 0", "species number 5"]
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 20
    assert max(ax.figure.get_size_inches()) < 10
    assert no_labels_overlap(ax)


@pytest.mark.parametrize("count", [2, 3, 10, 20, 21])
def test_labels_do_not_overlap(count):
    confusion = Confusion(np.eye(count, dtype=int).tolist(), [f"class {i}" for i in range(count)])
    assert no_labels_overlap(draw_confusion(confusion))


def no_labels_overlap(ax):
    ax.figure.canvas.draw()
    boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
    page = ax.figure.bbox
    texts = [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.title]
    inside = all(page.padded(1).containsx(t.get_window_extent().x0) for t in texts)
    return inside and not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_a_long_name_is_cut():
    confusion = Confusion([[1, 0], [0, 1]], ["a", "a name that goes on and on"])
    assert names(draw_confusion(confusion).get_yticklabels()) == ["a", "a name that goes on…"]


def test_a_model_and_its_record_and_its_file_give_the_same_picture(tmp_path):
    found = confusion(CLASSIFIER, X, LABELS, classes=["a", "b", "c"])
    path = found.save(tmp_path / "found.json")
    drawn = [
        draw_confusion(CLASSIFIER, X, LABELS, classes=["a", "b", "c"]),
        draw_confusion(found),
        draw_confusion(path),
    ]
    for ax in drawn:
        assert words(ax) == words(drawn[0])
        assert names(ax.get_xticklabels()) == ["a", "b", "c"]


def test_given_axes_are_drawn_on():
    _, axes = plt.subplots(1, 2)
    assert draw_confusion(PETS, ax=axes[1]) is axes[1]
    with pytest.raises(ValueError, match="one Axes") as caught:
        draw_confusion(PETS, ax=axes)
    assert str(caught.value) == (
        "`plot_confusion`: `ax` must hold one Axes per panel ('confusion'). Received: 2 Axes."
    )


# Top losses.


def pictures(count, shape=(5, 6)):
    cases = [
        Case(row, 9.25 - row, "cat", "dog", 0.875, GENERATOR.uniform(size=shape))
        for row in range(count)
    ]
    return TopLosses(cases, "pictures", rows=100, mean_loss=0.5)


def test_each_picture_has_its_labels_and_its_loss():
    found = pictures(5)
    axes = draw_top_losses(found)
    assert len(axes) == 5
    assert axes[1].get_title() == "cat\npredicted dog (88 %)\nloss 8.25"
    for ax, case in zip(axes, found.cases, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), case.shown)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (-1, 1)])
def test_colours_are_brought_between_0_and_1(low, high):
    found = pictures(1, (5, 6, 3))
    found.cases[0].shown[...] = np.linspace(low, high, 90).reshape(5, 6, 3)
    (ax,) = draw_top_losses(found)
    drawn = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(drawn, np.linspace(0, 1, 90).reshape(5, 6, 3), atol=1e-12)


@pytest.mark.parametrize("features", [1, 3, 9])
def test_each_feature_of_a_series_is_a_line_over_the_steps(features):
    series = GENERATOR.normal(size=(50, features))
    case = Case(3, 2.0, "1.5", "0.5", None, series)
    (ax,) = draw_top_losses(TopLosses([case], "series", rows=9, mean_loss=1.0))
    assert ax.get_title() == "1.5\npredicted 0.5\nloss 2"
    np.testing.assert_array_equal([line.get_ydata() for line in ax.get_lines()], series.T)
    assert len({line.get_color() for line in ax.get_lines()}) == {1: 1, 3: 3, 9: 1}[features]


@pytest.mark.parametrize(("style", "least"), [("default", 0.1), ("dark_background", 0.15)])
def test_a_rare_confusion_can_be_seen(style, least):
    with plt.style.context(style):
        image = draw_confusion(PETS).images[0]
        ground = luminance(matplotlib.colors.to_rgb(image.axes.get_facecolor()))
        assert abs(luminance(image.cmap(image.norm(0.03))) - ground) > least


def test_texts_are_their_beginning_in_lines():
    text = " ".join(["word"] * 100)
    case = Case(3, 2.0, "good", "bad", 0.9, text)
    (ax,) = draw_top_losses(TopLosses([case], "texts", rows=9, mean_loss=1.0))
    verdict, loss, *lines = words(ax)
    assert (verdict, loss) == ("good, predicted bad (90 %)", "loss 2, row 3")
    assert len(lines) == 3
    assert all(len(line) <= 92 for line in lines[:2])
    assert " ".join(lines).startswith("word word word")
    assert lines[-1].endswith("word …")


LONG = ["Wmwm" * 5 + " wide" * 60, "https://" + "a-long-address/" * 30, "word " * 40, "short"]


def test_texts_stay_on_the_page():
    cases = [Case(i, 2.0, "good", "bad", 0.9, text) for i, text in enumerate(LONG)]
    (ax,) = draw_top_losses(TopLosses(cases, "texts", rows=9, mean_loss=1.0))
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    page = ax.figure.bbox.padded(1)
    assert all(page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1) for box in boxes)
    left = [box for box, text in zip(boxes, ax.texts, strict=True) if text.get_ha() == "left"]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(left))


def test_rows_are_their_oddest_columns():
    shown = [Column("age", 91.0, 3.1), Column("weight", 40.0, -2.0)]
    case = Case(3, 2.0, "5.1", "3.2", None, shown)
    (ax,) = draw_top_losses(TopLosses([case], "rows", rows=9, mean_loss=1.0))
    assert words(ax) == [
        "5.1, predicted 3.2",
        "loss 2, row 3",
        "age 91 (+3.1 sd), weight 40 (-2.0 sd)",
    ]


def test_a_model_has_the_picture_of_its_record():
    found = top_losses(CLASSIFIER, X, LABELS, count=4)
    (ax,), (other,) = draw_top_losses(CLASSIFIER, X, LABELS, count=4), draw_top_losses(found)
    assert words(ax) == words(other)
    assert words(ax)[0] == found.cases[0].verdict


# Letters.


def korean(count=1):
    cases = [Case(3, 2.0, "긍정", "부정", 0.9, "너무 재미있어요 👍")] * count
    return TopLosses(cases, "texts", rows=9, mean_loss=1.0)


def test_without_a_korean_font_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr(_fonts, "_candidates", lambda: iter(()))
    with pytest.warns(UserWarning, match="Korean") as caught:
        (ax,) = draw_top_losses(korean(3))
    assert [str(warning.message) for warning in caught] == [
        "`plot_top_losses`: no font with Korean letters is installed, so they show as boxes: "
        "install one, such as Debian's fonts-nanum."
    ]
    assert words(ax)[0] == "□□, predicted □□ (90 %)"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib says nothing about each letter.
        ax.figure.canvas.draw()


def test_with_one_it_is_written_in_that():
    paths = [path for path in _fonts._candidates() if 0xAC00 in _fonts._letters(path)]
    if not paths:
        pytest.skip("no font with Korean letters is installed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (ax,) = draw_top_losses(korean())
        ax.figure.canvas.draw()
    assert words(ax)[0] == "긍정, predicted 부정 (90 %)"
    assert words(ax)[2].startswith("너무 재미있어요")
    names = {_fonts.font_manager.get_font(path).family_name for path in paths}
    own, *others = ax.texts[0].get_fontfamily()
    assert own == matplotlib.rcParams["font.family"][0]
    assert names.issuperset(others)


def test_latin_letters_leave_the_font_alone():
    ax = draw_confusion(PETS)
    assert ax.get_xticklabels()[0].get_fontfamily() == matplotlib.rcParams["font.family"]


# Residuals.

HOUSES = Residuals(
    {"price": [1.0, 2.0, 3.0, 4.0], "rent": [1.0, 1.0, 2.0, 2.0]},
    {"price": [1.5, 2.0, 2.5, 4.0], "rent": [1.0, 1.0, 2.0, 2.0]},
)


def test_each_output_has_its_predictions_and_its_residuals():
    axes = draw_residuals(HOUSES)
    assert [ax.get_xlabel() for ax in axes] == [
        "true price",
        "true rent",
        "true less predicted price",
        "true less predicted rent",
    ]
    diagonal, points = axes[0].get_lines()
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [1.0, 4.0]
    assert points.get_xdata().tolist() == HOUSES.true["price"]
    assert points.get_ydata().tolist() == HOUSES.predicted["price"]
    assert words(axes[0]) == ["R² 0.9"]
    assert words(axes[2]) == ["mean 0\nspread 0.354\nmae 0.25"]


def test_the_histogram_counts_every_row():
    left = GENERATOR.standard_cauchy(5_000)
    found = Residuals({"a": left.tolist()}, {"a": [0.0] * 5_000})
    _, ax = draw_residuals(found)
    (steps,) = ax.patches
    values, edges, _ = steps.get_data()
    assert (values.sum(), len(values)) == (5_000, 60)
    assert (edges[0], edges[-1]) == (left.min(), left.max())


def test_a_model_has_the_residuals_of_its_record(tmp_path):
    y = X[:, :2]
    found = residuals(REGRESSION, X, y, outputs=["a", "b"])
    drawn = draw_residuals(REGRESSION, X, y, outputs=["a", "b"])
    for other in (draw_residuals(found), draw_residuals(found.save(tmp_path / "r.json"))):
        assert [words(ax) for ax in other] == [words(ax) for ax in drawn]


def test_one_row_can_be_drawn():
    axes = draw_residuals(Residuals({"a": [1.0]}, {"a": [2.0]}))
    assert words(axes[0]) == ["R² nan"]


def test_one_axes_has_the_predictions_of_one_output():
    _, ax = plt.subplots()
    one = Residuals({"a": [1.0, 2.0]}, {"a": [2.0, 1.0]})
    assert draw_residuals(one, ax=ax) == [ax]
    assert ax.get_ylabel() == "predicted a"
    with pytest.raises(ValueError, match="one Axes") as caught:
        draw_residuals(HOUSES, ax=ax)
    assert str(caught.value) == (
        "`plot_residuals`: `ax` must hold one Axes per panel ('predicted price', "
        "'predicted rent', 'residuals of price', 'residuals of rent'). Received: 1 Axes."
    )


# What can't be drawn.

REFUSED = {
    "a share of something else": (
        lambda: draw_confusion(PETS, normalize="row"),
        ValueError,
        "`plot_confusion`: `normalize` must be one of 'true', 'pred', 'all'. Received: "
        "normalize='row'.",
    ),
    "data beside a record": (
        lambda: draw_confusion(PETS, X, LABELS),
        ValueError,
        "`plot_confusion`: `x` must be left out beside a Confusion, which has it all. Received: "
        "a Confusion and `x`.",
    ),
    "data beside the name of a file": (
        lambda: draw_confusion("m.keras", X, LABELS),
        TypeError,
        "`plot_confusion`: `model` must be a model beside `x`, such as load_model reads from its "
        "file. Received: model='m.keras'.",
    ),
    "names beside a record": (
        lambda: draw_residuals(HOUSES, outputs=["a", "b"]),
        ValueError,
        "`plot_residuals`: `outputs` must be left out beside a Residuals, which has it all. "
        "Received: a Residuals and `outputs`.",
    ),
    "a path of pictures": (
        lambda: draw_top_losses("top.json"),
        TypeError,
        "`plot_top_losses`: `model` must be a compiled model or what "
        "`kerastrain.mistakes.top_losses` returns. Received: model='top.json'.",
    ),
    "a regression": (
        lambda: draw_confusion(REGRESSION, X, X[:, :2]),
        ValueError,
        "`plot_confusion`: `model` must tell classes; for numbers call plot_residuals. Received: "
        'Dense(2, activation="linear") with mean_squared_error.',
    ),
    "classes": (
        lambda: draw_residuals(CLASSIFIER, X, LABELS),
        ValueError,
        "`plot_residuals`: `model` must predict numbers; for classes call plot_confusion. "
        'Received: Dense(3, activation="softmax") with sparse_categorical_crossentropy.',
    ),
    "a model that isn't compiled": (
        lambda: draw_confusion(ktr.build("dense"), X, LABELS),
        ValueError,
        "`plot_confusion`: `model` must be compiled: call compile_for_task(model, y=y) or "
        "model.compile(...) first. Received: a model that isn't.",
    ),
}


@pytest.mark.parametrize(("call", "kind", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(call, kind, sentence):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == sentence
    assert plt.get_fignums() == []


def test_settings_are_as_they_were(tmp_path):
    before = dict(matplotlib.rcParams)
    for draw, record in (
        (draw_confusion, PETS),
        (draw_top_losses, pictures(2)),
        (draw_residuals, HOUSES),
    ):
        drawn = draw(record)
        ax = drawn[0] if isinstance(drawn, list) else drawn
        ax.figure.savefig(tmp_path / "picture.png")
    assert dict(matplotlib.rcParams) == before
    assert pathlib.Path(tmp_path / "picture.png").stat().st_size > 1_000
