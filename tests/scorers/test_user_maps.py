"""UserMaps: the right map for each image, cropped like its view, or a clear refusal."""

import copy
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.registry import MODELS
from PIL import Image
from safetensors.torch import save_file

from mmattmask.masking import view_score
from mmattmask.scorers import UserMaps
from mmattmask.scorers.area import area_score

KINDS = ('folder', 'table', 'array')


def write(path, kind, maps: dict) -> UserMaps:
    """Store maps under their names, or in their order."""
    if kind == 'folder':
        for name, values in maps.items():
            file = path / f'{name}.npy'
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, values)
        return UserMaps(path)
    if kind == 'table':
        tensors = {k: torch.from_numpy(np.array(v)) for k, v in maps.items()}
        save_file(tensors, path / 'maps.safetensors')
        return UserMaps(str(path / 'maps.safetensors'))
    np.save(path / 'maps.npy', np.stack(list(maps.values())))
    return UserMaps(path / 'maps.npy')


def view(name='a', sample_idx=0, flip=None, box=(10.0, 20.0, 60.0, 50.0)):
    return SimpleNamespace(
        img_path=f'data/{name}.png',
        sample_idx=sample_idx,
        crop_box=box,
        ori_shape=(120, 100),
        flip=flip is not None,
        flip_direction=flip,
    )


def score_of(scorer, views, grid=(3, 5), patch_size=8):
    return scorer(torch.zeros(len(views), 3, 1, 1), views, grid, patch_size)


def expected(values, sample, grid=(3, 5), patch_size=8):
    flips = (sample.flip_direction == 'vertical', sample.flip_direction == 'horizontal')
    return view_score(
        torch.from_numpy(np.asarray(values, np.float32))[None],
        torch.tensor([sample.crop_box]),
        torch.tensor([sample.ori_shape]),
        torch.tensor([flips]),
        grid,
        samples=patch_size,
    )[0]


def random_map(seed, size=(6, 4), dtype=np.float32):
    values = np.random.default_rng(seed).random(size) * 200
    return (values > 100) if dtype is bool else values.astype(dtype)


@pytest.mark.parametrize(
    'dtype', [np.float16, np.float32, np.float64, np.uint8, np.int64, bool]
)
@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_and_type_gives_the_view_of_each_samples_map(tmp_path, kind, dtype):
    maps = {name: random_map(i, dtype=dtype) for i, name in enumerate('abc')}
    scorer = write(tmp_path, kind, maps)
    views = [view('c', 2, 'vertical'), view('a', 0), view('b', 1, 'horizontal')]
    score = score_of(scorer, views)
    assert (score.shape, score.dtype) == ((3, 15), torch.float32)
    for row, sample in zip(score, views, strict=True):
        values = maps['abc'[sample.sample_idx]]
        torch.testing.assert_close(row, expected(values, sample))


def test_bfloat16_which_numpy_lacks(tmp_path):
    values = torch.tensor([[0.0, 0.5], [1.0, 2.0]], dtype=torch.bfloat16)
    save_file({'a': values}, tmp_path / 'maps.safetensors')
    score = score_of(UserMaps(tmp_path / 'maps.safetensors'), [view()])
    torch.testing.assert_close(score[0], expected(values.float().numpy(), view()))


@pytest.mark.parametrize('kind', ['folder', 'table'])
def test_maps_of_different_sizes_share_a_batch_in_its_order(tmp_path, kind):
    sizes = [(14, 14), (60, 50), (1, 1), (14, 14), (3, 7), (60, 50)]
    maps = {f'n/{i}': random_map(i, size) for i, size in enumerate(sizes)}
    scorer = write(tmp_path, kind, maps)
    views = [view(f'n/{i}', flip='vertical' if i % 2 else None) for i in range(6)]
    score = score_of(scorer, views)
    for row, sample, values in zip(score, views, maps.values(), strict=True):
        torch.testing.assert_close(row, expected(values, sample))
        torch.testing.assert_close(row, score_of(scorer, [sample])[0])


