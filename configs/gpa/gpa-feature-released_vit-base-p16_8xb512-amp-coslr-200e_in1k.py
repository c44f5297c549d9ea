"""GPA with its attention decoder as the released code runs it, 200 epochs.

Reproduces: until 75 % of training the prediction is the mean channel of the decoder's
input, then that of a second decoder; the loss is over all patches; soft share 0.3
throughout. The other variants are options: model.attention_head.variant=intended,
shared or relative.

Command:
    CONFIG=configs/gpa/gpa-feature-released_vit-base-p16_8xb512-amp-coslr-200e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    9, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   none of this config; the paper does not say which settings made its numbers.
"""

_base_ = './gpa-released_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

model = dict(
    type='mmattmask.ScorePredictingMAE',
    attention_head=dict(variant='released'),
    mask_generator=dict(soft=(0.3, 0.3)),
)
# the decoder waits for 75 % of training; weight decay would have shrunk it to nothing
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'attention_head': dict(decay_mult=0.0)})
)
