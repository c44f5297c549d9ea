"""From a finished run to an entry of the zoo."""

import copy
import json
import shutil

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from mmattmask.cli.publish import main
from mmattmask.export import read_state_dict
from mmattmask.zoo import entries
from mmattmask.zoo import publish as publishing
from mmattmask.zoo.publish import check_results, publish_model, shortened
from mmattmask.zoo.table import render
from tests.config_building import ROOT, build_model

from .conftest import NAME, RESULTS


def test_files_of_an_entry(published, run, zoo):
    files = {path.name for path in (zoo / NAME).iterdir()}
    assert files == {
        *('metafile.yml', f'{NAME}.py', f'{NAME}.safetensors', f'{NAME}.log.json')
    }
    assert [path.name for path in zoo.iterdir()] == [NAME]
    scalars = [json.loads(line) for line in published.entry.log.open()]
    assert len(scalars) == 2
    assert all('loss' in row for row in scalars)


def test_weights_are_those_of_the_run_without_anything_else(published, run):
    trained = read_state_dict(run[1])
    saved = load_file(published.entry.weights)
    assert saved.keys() == trained.keys()
    for name, value in saved.items():
        assert torch.equal(value, trained[name]), name
    with safe_open(published.entry.weights, 'pt') as file:
        assert set(file.metadata()) == {'format', 'written_by'}
    assert published.entry.weights.stat().st_size < run[1].stat().st_size / 2
    assert (published.precision, published.difference) == ('float32', 0)


def test_metafile(published, zoo):
    content = yaml.safe_load((zoo / NAME / 'metafile.yml').read_text())
    (model,) = content['Models']
    data = model['Metadata']
    assert (data['Epochs'], data['Batch Size']) == (2, 8)
    assert data['Bytes'] == published.entry.weights.stat().st_size
    parameters = sum(v.numel() for v in load_file(published.entry.weights).values())
    assert data['Parameters'] == parameters
    assert data['Source Config'] == 'small.py'
    assert published.entry.metrics == {'k-NN top-1, k = 10': 12.5, 'linear top-1': 13}
    assert published.entry.provenance == (
        '8 images of noise; 2 epochs, 3 seconds; on 1 core; k-NN top-1, k = 10: 12.5, '
        'linear top-1: 13'
    )


def test_nothing_of_the_machine_is_in_an_entry(published, run, zoo):
    dumped = run[1].parent / 'small.py'  # MMEngine's, with the images' folder in it
    assert str(run[1].parents[1]) in dumped.read_text()
    entry = publish_model(run[1], 'other', dumped, RESULTS).entry
    assert "data_root='images'" in entry.config.read_text()
    for path in zoo.rglob('*'):
        if path.is_file():
            assert str(run[1].parents[1]).encode() not in path.read_bytes(), path
            assert str(ROOT).encode() not in path.read_bytes(), path


def test_absolute_paths_become_their_last_part():
    value = {'a': ['/data/x', ('rel/y', 3)], 'b': {'c': '/z', 'd': None}}
    assert shortened(value) == {'a': ['x', ('rel/y', 3)], 'b': {'c': 'z', 'd': None}}


def test_half_precision_where_float32_is_too_large(run, zoo, monkeypatch):
    config, checkpoint = run
    full = publish_model(checkpoint, NAME, config, RESULTS).size
    monkeypatch.setattr(publishing, 'MAX_BYTES', full - 1)
    half = publish_model(checkpoint, NAME, config, RESULTS, force=True)
    assert half.precision == half.entry.metadata['Precision'] == 'float16'
    assert half.size < 0.6 * full
    assert 0 < half.difference < 1e-2
    monkeypatch.setattr(publishing, 'MAX_BYTES', 1000)
    message = r'take 0\.\d+ MB in float32, 0\.\d+ MB in float16; at most 0.001 MB'
    with pytest.raises(ValueError, match=message):
        publish_model(checkpoint, 'other', config, RESULTS)
    assert entries.list_models() == [NAME]
    with pytest.raises(ValueError, match=r'take 0\.\d+ MB in float32; at most'):
        publish_model(checkpoint, 'other', config, RESULTS, precision='float32')