@pytest.mark.parametrize('size', [(60, 80), (15, 20)], ids=['image', 'grid'])
@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_the_score_is_that_of_the_pixels_in_the_view(tmp_path, size, direction):
    """The map, as an image through the same pipeline, is cut to the same patches."""
    rows, columns = np.mgrid[:60, :80]
    content = (rows * 1.5 + columns + 20 * np.sin(columns / 7)).astype(np.uint8)
    Image.fromarray(content).save(tmp_path / 'photo.png')
    values = content.reshape(size[0], 60 // size[0], size[1], 80 // size[1])
    np.save(tmp_path / 'photo.npy', values.mean((1, 3)))
    pipeline = Compose(
        [
            dict(type='mmpretrain.LoadImageFromFile'),
            dict(
                type='mmattmask.RandomResizedCrop',
                scale=(24, 40),
                crop_ratio_range=(0.2, 0.9),
            ),
            dict(type='mmpretrain.RandomFlip', prob=0.6, direction=direction),
            dict(type='mmattmask.PackInputs'),
        ]
    )
    scorer, path = UserMaps(tmp_path), str(tmp_path / 'photo.png')
    packed = [pipeline(dict(img_path=path, sample_idx=0)) for _ in range(16)]
    assert len({sample['data_samples'].flip for sample in packed}) == 2
    score = score_of(scorer, [sample['data_samples'] for sample in packed], (3, 5))
    pixels = torch.stack([sample['inputs'][0].float() for sample in packed])
    patches = pixels.unflatten(2, (5, 8)).unflatten(1, (3, 8)).mean((2, 4)).flatten(1)
    # a crop's last pixels are its own in the view and blend with the next in the map
    torch.testing.assert_close(score, patches, rtol=0, atol=3.0)
    assert (score - patches.flip(1)).abs().mean() > 20


@pytest.mark.parametrize('kind', ['folder', 'table'])
@pytest.mark.parametrize(
    ('img_path', 'name'),
    [
        ('data/train/n01/x.JPEG', 'n01/x'),
        ('/n02/x.png', 'n02/x'),
        ('n01/y.z.jpg', 'n01/y.z'),
        ('deep/er/n01/x.JPEG', 'deep/er/n01/x'),
        ('data/n09/flat.jpg', 'flat'),
        ('flat', 'flat'),
    ],
)
def test_the_longest_name_the_path_ends_with_wins(tmp_path, kind, img_path, name):
    names = ['n01/x', 'n02/x', 'n01/y.z', 'deep/er/n01/x', 'er/n01/x', 'flat', 'lat']
    maps = {name: np.full((2, 3), float(i)) for i, name in enumerate(names)}
    scorer = write(tmp_path, kind, maps)
    sample = view()
    sample.img_path = img_path
    assert score_of(scorer, [sample])[0, 0].round() == names.index(name)
    assert scorer.missing([img_path]) == []


@pytest.mark.parametrize('kind', ['folder', 'table'])
def test_an_image_without_a_map_is_named(tmp_path, kind):
    scorer = write(tmp_path, kind, {'n01/x': np.ones((2, 2)), 'n02/x': np.ones((2, 2))})
    paths = ['d/n01/x.png', 'd/n03/x.png', 'd/n02/x.png', 'd/n01/z.png', None]
    missing = ['d/n03/x.png', 'd/n01/z.png', 'sample 4 (without a path)']
    assert scorer.missing(paths) == missing
    # a folder of another name is another image: its map is never taken
    message = r'n03/x\.png has no map: .*none of n03/x, x; of that stem .* n01/x, n02/x'
    with pytest.raises(ValueError, match=message):
        score_of(scorer, [view('n01/x'), view('n03/x')])
    with pytest.raises(ValueError, match=r'data/z\.png has no map'):
        score_of(scorer, [view('z')])
    sample = view()
    del sample.img_path
    with pytest.raises(ValueError, match=r'no img_path: use one \.npy file'):
        score_of(scorer, [sample])


def test_one_map_for_two_images_is_refused_with_both(tmp_path):
    scorer = write(tmp_path, 'folder', {'x': np.ones((2, 2))})
    assert scorer.missing(['a/x.png', 'a/x.png']) == []  # one image, listed twice
    message = r'map x of .* two images, a/x\.png and b/x\.png'
    with pytest.raises(ValueError, match=message):
        scorer.missing(['a/x.png', 'b/x.png'])


def test_an_array_has_a_row_for_every_sample(tmp_path):
    scorer = write(tmp_path, 'array', {k: np.ones((2, 2)) for k in 'abc'})
    assert scorer.missing([None, 'b', 'c']) == []
    assert scorer.missing([None, 'b', 'c', 'd.png', None]) == ['d.png', 'sample 4']
    with pytest.raises(ValueError, match=r'holds 3 maps .* there are 2 images'):
        scorer.missing(['a', 'b'])
    for idx in (3, -1, None):
        with pytest.raises(ValueError, match=f'sample_idx is {idx}, .* holds 3 maps'):
            score_of(scorer, [view(sample_idx=idx)])


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, -0.001])
@pytest.mark.parametrize('kind', KINDS)
def test_values_that_are_no_scores_are_refused_with_the_maps_name(
    tmp_path, kind, value
):
    maps = {name: np.ones((3, 4)) for name in ('good', 'n01/bad')}
    maps['n01/bad'][1, 2] = value
    scorer = write(tmp_path, kind, maps)
    score_of(scorer, [view('good', 0)])
    label = 'sample 1' if kind == 'array' else 'n01/bad'
    with pytest.raises(ValueError, match=f'map .*{label}.*negative, infinite or undef'):
        score_of(scorer, [view('good', 0), view('n01/bad', 1)])


