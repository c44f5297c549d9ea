"""What a run imports and reads, once for all processes that are copies of this."""

import mmpretrain.utils
import scipy.stats  # noqa: F401
from mmengine.config import Config

import mmattmask.cli.train
import mmattmask.downstream
import mmattmask.engine
import mmattmask.models  # noqa: F401
from tests.config_building import ROOT
from tests.processes import spare_what_nobody_sees

mmpretrain.utils.register_all_modules(init_default_scope=False)
spare_what_nobody_sees()
Config.fromfile(ROOT / 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py')
