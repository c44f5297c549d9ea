"""Labelled images for evaluation: views, classes, subsets, random views."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from mmpretrain.datasets import CIFAR10, CustomDataset
from PIL import Image

from mmattmask.evaluation.eval_data import (
    LabelledImages,
    RandomViews,
    check_same_classes,
    first_of_each_class,
    labelled_images,
    random_view,
    steps_of,
    whole_view,
)

from ..engine.toy_run import write_images


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'), count=6)


def custom(data_root, transforms, size, **options):
    config = dict(type='mmpretrain.CustomDataset', data_root=str(data_root))
    return labelled_images(config, transforms, size, **options)


def test_the_view_of_evaluation_is_that_of_pillow(tmp_path):
    """Shorter side to 20 px, bicubic, then the centre 16 px."""
    (tmp_path / 'a').mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a' / '0.png')
    data = custom(tmp_path, whole_view((16, 16), resize=20), (16, 16))
    image, index, label, error = data.images[0]
    resized = Image.fromarray(pixels).resize((30, 20), Image.Resampling.BICUBIC)
    expected = np.asarray(resized.crop((7, 2, 23, 18)))
    assert (index, label, error) == (0, 0, '')
    assert not data.rgb
    np.testing.assert_array_equal(image.flip(0).permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize(
    ('size', 'resize'), [((224, 224), 256), ((448, 448), 512), ((32, 32), 32)]
)
def test_the_default_resize_leaves_small_images_whole(size, resize):
    edge, crop = whole_view(size)
    assert (edge['scale'], crop['crop_size']) == (resize, size[0])


@pytest.mark.parametrize('view', [whole_view, random_view])
def test_views_need_not_be_square(data_root, view):
    data = custom(data_root, view((12, 20)), (12, 20))
    assert data.images[0][0].shape == (3, 12, 20)


def test_impossible_views():
    with pytest.raises(ValueError, match='crop 32 px out of a resized side of 30'):
        whole_view((32, 32), resize=30)
    with pytest.raises(ValueError, match=r'--resize 40 needs a square size'):
        whole_view((32, 64), resize=40)


def test_subset_is_the_first_of_every_class(data_root):
    assert first_of_each_class([1, 0, 1, 1, 0, 2], 2) == [0, 1, 2, 4, 5]
    with pytest.raises(ValueError, match='got 0'):
        first_of_each_class([1, 0], 0)
    data = custom(data_root, whole_view((8, 8)), (8, 8), subset=2)
    assert data.labels.tolist() == [0, 0, 1, 1]
    whole = custom(data_root, whole_view((8, 8)), (8, 8))
    assert torch.equal(data.images[2][0], whole.images[3][0])
    assert data.fingerprint != whole.fingerprint


def test_images_without_labels_are_refused(data_root):
    config = dict(type='mmpretrain.CustomDataset', with_label=False)
    config['data_root'] = str(data_root)
    with pytest.raises(ValueError, match='has 6 images, 6 of them without a class'):
        labelled_images(config, whole_view((8, 8)), (8, 8))


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / 'list.txt').write_text('nowhere.png 0\n')
    config = dict(type='mmpretrain.CustomDataset', ann_file='list.txt')
    config['data_root'] = str(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'no image .*nowhere\.png'):
        labelled_images(config, whole_view((8, 8)), (8, 8))


def test_a_wrapped_dataset_is_unwrapped(data_root):
    config = dict(type='mmpretrain.CustomDataset', data_root=str(data_root))
    repeated = dict(type='RepeatDataset', times=3, dataset=config)
    assert len(labelled_images(repeated, whole_view((8, 8)), (8, 8))) == 6
    five = dict(type='mmattmask.FirstPerClass', images_per_class=2, dataset=config)
    assert len(labelled_images(five, whole_view((8, 8)), (8, 8))) == 4
    folds = [
        labelled_images(
            dict(
                type='mmpretrain.KFoldDataset',
                num_splits=3,
                test_mode=test,
                dataset=config,
            ),
            whole_view((8, 8)),
            (8, 8),
        )
        for test in (False, True)
    ]
    assert list(map(len, folds)) == [4, 2]
    assert (
        sorted(torch.cat([fold.labels for fold in folds]).tolist()) == [0] * 3 + [1] * 3
    )
    check_same_classes(*folds)
    joined = dict(type='mmattmask.ConcatDataset', datasets=[config, repeated])
    with pytest.raises(ValueError, match='2 datasets are joined: evaluation takes one'):
        labelled_images(joined, whole_view((8, 8)), (8, 8))


@TRANSFORMS.register_module(force=True)
class Negative:
    """A step of a user's own."""

    def __call__(self, results):
        results['img'] = results['img'].max() - results['img']
        return results


