"""The models that come with the package, however many they are."""

import json

import pytest
import torch

from mmattmask.scorers.self_attention import image_size_of
from mmattmask.zoo.entries import ENTRIES, METAFILE, find_entry, list_models
from mmattmask.zoo.models import get_model
from mmattmask.zoo.publish import MAX_BYTES, NAME, check_results
from mmattmask.zoo.table import render
from tests.config_building import ROOT

NAMES = list_models()


def test_page_is_up_to_date():
    """After a change of a metafile: tools/publish_model.py --table-only."""
    assert (ROOT / 'docs' / 'zoo.md').read_text(encoding='utf-8') == render()


def test_every_folder_is_an_entry():
    folders = [path.parent for path in ENTRIES.glob('*/*')]
    assert all((folder / METAFILE).is_file() for folder in folders)
    assert {folder.name for folder in folders} == set(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_shipped_model_works_and_says_what_it_is(name):
    entry = find_entry(name)
    assert NAME.fullmatch(name)
    assert entry.meta['Name'] == name
    assert entry.weights.stat().st_size == entry.metadata['Bytes'] <= MAX_BYTES
    results = [{k.lower(): v for k, v in r.items()} for r in entry.meta['Results']]
    data = entry.metadata
    check_results(
        dict(
            data=data['Training Data'],
            budget=data['Budget'],
            machine=data['Training Resources'],
            results=results,
        )
    )
    for line in entry.log.read_text().splitlines():
        json.loads(line)
    model = get_model(name, pretrained=True)
    images = torch.randn(2, 3, *image_size_of(model.backbone))
    vit = get_model(name, pretrained=True, backbone_only=True, out_type='raw')
    with torch.no_grad():
        expected, found = model(images, mode='tensor')[-1], vit(images)[-1]
    torch.testing.assert_close(found, expected)
    for path in entry.folder.iterdir():
        assert b'/home/' not in path.read_bytes()
        assert b'/root/' not in path.read_bytes()