def test_large_integers_below_zero_are_refused_too(tmp_path):
    scorer = write(tmp_path, 'folder', {'a': np.array([[1, -1]])})
    with pytest.raises(ValueError, match='negative'):
        score_of(scorer, [view()])


@pytest.mark.parametrize(
    'content',
    [b'', b'no numpy file', pickle.dumps([1, 2])],
    ids=['empty', 'text', 'pickle'],
)
def test_a_damaged_file_is_named(tmp_path, content):
    for name in ('folder/a.npy', 'maps.npy', 'maps.safetensors'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r'folder/a\.npy cannot be read'):
        score_of(UserMaps(tmp_path / 'folder'), [view()])
    for name in ('maps.npy', 'maps.safetensors'):
        with pytest.raises(ValueError, match=f'{name} cannot be read'):
            UserMaps(tmp_path / name)


def test_paths_that_hold_no_maps_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'there are no maps at .*nowhere'):
        UserMaps(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match='holds no map'):
        UserMaps(tmp_path)
    (tmp_path / 'maps.pth').touch()
    with pytest.raises(ValueError, match=r'a folder of \.npy files, .*maps\.pth'):
        UserMaps(tmp_path / 'maps.pth')
    np.save(tmp_path / 'flat.npy', np.ones((5, 196)))
    with pytest.raises(ValueError, match=r'\(N, h, w\) numbers, got \(5, 196\)'):
        UserMaps(tmp_path / 'flat.npy')


def header_of_a_trillion(path):
    """A file that claims to hold 10 ** 12 cells."""
    with path.open('wb') as file:
        header = dict(descr='<f4', fortran_order=False, shape=(10**6, 10**6))
        np.lib.format.write_array_header_1_0(file, header)


def archive(path):
    with path.open('wb') as file:
        np.savez(file, np.ones((3, 3)))


def torn(path):
    np.save(path, np.ones((9, 9)))
    path.write_bytes(path.read_bytes()[:-5])


FAULTS = {
    'nan': (lambda path: np.save(path, np.full((3, 3), np.nan)), 'undefined'),
    'inf': (lambda path: np.save(path, np.full((3, 3), np.inf)), 'infinite'),
    'negative': (lambda path: np.save(path, -np.ones((3, 3))), 'negative'),
    'large_nan': (lambda path: np.save(path, np.full((99, 80), np.nan)), 'undefined'),
    'rank': (lambda path: np.save(path, np.ones((3, 3, 1))), r'got \(3, 3, 1\)'),
    'no_cells': (lambda path: np.save(path, np.ones((0, 3))), 'cannot be read|got'),
    'complex': (lambda path: np.save(path, np.ones((3, 3), complex)), 'complex'),
    'objects': (lambda path: np.save(path, np.array([[None]])), 'objects'),
    'pickle': (lambda path: path.write_bytes(pickle.dumps([1])), 'cannot be read'),
    'no_bytes': (lambda path: path.write_bytes(b''), 'cannot be read'),
    'torn': (torn, 'cannot be read.*size'),
    'npz': (archive, 'npz archive'),
    'trillion': (header_of_a_trillion, 'cannot be read.*size'),
}


@pytest.mark.parametrize('kind', FAULTS)
def test_a_fault_is_found_before_training_and_named(tmp_path, kind):
    spoil, message = FAULTS[kind]
    scorer = write(tmp_path, 'folder', {k: np.ones((2, 2)) for k in 'abc'})
    spoil(tmp_path / 'b.npy')
    faults = list(scorer.faults(['a.png', 'b.png', 'c.png'], range(3)))
    assert faults[0] is faults[2] is None
    assert re.search(rf'b\.npy .*({message})', faults[1])
    with pytest.raises(ValueError, match=message):  # and nothing else in a run
        score_of(scorer, [view('b')])