def test_images_are_loaded_as_in_training(tmp_path):
    """16 bits stay so, and steps of the user's own are done."""
    (tmp_path / 'a').mkdir()
    pixels = np.random.default_rng(0).integers(0, 60_000, (16, 16), dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / 'a' / '0.png')
    steps = [
        dict(type='LoadImageFromFile', color_type='unchanged'),
        dict(type='Negative'),
        dict(type='RandomResizedCrop', scale=16),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]
    view = [dict(type='mmcv.CenterCrop', crop_size=16)]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        image, *_ = custom(tmp_path, view, (16, 16), steps=steps).images[0]
        stock, *_ = custom(tmp_path, view, (16, 16)).images[0]
    assert image.dtype != stock.dtype == torch.uint8
    expected = torch.from_numpy((pixels.max() - pixels).astype(np.int64))
    assert torch.equal(image[0].to(torch.int64), expected)
    assert steps_of(dict(train_dataloader=dict(dataset=dict(pipeline=steps)))) == steps
    assert not steps_of({})


def test_arrays_that_are_read_later_are_told_apart(tmp_path):
    """By what they are, for the list of images does not hold them."""

    @DATASETS.register_module(force=True)
    class Later(CustomDataset):
        def get_data_info(self, idx):
            info = super().get_data_info(idx)
            return dict(info, img=np.load(info.pop('img_path')))

    found = []
    for value in (1, 2, 2):
        (tmp_path / 'a').mkdir(exist_ok=True)
        np.save(tmp_path / 'a' / '0.npy', np.full((8, 8, 3), value, np.uint8))
        config = dict(type='Later', data_root=str(tmp_path), extensions=('.npy',))
        found.append(labelled_images(config, whole_view((8, 8)), (8, 8)).fingerprint)
    assert found[0] != found[1] == found[2]


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR-10's files with three images each."""
    folder = tmp_path / 'cifar-10-batches-py'
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name in [f'data_batch_{number}' for number in range(1, 6)] + ['test_batch']:
        pixels = draw.integers(0, 256, (3, 3072), dtype=np.uint8)
        content = dict(data=pixels, labels=[0, 1, 2])
        (folder / name).write_bytes(pickle.dumps(content))
    meta = dict(label_names=list('abcdefghij'))
    (folder / 'batches.meta').write_bytes(pickle.dumps(meta))
    # their checksums are those of the true images
    monkeypatch.setattr(CIFAR10, '_check_integrity', lambda self: True)
    monkeypatch.setattr(CIFAR10, '_load_meta', lambda self: None)
    return tmp_path


def test_arrays_of_cifar_are_rgb(cifar):
    def load():
        config = dict(type='mmpretrain.CIFAR10', data_root=str(cifar), split='test')
        return labelled_images(config, whole_view((32, 32)), (32, 32))

    data, path = load(), cifar / 'cifar-10-batches-py' / 'test_batch'
    content = pickle.loads(path.read_bytes())
    assert data.rgb
    assert data.labels.tolist() == [0, 1, 2]
    expected = torch.from_numpy(content['data'][1]).view(3, 32, 32)
    assert torch.equal(data.images[1][0], expected)
    assert load().fingerprint == data.fingerprint
    content['data'][2, 5] += 1
    path.write_bytes(pickle.dumps(content))
    assert load().fingerprint != data.fingerprint


def labels_only(labels, classes=()):
    paths = np.zeros(len(labels), np.int64)
    return LabelledImages(None, torch.tensor(labels), classes, False, '', paths)


def test_no_image_is_learnt_from_and_classified(data_root):
    """With k = 1 each would find itself."""
    whole = custom(data_root, whole_view((8, 8)), (8, 8))
    with pytest.raises(ValueError, match=r'4 of 4 validation .* such as .*000\.png'):
        check_same_classes(
            whole, custom(data_root, whole_view((8, 8)), (8, 8), subset=2)
        )


def test_classes_must_be_the_same():
    cats, dogs = labels_only([0, 1], ('a', 'cat')), labels_only([0, 1], ('a', 'dog'))
    check_same_classes(cats, labels_only([1], ('a', 'cat')))
    with pytest.raises(ValueError, match=r'has 2 classes .* 2, not the same: cat, dog'):
        check_same_classes(cats, dogs)
    with pytest.raises(ValueError, match=r'1 classes .* no training image: \[4\]'):
        check_same_classes(cats, labels_only([0, 4]))


def test_a_random_view_depends_on_seed_epoch_and_image_only(data_root):
    data = custom(data_root, random_view((8, 8)), (8, 8))
    views = RandomViews(data, seed=1)
    one = views[0, 2][0]
    np.random.seed(5)  # noqa: NPY002
    views[3, 1]
    assert torch.equal(views[0, 2][0], one)
    assert not torch.equal(views[1, 2][0], one)
    assert not torch.equal(RandomViews(data, seed=2)[0, 2][0], one)
