"""From images in every form to the network's input, and what is refused."""

import numpy as np
import pytest
from PIL import Image

import onebit
from onebit import OnebitError
from onebit.runtime.image import to_input, to_pixels
from tests.runtime.samples import CLASSES, classifier

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


def test_an_image_of_the_right_size_is_normalised_as_in_training(pixels, tmp_path):
    expected = (pixels / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for image in (pixels, Image.fromarray(pixels), tmp_path / "a.png", str(tmp_path / "a.png")):
        x = to_input(image, (3, 8, 8), MEAN, STD)
        assert x.dtype == np.float32
        assert x.flags.c_contiguous
        np.testing.assert_array_equal(x, expected)


def test_sizes_and_channels_are_made_to_fit():
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 200
    assert to_input(red, (3, 8, 6), (0,) * 3, (1,) * 3)[4, 3] == pytest.approx([200 / 255, 0, 0])
    grey = Image.fromarray(red).convert("L")
    level = np.asarray(grey)[0, 0] / 255
    np.testing.assert_allclose(to_input(red, (1, 8, 8), (0,), (1,)), level, rtol=1e-6)
    np.testing.assert_allclose(to_input(np.asarray(grey), (3, 8, 8), (0,) * 3, (1,) * 3), level, rtol=1e-6)
    deep = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
    np.testing.assert_allclose(to_input(deep, (1, 8, 8), (0,), (1,)), 128 / 255, rtol=1e-6)


def test_the_centre_is_cut_where_the_network_was_evaluated_so():
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, 8:24] = 255
    assert to_pixels(wide, (3, 8, 8), resize=8).min() > 200  # the filter reaches over the edge
    assert to_pixels(wide, (3, 8, 8))[0, 0, 0] == 0, "stretched"
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert np.array_equal(to_pixels(small, (3, 8, 8), resize=9), small), "what is cut already stays"


def test_a_model_says_how_it_sees_an_image(tmp_path):
    graph = classifier()
    wide = np.random.default_rng(0).integers(0, 256, (16, 32, 3), np.uint8)
    plain, cut = tmp_path / "plain.obn", tmp_path / "cut.obn"
    plain.write_bytes(graph.to_bytes())
    graph.meta["input.resize"] = [9]
    cut.write_bytes(graph.to_bytes())
    for path, resize in ((plain, None), (cut, 9)):
        model = onebit.load(path)
        assert model.resize == resize
        expected = to_input(wide, (3, 8, 8), model.mean, model.std, resize)
        assert np.array_equal(model.input_of([wide])[0], expected)
    assert not np.array_equal(onebit.load(plain).input_of([wide]), onebit.load(cut).input_of([wide]))


@pytest.mark.parametrize("resize", [[7], [9, 9], [], [9.0], "9"])
def test_a_resize_that_is_none_is_refused(resize, tmp_path):
    graph = classifier()
    graph.meta["input.resize"] = resize
    (tmp_path / "m.obn").write_bytes(graph.to_bytes())
    with pytest.raises(OnebitError, match=r"input\.resize"):
        onebit.load(tmp_path / "m.obn")


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # by half a turn
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    x = to_input(tmp_path / "a.png", (3, 8, 8), (0,) * 3, (1,) * 3)
    assert x[0, 0, 0] == 0
    assert x[7, 0, 0] == 1


def test_predict_names_the_best_class(classifier_path, pixels):
    model = onebit.load(classifier_path)
    answer = model.predict(pixels)
    logits = model(to_input(pixels, model.input_shape, model.mean, model.std).transpose(2, 0, 1)[None])[0]
    assert answer.index == logits.argmax()
    assert answer.label == CLASSES[answer.index]
    assert answer.scores.sum() == pytest.approx(1)
    assert answer.score == answer.scores.max()


def test_predict_answers_each_image_of_a_list(classifier_path, tmp_path):
    model = onebit.load(classifier_path)
    pixels = np.random.default_rng(1).integers(0, 256, (35, 9, 8, 3), np.uint8)  # more than are decoded at a time
    Image.fromarray(pixels[3]).save(tmp_path / "3.png")
    images = [*pixels[:3], tmp_path / "3.png", Image.fromarray(pixels[4]), *pixels[5:]]
    answers = model.predict(images)
    for image, answer in zip(pixels, answers, strict=True):
        alone = model.predict(image)
        assert (answer.label, answer.index, answer.score) == (alone.label, alone.index, alone.score)
        np.testing.assert_array_equal(answer.scores, alone.scores)
    assert model.predict(tuple(images[:2]))[1].index == answers[1].index
    assert model.predict([]) == []
    with pytest.raises(OnebitError, match=r"no-such\.png: No such file"):
        model.predict([pixels[0], "no-such.png"])


def test_predict_refuses_a_model_that_is_no_classifier(classifier_path, pixels):
    model = onebit.load(classifier_path)
    model.outputs["logits"] = (4, 2, 2)
    with pytest.raises(OnebitError, match="no classifier"):
        model.predict(pixels)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32 .* is no image"),
        (np.zeros((8, 8, 4), np.uint8), "is no image"),
        (np.zeros((0, 8), np.uint8), "is no image"),
        (17, "a int is no image"),
        ("missing.png", "missing.png: No such file"),
    ],
)
def test_what_is_no_image_is_refused(image, message):
    with pytest.raises(OnebitError, match=message):
        to_input(image, (3, 8, 8), MEAN, STD)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "tiff", "webp"])
def test_a_damaged_image_is_refused(tmp_path, pixels, kind):
    path = tmp_path / f"a.{kind}"
    Image.fromarray(np.tile(pixels, (20, 20, 1))).save(path)
    content = path.read_bytes()
    for damaged in (b"", content[:20], content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(OnebitError, match=f"a.{kind}: "):
            to_input(path, (3, 8, 8), MEAN, STD)


def test_a_model_of_other_channels_says_so():
    with pytest.raises(OnebitError, match="takes 2 channels"):
        to_input(np.zeros((8, 8), np.uint8), (2, 8, 8), (0, 0), (1, 1))


def test_pixels_without_a_range_are_refused_in_one_sentence(tmp_path):
    Image.fromarray(np.full((6, 6), np.nan, np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(OnebitError) as caught:
        to_input(tmp_path / "f.tif", (1, 6, 6), [0], [1])
    assert str(caught.value) == (
        f"{tmp_path / 'f.tif'}: pixels of mode F have no fixed range (save the image with 8 bits per channel)"
    )
