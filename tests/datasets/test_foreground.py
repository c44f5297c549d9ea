"""Readers of annotated images, and foreground from pixels to patches."""

import csv
import json

import mmcv
import numpy as np
import pytest
from PIL import Image

from mmattmask.datasets.foreground import (
    AnnotatedImage,
    patch_mask,
    read_coco,
    read_index,
    read_label_maps,
    read_mask_folder,
    read_picture,
)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)
    return path


def photo(path, height=6, width=8, **options):
    return save(path, np.full((height, width, 3), 90), **options)


def mask_of(height=6, width=8, value=255):
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[1:4, 2:5] = value
    return mask


def test_mask_folder(tmp_path):
    photo(tmp_path / 'images' / 'a' / '1.jpg')
    photo(tmp_path / 'images' / 'unused.jpg')
    save(tmp_path / 'masks' / 'a' / '1.png', mask_of())
    (sample,) = read_mask_folder(tmp_path / 'images', tmp_path / 'masks')
    image, mask = sample.load()
    assert image.mode == 'RGB'
    assert image.size == (8, 6)
    np.testing.assert_array_equal(mask, mask_of() > 0)


@pytest.mark.parametrize('mode', ['L', '1', 'P', 'RGB', 'RGBA'])
def test_masks_of_any_mode(tmp_path, mode):
    photo(tmp_path / 'images' / '1.jpg')
    (tmp_path / 'masks').mkdir()
    mask = Image.fromarray(mask_of(value=1 if mode == 'P' else 255))
    if mode == 'P':
        mask.putpalette([0, 0, 0, 0, 0, 128])
    mask.convert(mode).save(tmp_path / 'masks' / '1.png')
    (sample,) = read_mask_folder(tmp_path / 'images', tmp_path / 'masks')
    np.testing.assert_array_equal(sample.load()[1], mask_of() > 0)


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    photo(tmp_path / 'images' / '1.jpg', height=8, width=6, exif=exif)
    save(tmp_path / 'masks' / '1.png', mask_of())
    (sample,) = read_mask_folder(tmp_path / 'images', tmp_path / 'masks')
    assert sample.load()[0].size == (8, 6)


@pytest.mark.parametrize('name', ['deep.png', 'deep.tif'])
@pytest.mark.parametrize('order', ['<u2', '>u2'])
def test_sixteen_bits_are_those_that_training_sees(tmp_path, name, order):
    path = tmp_path / name
    values = np.linspace(0, 65535, 48).reshape(6, 8).astype(order)
    Image.fromarray(values).save(path)
    image, _ = AnnotatedImage(path, path, lambda: mask_of() > 0).load()
    np.testing.assert_array_equal(image, mmcv.imread(str(path), 'color'))
    assert len(image.getcolors()) == 48


@pytest.mark.parametrize('values', [np.float32([[0, 1]]), np.int32([[-1, 70000]])])
def test_numbers_without_a_range_are_refused(tmp_path, values):
    path = tmp_path / 'numbers.tif'
    Image.fromarray(values).save(path)
    with pytest.raises(ValueError, match=r'numbers.tif holds .* numbers from .* to '):
        read_picture(path)


@pytest.mark.parametrize('above', [False, True])
def test_index(tmp_path, above):
    folder = tmp_path / 'set'
    for number in range(3):
        photo(folder / f'{number}.jpg')
        save(folder / f'{number}.png', mask_of())
    prefix = 'set/' if above else ''
    rows = [['split', 'image', 'mask']] + [
        [split, f'{prefix}{number}.jpg', f'{prefix}{number}.png']
        for number, split in enumerate(['select', 'eval', 'select'])
    ]
    with (folder / 'index.csv').open('w', newline='') as file:
        csv.writer(file).writerows(rows)
    samples = read_index(folder / 'index.csv', dict(split='select'))
    assert [sample.path.name for sample in samples] == ['0.jpg', '2.jpg']
    assert samples[1].load()[1].sum() == 9
    assert len(read_index(folder / 'index.csv')) == 3
    with pytest.raises(ValueError, match="no column 'set'"):
        read_index(folder / 'index.csv', dict(set='coco'))
    with pytest.raises(ValueError, match=r"no row with \{'split': 'test'\}"):
        read_index(folder / 'index.csv', dict(split='test'))


def test_label_maps(tmp_path):
    labels = np.repeat(np.arange(4, dtype=np.uint8), 12).reshape(6, 8)
    photo(tmp_path / 'images' / 'training' / 'x.jpg')
    save(tmp_path / 'labels' / 'training' / 'x.png', labels)
    folders = tmp_path / 'images', tmp_path / 'labels'
    (some,) = read_label_maps(*folders, foreground=[1, 3])
    np.testing.assert_array_equal(some.load()[1], np.isin(labels, [1, 3]))
    (all_but,) = read_label_maps(*folders, background=[0])
    np.testing.assert_array_equal(all_but.load()[1], labels != 0)
    for wrong in (dict(), dict(foreground=[1], background=[0])):
        with pytest.raises(ValueError, match='either the foreground or the background'):
            read_label_maps(*folders, **wrong)


