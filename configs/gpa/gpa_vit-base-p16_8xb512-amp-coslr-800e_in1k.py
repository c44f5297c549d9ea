"""GPA on MAE ViT-B/16, 800 epochs, teacher only.

Command:
    CONFIG=configs/gpa/gpa_vit-base-p16_8xb512-amp-coslr-800e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 4096.
Hours:    32, estimated from FLOPs (README.md), if the loader keeps up.
Metric:   ADE20K UperNet 48.9 mIoU, with the attention decoder (the paper's).
"""

_base_ = './gpa_vit-base-p16_8xb512-amp-coslr-200e_in1k.py'

train_cfg = dict(max_epochs=800)
