"""Digits and typefaces: documented tensors, splits that do not overlap."""

from unmagic import data
from unmagic.data.splits import divide
from unmagic.data.type import FACE_NAMES, FACES, _glyphs

import pytest
import torch
from sklearn.datasets import load_digits


class TestDigits:
    def test_are_scikit_learns(self):
        """Every image of ours is one of theirs, with its label, once."""
        bunch = load_digits()
        theirs = sorted((*image.ravel(), label) for image, label in zip(bunch.images, bunch.target, strict=True))
        parts = [data.digits(split) for split in data.SPLITS]
        ours = sorted(
            (*(image * 16).flatten().tolist(), label.item()) for p in parts for image, label in zip(*p, strict=True)
        )
        assert ours == theirs
        assert [len(p.labels) for p in parts] == [1197, 300, 300]

    def test_have_the_documented_shapes_dtypes_and_ranges(self):
        images, labels = data.digits("validation")
        assert (images.shape, images.dtype) == ((300, 1, 8, 8), torch.float32)
        assert (labels.shape, labels.dtype) == ((300,), torch.int64)
        assert (images.min(), images.max()) == (0, 1) and set(labels.tolist()) == set(range(10))

    def test_no_image_is_in_two_splits(self):
        seen = [{image.numpy().tobytes() for image in data.digits(split).images} for split in data.SPLITS]
        assert len(set.union(*seen)) == sum(map(len, seen)) == 1797

    def test_a_seed_divides_them_in_its_own_way(self):
        assert torch.equal(data.digits("test").images, data.digits("test").images)
        assert not torch.equal(data.digits("test", seed=1).images, data.digits("test").images)

    def test_an_unknown_split_is_a_clear_error(self):
        with pytest.raises(ValueError, match="split is 'dev'; wanted one of 'train', 'validation', 'test'"):
            data.digits("dev")


class TestDivide:
    def test_pieces_are_a_partition(self):
        sizes = {"train": 7, "validation": 2, "test": 1}
        pieces = [divide(10, sizes, split, "key") for split in sizes]
        assert [len(p) for p in pieces] == [7, 2, 1]
        assert torch.cat(pieces).sort().values.tolist() == list(range(10))

    def test_sizes_that_do_not_add_up_are_refused(self):
        with pytest.raises(ValueError, match="hold 9 examples, the data set 10"):
            divide(10, {"train": 7, "validation": 1, "test": 1}, "test")


class TestTypefaces:
    def test_have_the_documented_shapes_dtypes_and_ranges(self):
        images, labels, faces = data.typefaces(700)
        assert (images.shape, images.dtype) == ((700, 1, 28, 28), torch.float32)
        assert (labels.shape, labels.dtype, faces.shape, faces.dtype) == ((700,), torch.int64, (700,), torch.int64)
        assert images.min() >= 0 and images.max() <= 1
        assert labels[:620].bincount().tolist() == [10] * 62

    def test_every_character_is_there_and_none_touches_the_border_before_it_is_moved(self):
        for split in data.SPLITS:
            glyphs = _glyphs(split)
            assert glyphs.sum((2, 3)).min() > 50
            assert (
                glyphs[..., 0].max()
                == glyphs[..., -1].max()
                == glyphs[..., 0, :].max()
                == glyphs[..., -1, :].max()
                == 0
            )

    def test_splits_are_families_of_type(self):
        used = [set(data.typefaces(1240, split=split).faces.tolist()) for split in data.SPLITS]
        assert [{FACE_NAMES[i] for i in faces} for faces in used] == [set(FACES[split]) for split in data.SPLITS]
        assert len(set.union(*used)) == sum(map(len, used))

    def test_no_glyph_of_one_split_is_drawn_the_same_in_another(self):
        seen = [{glyph.numpy().tobytes() for face in _glyphs(split) for glyph in face} for split in data.SPLITS]
        assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])

    def test_repeat_from_a_seed_and_the_first_of_more_are_the_same(self):
        first = data.typefaces(50, seed=3)
        assert all(torch.equal(a, b[:50]) for a, b in zip(first, data.typefaces(700, seed=3), strict=True))
        assert not torch.equal(first.images, data.typefaces(50, seed=4).images)
        assert len(data.typefaces(0).images) == 0

    def test_a_face_that_was_not_seen_can_be_read(self):
        """The nearest mean image of each character reads far more than one in 62 of the test's faces."""
        train, test = data.typefaces(6200), data.typefaces(620, split="test")
        means = torch.stack([train.images[train.labels == k].mean(0).flatten() for k in range(62)])
        read = torch.cdist(test.images.flatten(1), means).argmin(1)
        assert (read == test.labels).float().mean() > 0.4
