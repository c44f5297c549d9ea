"""AMT 45/40 on images that lie on the device and are cropped there, a batch at a time.

Not a row of the study: for a GPU, which one process of the stock loader does not feed.

Command:  CONFIG=configs/study/amt-resident_vit-tiny-p4_1xb64-coslr-8e_cifar10.py
          mmattmask train $CONFIG
Hardware: one GPU, or a CPU core.
"""

_base_ = './amt_vit-tiny-p4_1xb64-coslr-8e_cifar10.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmattmask.ResidentImages',
        dataset=_base_.train_dataloader.dataset,
    )
)
