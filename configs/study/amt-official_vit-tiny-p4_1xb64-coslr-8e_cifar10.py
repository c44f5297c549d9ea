"""AMT 45/40 with the corner crop of the released code.

Command:  CONFIG=configs/study/amt-official_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: CPU, 1 core.
"""

_base_ = './amt_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

model = dict(scorer=dict(crop_mode='official'))
