import torch
from mmpretrain.utils import register_all_modules
from projects.gpa.mask_generators import SoftToHardMaskGenerator
from projects.gpa.scorers import FrozenTeacher

register_all_modules(init_default_scope=True)


def test_soft_gives_way_to_hard():
    score = torch.rand(64, 16)
    top = score.topk(6, dim=1).indices
    generator = SoftToHardMaskGenerator(0.75, soft=(0.5, 0.0), hard=(0.0, 0.5))
    last = generator(score, progress=1.0).mask
    assert last.sum(dim=1).tolist() == [12] * 64
    assert bool(last.gather(1, top).all())
    assert not bool(generator(score, progress=0.0).mask.gather(1, top).all())


def test_score_is_the_attention_that_patches_receive():
    teacher = FrozenTeacher(
        backbone=dict(
            type='VisionTransformer',
            arch='deit-tiny',
            img_size=32,
            patch_size=8,
            init_cfg=dict(type='TruncNormal', layer='Linear', std=0.1),
        ),
        block=3,
        head=1,
        attention='received_probs',
    )
    teacher.init_weights()
    images = torch.rand(2, 3, 32, 32)
    score = teacher(images, None, (4, 4), 8)

    caught = []
    attention = teacher.teacher.layers[3].attn
    attention.qkv.register_forward_hook(lambda *args: caught.append(args[-1]))
    teacher.teacher(images)
    query, key, _ = caught[0].view(2, 17, 3, 3, 64).unbind(2)
    logits = torch.einsum('bnd,bmd->bnm', query[:, :, 1], key[:, :, 1]) / 8
    received = logits.softmax(dim=-1).sum(dim=1)[:, 1:]
    low, high = received.aminmax(dim=1, keepdim=True)
    expected = (received - low) / (high - low)
    torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-5)
    assert not any(name.startswith('teacher') for name in teacher.state_dict())
