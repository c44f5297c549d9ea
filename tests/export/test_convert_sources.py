"""What a checkpoint is, and what is refused: nothing runs, nothing is lost."""

import os
import pickle
import re

import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmattmask.export import convert_checkpoint, read_source
from tests.tiny_hosts import HOSTS

from .tiny_vits import ARCH, SIZE, load, save, simmim_vit, vit

PLAIN = ('MAE', 'MFF', 'EVA (MAE style)', 'MILAN', 'MaskFeat', 'iBOT')


@pytest.mark.parametrize('host', PLAIN)
def test_hosts_pre_train_what_a_plain_vit_loads(tmp_path, host):
    """Nothing of a host's own is left in the backbone, nothing of the ViT is lost."""
    model = HOSTS[host].build(
        dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.5)
    )
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'x.pth')
    convert_checkpoint(tmp_path / 'x.pth', 'mmpretrain', tmp_path / 'o.pth', prefix='')
    target = vit(arch=ARCH, img_size=HOSTS[host].size)
    state = load(tmp_path / 'o.pth')['state_dict']
    assert state.keys() == target.state_dict().keys()
    for name, value in state.items():
        assert torch.equal(value, model.backbone.state_dict()[name]), name


@pytest.mark.parametrize('host', ['SimMIM (Swin)', 'MixMIM', 'SparK', 'MAE-HiViT'])
def test_other_architectures_are_refused_by_name(tmp_path, host):
    model = HOSTS[host].build()
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'x.pth')
    first = next(iter(model.backbone.state_dict()))
    with pytest.raises(ValueError, match=rf'no ViT of a known kind .*{first} \('):
        read_source(tmp_path / 'x.pth')


def test_a_whole_training_checkpoint(tmp_path):
    model = vit()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(1, 3, *SIZE))[0].sum().backward()
    optimizer.step()
    content = {
        'state_dict': {f'backbone.{n}': v for n, v in model.state_dict().items()},
        'optimizer': optimizer.state_dict(),
        'message_hub': {'log_scalars': {'loss': HistoryBuffer([1.0], [1])}},
        'meta': {'epoch': 1},
    }
    torch.save(content, tmp_path / 'epoch_1.pth')
    source = read_source(tmp_path / 'epoch_1.pth')
    assert (source.kind, source.networks) == ('mmpretrain', ())
    assert len(source.weights) == len(model.state_dict())


def test_facts(tmp_path):
    path = save(vit(layer_scale_init_value=0.1).state_dict(), tmp_path / 'x.pth')
    facts = read_source(path).facts()
    assert facts['kind'].startswith('mmpretrain: ')
    assert (facts['depth'], facts['width']) == ('2', '24')
    assert (facts['feed-forward width'], facts['patch size']) == ('48', '8 x 8')
    assert facts['positions'] == '25'
    assert (facts['heads'], facts['layer scale']) == ('not in the weights', 'yes')

    path = save(simmim_vit(img_size=32).state_dict(), tmp_path / 'y.pth')
    facts = read_source(path).facts()
    assert (facts['heads'], facts['positions']) == ('2', 'relative')
    assert facts['also in the file'] == '1 of mask token'


def test_wrong_and_incomplete_encoders(tmp_path):
    state = vit().state_dict()
    other = state | {'layers.1.attn.q_norm.weight': torch.ones(12)}
    with pytest.raises(ValueError, match=r'1 weights that no ViT here has: .*q_norm'):
        read_source(save(other, tmp_path / 'x.pth'))
    for name in ('layers.1.attn.qkv.bias', 'layers.0.ln2.weight'):
        less = {n: v for n, v in state.items() if n != name}
        with pytest.raises(ValueError, match=f'1 weights are missing: {name}'):
            read_source(save(less, tmp_path / 'x.pth'))
    gap = {re.sub(r'^layers\.1', 'layers.2', n): v for n, v in state.items()}
    with pytest.raises(ValueError, match=r'12 weights are missing: layers\.1\.'):
        read_source(save(gap, tmp_path / 'x.pth'))
    less = {n: v for n, v in state.items() if not n.startswith('patch_embed.')}
    with pytest.raises(ValueError, match=r'missing: patch_embed\.projection\.weight'):
        read_source(save(less, tmp_path / 'x.pth'))
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=r'weights are weight \(3, 2\), bias \(3,\)'):
        read_source(tmp_path / 'x.pth')
    torch.save([1, 2], tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='holds no weights'):
        read_source(tmp_path / 'x.pth')


@pytest.mark.parametrize('to', ['mmdet', 'mmseg', 'hf'])
@pytest.mark.parametrize(
    ('source', 'lost'),
    [(simmim_vit(), 'rel_pos_bias'), (vit(pre_norm=True), r'pre_norm\.weight')],
    ids=['positions', 'norm'],
)
def test_what_has_no_place_is_not_lost_in_silence(tmp_path, to, source, lost):
    path = save(source.state_dict(), tmp_path / 'x.pth')
    out = tmp_path / ('o' if to == 'hf' else 'o.pth')
    with pytest.raises(ValueError, match=f'no place for 2 weights .*{lost}'):
        convert_checkpoint(path, to, out)
    assert not out.exists()


def test_what_a_vit_model_cannot_be_without(tmp_path):
    path = save(vit(with_cls_token=False).state_dict(), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='a ViTModel must have cls_token'):
        convert_checkpoint(path, 'hf', tmp_path / 'o')


class Payload:
    """Runs a command when an ordinary loader of pickles meets it."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize('how', ['torch', 'pickle', 'legacy'])
def test_code_in_a_checkpoint_is_not_run(tmp_path, how):
    proof, path = tmp_path / 'proof', tmp_path / 'x.pth'
    content = {'state_dict': vit().state_dict(), 'meta': Payload(proof)}
    if how == 'pickle':
        path.write_bytes(pickle.dumps(content['meta']))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == 'torch')
    with pytest.raises(ValueError, match='nothing of it was run'):
        convert_checkpoint(path, 'timm', tmp_path / 'o.pth')
    assert not proof.exists()
    if how == 'torch':  # the payload works
        torch.load(path, weights_only=False)
        assert proof.exists()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('kept', [0, 7, 0.5, 0.99])
def test_damaged_files(tmp_path, suffix, kept):
    path = save(vit().state_dict(), tmp_path / 'x.pth')
    convert_checkpoint(path, 'timm', tmp_path / f'whole{suffix}')
    whole = (tmp_path / f'whole{suffix}').read_bytes()
    cut = kept if kept in (0, 7) else int(kept * len(whole))
    (tmp_path / f'cut{suffix}').write_bytes(whole[:cut])
    with pytest.raises(ValueError, match='damaged'):
        read_source(tmp_path / f'cut{suffix}')


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        convert_checkpoint(tmp_path / 'x.pth', 'timm', tmp_path / 'o.pth')
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        read_source(tmp_path)