@pytest.fixture
def coco(tmp_path):
    """A COCO file of two images: cat and dog with a crowd, and nothing."""
    for name in ('1.jpg', '2.jpg'):
        photo(tmp_path / 'images' / name, 40, 60)

    def instance(number, category, box, **changes):
        x, y, w, h = box
        triangle = [x, y, x + w, y, x, y + h]
        item = dict(id=number, image_id=1, category_id=category, bbox=box, iscrowd=0)
        return dict(item, **dict(dict(segmentation=[triangle]), **changes))

    crowd = dict(iscrowd=1, segmentation=dict(counts=[5, 9], size=[40, 60]))
    content = dict(
        images=[
            dict(id=1, file_name='1.jpg', height=40, width=60),
            dict(id=2, file_name='2.jpg', height=40, width=60),
        ],
        categories=[dict(id=7, name='cat'), dict(id=9, name='dog')],
        annotations=[
            instance(1, 7, [5, 5, 20, 20]),
            instance(2, 9, [40, 10, 10, 20]),
            instance(3, 9, [0, 0, 60, 40], **crowd),
        ],
    )

    def write(**changes):
        path = tmp_path / 'instances.json'
        path.write_text(json.dumps(dict(content, **changes)))
        return path, tmp_path / 'images'

    write.content = content
    return write


def test_coco(coco):
    samples = read_coco(*coco())
    polygons, nothing = (sample.load()[1] for sample in samples)
    assert not nothing.any()
    triangles = (20 * 20 + 10 * 20) / 2
    outlines = (20 + 20 + 28) + (10 + 20 + 22)
    assert triangles <= polygons.sum() <= triangles + outlines
    assert polygons[6, 6]
    assert not polygons[24, 24]
    boxes = read_coco(*coco(), shapes='boxes')[0].load()[1]
    assert boxes[24, 24]
    assert boxes.sum() == pytest.approx(2 * triangles, rel=0.15)
    cats = read_coco(*coco(), shapes='boxes', categories=['cat'])[0].load()[1]
    assert cats[10, 10]
    assert not cats[20, 45]


def test_coco_errors(coco):
    path, images = coco()
    with pytest.raises(ValueError, match=r"no category 'cow' but \['cat', 'dog'\]"):
        read_coco(path, images, categories=['cow'])
    with pytest.raises(ValueError, match="shapes must be 'polygons' or 'boxes'"):
        read_coco(path, images, shapes='masks')
    encoded = dict(coco.content['annotations'][0], segmentation=dict(counts='a'))
    path, images = coco(annotations=[encoded])
    with pytest.raises(ValueError, match='annotation 1 has no polygons'):
        read_coco(path, images)
    assert read_coco(path, images, shapes='boxes')[0].load()[1].any()
    path.write_text('[1, 2]')
    with pytest.raises(ValueError, match="not in COCO's format"):
        read_coco(path, images)


def test_patch_mask_counts_area():
    mask = np.zeros((6, 8), dtype=bool)
    mask[:3, :5] = True  # patch (0, 0) in full, a quarter of (0, 1)
    grid = (2, 2)
    expected = {0.25: [1, 1, 0, 0], 0.26: [1, 0, 0, 0], 1.0: [1, 0, 0, 0]}
    for coverage, patches in expected.items():
        np.testing.assert_array_equal(patch_mask(mask, grid, coverage), patches)


def test_patch_mask_of_sizes_that_do_not_divide():
    rng = np.random.default_rng(0)
    mask = rng.random((10, 7)) < 0.5
    fine = np.kron(mask, np.ones((3 * 4, 3 * 4)))  # every patch on whole pixels
    cells = fine.reshape(4, 30, 3, 28).mean(axis=(1, 3))
    for coverage in (0.4, 0.5, 0.6):
        expected = (cells >= coverage).reshape(-1)
        np.testing.assert_array_equal(patch_mask(mask, (4, 3), coverage), expected)
    assert patch_mask(np.ones((3, 3), dtype=bool), (14, 14), 1.0).all()
    assert not patch_mask(np.zeros((30, 40), dtype=bool), (14, 14)).any()


@pytest.mark.parametrize('coverage', [0, 1.1, -0.5])
def test_bad_coverage(coverage):
    with pytest.raises(ValueError, match=r'coverage must be in \(0, 1\]'):
        patch_mask(np.ones((4, 4), dtype=bool), (2, 2), coverage)


def test_files_that_do_not_fit(tmp_path):
    photo(tmp_path / 'images' / '1.jpg')
    save(tmp_path / 'masks' / '1.png', mask_of(9, 7))
    folders = tmp_path / 'images', tmp_path / 'masks'
    with pytest.raises(ValueError, match=r'1\.jpg is 8 x 6 px .*1\.png 7 x 9 px'):
        read_mask_folder(*folders)[0].load()
    (tmp_path / 'masks' / '1.png').write_bytes(b'not a picture')
    with pytest.raises(ValueError, match=r'masks/1\.png cannot be read as an image'):
        read_mask_folder(*folders)[0].load()
    (tmp_path / 'masks' / '1.png').rename(tmp_path / 'masks' / '2.png')
    with pytest.raises(ValueError, match=r'there is no image for .*2\.png'):
        read_mask_folder(*folders)
    photo(tmp_path / 'images' / '1.png')
    with pytest.raises(ValueError, match='have the same name'):
        read_mask_folder(*folders)
    with pytest.raises(ValueError, match='there is no PNG file in'):
        read_mask_folder(tmp_path / 'images' / 'none', tmp_path / 'none')


def test_drawn_polygons_are_the_masks_of_the_data(data_folder):
    images = data_folder / 'coco_mini'
    instances = images / 'annotations' / 'instances_train2017.json'
    drawn = {
        sample.path.stem: sample
        for sample in read_coco(instances, images / 'train2017')
    }
    where = dict(set='coco', split='select')
    masks = read_index(data_folder / 'fg_masks' / 'index.csv', where)
    assert len(masks) == len(drawn) == 64
    for sample in masks[:12]:
        ours = drawn[sample.path.stem].load()[1]
        theirs = sample.load()[1]
        assert (ours & theirs).sum() >= 0.95 * (ours | theirs).sum(), sample.path