def test_an_archive_under_the_name_of_an_array(tmp_path):
    archive(tmp_path / 'maps.npy')
    with pytest.raises(ValueError, match=r'maps\.npy cannot be read: .*npz archive'):
        UserMaps(tmp_path / 'maps.npy')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('orientation', [1, 6])
def test_maps_turned_on_their_side_are_refused(tmp_path, kind, orientation):
    """Made without ImageOps.exif_transpose, or with the sides exchanged."""
    photo = Image.new('RGB', (100, 80))  # as stored
    exif = photo.getexif()
    exif[0x0112] = orientation
    photo.save(tmp_path / 'a.jpg', exif=exif)
    shown = (100, 80) if orientation == 6 else (80, 100)
    path = str(tmp_path / 'a.jpg')
    folder = tmp_path / 'maps'
    folder.mkdir()
    for size, right in ((shown, True), (shown[::-1], False)):
        scorer = write(folder, kind, {'a': np.ones(size)})
        sample = view('a')
        sample.ori_shape = shown
        (fault,) = scorer.faults([path], range(1))
        if right:
            assert fault is None
            score = score_of(scorer, [sample])
            torch.testing.assert_close(score, torch.ones_like(score))
        else:
            message = rf'{size[0]} x {size[1]}, its image {shown[0]} x {shown[1]}.*exif'
            assert re.search(message, fault)
            with pytest.raises(ValueError, match=message):
                score_of(scorer, [sample])
    (fault,) = scorer.faults([path], range(1), follows_exif=False)
    assert (fault is None) == (orientation == 6)


def test_many_sizes_in_a_batch_are_many_areas(tmp_path):
    """Each from its own map, in the order of the batch, beside small grids."""
    sizes = [(90 + i, 200 - i) for i in range(20)] + [(6, 4)] * 4
    maps = {f'm{i}': random_map(i, size) for i, size in enumerate(sizes)}
    scorer = write(tmp_path, 'folder', maps)
    views = [view(name, flip='vertical' if i % 2 else None)
             for i, name in enumerate(maps)]  # fmt: skip
    for sample, size in zip(views, sizes, strict=True):
        sample.ori_shape = size if size[0] > 64 else (120, 100)
    score = score_of(scorer, views)
    for row, sample, values in zip(score, views, maps.values(), strict=True):
        alone = score_of(scorer, [sample])[0]
        assert torch.equal(row, alone)
        flips = (sample.flip_direction == 'vertical', False)
        if values.shape[0] > 64:
            mean = area_score(values, sample.crop_box, sample.ori_shape, flips, (3, 5))
            assert torch.equal(row, torch.from_numpy(mean))
        # bilinear points say the same within a few percent of the range
        wanted = expected(values, sample)
        torch.testing.assert_close(row, wanted, rtol=0, atol=12.0)


def test_the_folder_is_listed_once(tmp_path):
    scorer = write(tmp_path, 'folder', {'a': np.ones((2, 2))})
    np.save(tmp_path / 'late.npy', np.ones((2, 2)))
    assert scorer.missing(['late.png']) == ['late.png']


@pytest.mark.parametrize('kind', KINDS)
def test_copies_share_the_files_and_pickles_leave_them_where_they_are(tmp_path, kind):
    maps = {name: random_map(i, (64, 64)) for i, name in enumerate('ab')}
    scorer = write(tmp_path, kind, maps)
    assert copy.deepcopy(scorer).files is scorer.files
    pickled = pickle.dumps(scorer)
    assert len(pickled) < 2 * 64 * 64 * 4
    views = [view('b', 1), view('a', 0)]
    again = score_of(pickle.loads(pickled), views)
    assert torch.equal(again, score_of(scorer, views))


def test_nothing_of_it_is_in_checkpoints_and_no_refresh_is_needed(tmp_path):
    np.save(tmp_path / 'maps.npy', np.ones((2, 3, 3)))
    path = str(tmp_path / 'maps.npy')
    scorer = MODELS.build(dict(type='mmattmask.UserMaps', path=path))
    assert isinstance(scorer, UserMaps)
    assert scorer.state_dict() == {}
    assert list(scorer.parameters()) == []
    assert not scorer.cached
    assert not scorer.measures
    assert repr(scorer) == f'UserMaps(path={path!r})'


def test_autocast_does_not_coarsen_the_score(tmp_path):
    values = random_map(0)
    scorer = write(tmp_path, 'folder', {'a': values})
    with torch.autocast('cpu', dtype=torch.bfloat16):
        score = score_of(scorer, [view()])
    torch.testing.assert_close(score[0], expected(values, view()), rtol=1e-6, atol=0)
