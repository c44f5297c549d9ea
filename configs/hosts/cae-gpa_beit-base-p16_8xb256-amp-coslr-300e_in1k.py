"""GPA on CAE-B/16, 300 epochs: soft-to-hard masks by a frozen teacher.

The teacher, a MAE ViT-B/16, sees every view, not the tokenizer's smaller picture. CAE
needs the same number of masked patches in every image: 75 of 196. Put the teacher's
weights in checkpoints/; DALL-E's come by the stock URL.

Command:
    CONFIG=configs/hosts/cae-gpa_beit-base-p16_8xb256-amp-coslr-300e_in1k.py
    torchrun --nproc-per-node 8 -m mmattmask train $CONFIG --launcher pytorch
Hardware: 8 A100 80 GB, batch 2048.
Hours:    not measured.
Metric:   none published (Table 10 has a CAE-S, 50 epochs: k-NN 37.4, with GPA 38.5).
"""

_base_ = [
    'mmpretrain::cae/cae_beit-base-p16_8xb256-amp-coslr-300e_in1k.py',
    '../_base_/gpa_teacher.py',
]

data_preprocessor = dict(
    type='mmattmask.GuidedTwoNormDataPreprocessor',
    scorer=_base_.teacher,
    mask_generator=dict(
        type='mmattmask.SoftToHardMaskGenerator', mask_ratio=75 / 196, exclusive=True
    ),
    mask_patch_size=16,
    num_masked=75,
)
