"""Sources of scores: how much is each patch attended?"""

from mmattmask.scorers.bank import AttentionBank, BankError, BankHeader, BankWriter
from mmattmask.scorers.base import Scorer, check_score
from mmattmask.scorers.cached_attention import CachedAttention
from mmattmask.scorers.cached_maps import CachedMaps
from mmattmask.scorers.controls import CenterPrior, PatchContrast
from mmattmask.scorers.ema_teacher import EMATeacher, TeacherAttention
from mmattmask.scorers.frozen_teacher import FrozenTeacher
from mmattmask.scorers.label_maps import LabelMaps
from mmattmask.scorers.learned_sampler import LearnedSampler
from mmattmask.scorers.library_vits import HuggingFaceViT, TimmViT
from mmattmask.scorers.predicted_loss import PredictedLoss
from mmattmask.scorers.score_decoder import ScoreDecoder
from mmattmask.scorers.shuffled_maps import ShuffledMaps
from mmattmask.scorers.user_maps import UserMaps

__all__ = [
    'AttentionBank',
    'BankError',
    'BankHeader',
    'BankWriter',
    'CachedAttention',
    'CachedMaps',
    'CenterPrior',
    'EMATeacher',
    'FrozenTeacher',
    'HuggingFaceViT',
    'LabelMaps',
    'LearnedSampler',
    'PatchContrast',
    'PredictedLoss',
    'ScoreDecoder',
    'Scorer',
    'ShuffledMaps',
    'TeacherAttention',
    'TimmViT',
    'UserMaps',
    'check_score',
]
