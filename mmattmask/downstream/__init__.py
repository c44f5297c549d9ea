"""Detection with pre-trained ViTs: what MMDetection's packages lack.

``lvis_metric`` needs MMDetection and is imported only where it is asked for; the rest
needs MMPretrain.
"""

from mmattmask.downstream.fed_loss import FedLoss
from mmattmask.downstream.fp16_compression_hook import Fp16CompressionHook
from mmattmask.downstream.layer_decay import LayerDecayOptimWrapperConstructor
from mmattmask.downstream.repeat_factor_sampler import RepeatFactorSampler
from mmattmask.downstream.simple_fpn import SimpleFeaturePyramid
from mmattmask.downstream.vitdet import ViTDet
from mmattmask.runtime import return_from_train

return_from_train()

__all__ = [
    'FedLoss',
    'Fp16CompressionHook',
    'LayerDecayOptimWrapperConstructor',
    'RepeatFactorSampler',
    'SimpleFeaturePyramid',
    'ViTDet',
]
