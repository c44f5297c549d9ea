"""iBOT ViT-S/16, 100 epochs: as the main config, but shorter.

Command:
    CONFIG=configs/ibot/ibot_vit-small-p16_16xb64-amp-coslr-100e_in1k.py
    torchrun --nnodes 2 --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 16 GPUs, batch 1024.
Hours:    not measured.
Metric:   k-NN 71.5, linear 74.4, of this or the fixed ratio, see README.md (not ours).
"""

_base_ = './ibot_vit-small-p16_16xb64-amp-coslr-800e_in1k.py'

train_cfg = dict(max_epochs=100)
