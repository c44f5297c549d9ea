"""iBOT ViT-S/16, 800 epochs: the released README's command.

Command:
    CONFIG=configs/ibot/ibot_vit-small-p16_16xb64-amp-coslr-800e_in1k.py
    torchrun --nnodes 2 --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 16 GPUs, batch 1024.
Hours:    not measured.
Metric:   ImageNet-1k k-NN 75.2, linear 77.9 (the authors'; not run by us).
"""

_base_ = ['../_base_/multi_crop.py', '../_base_/ibot.py']

train_cfg = dict(max_epochs=800)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 1024 / 256))
auto_scale_lr = dict(base_batch_size=1024)
