"""The worker that data-set runs, folders and Ray's actors share."""

from contextlib import contextmanager

import pytest

from iseg.errors import InputError, NotFinite
from iseg.work.trouble import MOST_IN_A_ROW, Failure, InARow, made_or_failure, read_or_failure
from iseg.work.worker import Worker


class Model:
    """A backbone that notes whether it computes in float32."""

    def __init__(self):
        self.backbone, self.wide = self, False

    @contextmanager
    def widened(self):
        self.wide = True
        yield
        self.wide = False


def worker(takes=99):
    """A worker on numbers, the sizes it was given, and the models it loaded. 0 is refused, 13 is not finite in half."""
    sizes, loaded = [], []

    def load():
        loaded.append(Model())
        return loaded[-1]

    def work(model, images):
        sizes.append(len(images))
        if len(images) > takes or "large" in images:
            raise MemoryError
        if 0 in images:
            raise InputError("a zero")
        if 13 in images and not model.wide:
            raise NotFinite("thirteen")
        if -1 in images:
            raise TypeError("a slip")
        return [2 * image for image in images]

    return Worker(load, work), sizes, loaded


def test_images_keep_their_order_and_only_the_one_to_blame_fails():
    made, sizes, loaded = worker()
    assert loaded == []
    assert list(made.each([1, 2, 0, 13])) == [(1, 2), (2, 4), (0, Failure("a zero")), (13, 26)]
    assert sizes == [4, 1, 1, 1, 1, 1]  # the last one twice
    assert list(made.each([])) == []
    assert list(made.each([4, 5])) == [(4, 8), (5, 10)]
    assert len(loaded) == 1
    with pytest.raises(TypeError):
        list(made.each([-1]))


def test_memory_decides_how_many_are_done_at_once_and_a_large_image_does_not(capsys):
    made, sizes, _ = worker(takes=2)
    assert [each for _, each in made.each([1, 2, 3, 4, 5])] == [2, 4, 6, 8, 10]
    assert sizes == [5, 2, 2, 1]
    assert "not enough memory for 5 images at once: 2 are tried" in capsys.readouterr().err
    large, second = made.each(["large", 1])
    assert large == ("large", Failure("not enough memory", memory=True))
    assert second == (1, 2)
    assert made.most == 2  # as before


def test_what_is_wrong_is_one_line_with_the_image_s_name_once():
    def refuse(error):
        raise error

    assert made_or_failure(lambda: refuse(MemoryError())) == Failure("not enough memory", memory=True)
    assert read_or_failure(lambda: refuse(OSError("no\nfile"))) == Failure("no file")
    assert Failure("a.png: broken").of("a.png") == "a.png: broken"
    assert Failure("broken").of("a.png") == "a.png: broken"
    for attempt in (made_or_failure, read_or_failure):
        with pytest.raises(TypeError):
            attempt(lambda: refuse(TypeError("a slip")))


def test_ten_failures_in_a_row_are_enough():
    row = InARow()
    assert not any(row.add(True) for _ in range(MOST_IN_A_ROW - 1))
    row.add(False)
    assert [row.add(True) for _ in range(MOST_IN_A_ROW)] == [False] * (MOST_IN_A_ROW - 1) + [True]