def test_real_limit_refuses_a_vit_tiny_of_12_blocks(tmp_path, zoo, run):
    from tests.config_building import load

    name = 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
    state = build_model(load(name)).state_dict()
    state = {key: torch.zeros(value.shape) for key, value in state.items()}
    torch.save({'state_dict': state}, tmp_path / 'large.pth')
    log = next(run[1].parent.glob('*/vis_data/scalars.json'))
    with pytest.raises(ValueError, match=r'take 2\d\.\d+ MB in float32, 1\d\.'):
        publish_model(tmp_path / 'large.pth', 'large', ROOT / name, RESULTS, log=log)
    assert list(zoo.iterdir()) == []


def test_half_precision_that_overflows_is_refused(run, zoo, tmp_path):
    config, checkpoint = run
    content = torch.load(checkpoint, weights_only=False)
    content['state_dict']['neck.mask_token'].fill_(1e6)
    path = tmp_path / 'large_values.pth'
    torch.save(content, path)
    log = next(checkpoint.parent.glob('*/vis_data/scalars.json'))
    with pytest.raises(ValueError, match='in float16 features differ by inf'):
        publish_model(path, NAME, config, RESULTS, log=log, precision='float16')
    assert publish_model(path, NAME, config, RESULTS, log=log).precision == 'float32'


def test_entry_that_is_there_is_not_replaced_unasked(published, run):
    config, checkpoint = run
    with pytest.raises(FileExistsError, match='--force'):
        publish_model(checkpoint, NAME, config, RESULTS)
    changed = copy.deepcopy(RESULTS)
    changed['machine'] = '2 cores'
    entry = publish_model(checkpoint, NAME, config, changed, force=True).entry
    assert entry.metadata['Training Resources'] == '2 cores'


@pytest.mark.parametrize('name', ['', 'Upper', '../up', 'a/b', '-x', 'a b'])
def test_names(name, run, zoo):
    config, checkpoint = run
    with pytest.raises((ValueError, FileExistsError)):
        publish_model(checkpoint, name, config, RESULTS)
    assert not zoo.exists()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'machine': ''}, 'no machine'),
        ({'results': []}, 'no results'),
        ({'results': [{'task': 't', 'dataset': 'd'}]}, 'needs task, dataset and'),
        (
            {'results': [{'task': 't', 'dataset': 'd', 'metrics': {'a': '41 %'}}]},
            "metric a must be a number, got '41 %'",
        ),
    ],
)
def test_results_that_are_not_complete(change, message):
    check_results(RESULTS)
    with pytest.raises(ValueError, match=message):
        check_results({**RESULTS, **change})


def test_missing_log_and_weights(run, zoo, tmp_path):
    config, checkpoint = run
    alone = shutil.copy(checkpoint, tmp_path / 'alone.pth')
    with pytest.raises(FileNotFoundError, match='give --log'):
        publish_model(alone, NAME, config, RESULTS)
    content = torch.load(checkpoint, weights_only=False)
    del content['state_dict']['neck.mask_token']
    torch.save(content, checkpoint.parent / 'part.pth')
    with pytest.raises(ValueError, match=r'missing neck\.mask_token'):
        publish_model(checkpoint.parent / 'part.pth', NAME, config, RESULTS)
    assert entries.list_models() == []


def test_command(run, zoo, results, tmp_path):
    config, checkpoint = run
    docs = tmp_path / 'docs'
    docs.mkdir()
    argv = [str(checkpoint), '--name', NAME, '--config', str(config)]
    with pytest.raises(SystemExit, match='error: results missing'):
        main(docs, argv)
    text = main(docs, [*argv, '--results', str(results)])
    assert 'MB in float32, features differ by 0.0e+00' in text
    page = (docs / 'zoo.md').read_text()
    assert page == render()
    assert f'| `{NAME}` |' in page
    assert 'k-NN top-1, k = 10: 12.5, linear top-1: 13 (noise) |' in page
    with pytest.raises(SystemExit, match='--force'):
        main(docs, [*argv, '--results', str(results)])
    shutil.rmtree(zoo)
    main(docs, ['--table-only'])
    assert 'No model is published yet' in (docs / 'zoo.md').read_text()
