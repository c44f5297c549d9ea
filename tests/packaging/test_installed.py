"""A user's own script, from any folder, with nothing but an installation."""

from .conftest import run

BUILD = """
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, TASK_UTILS

generator = TASK_UTILS.build(
    dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)
)
print('budget', *vars(generator.budget(196)).values())
scorer = MODELS.build(dict(type='mmattmask.CachedAttention'))
print('scorer', type(scorer).__module__)

import mmattmask

mim = Path(mmattmask.__file__).parent / '.mim'
print('environment', Path(mmattmask.__file__).is_relative_to(sys.prefix))
print('configs', len(list(mim.glob('configs/amt/*.py'))))
print('tools', (mim / 'tools' / 'train.py').is_file())
(name,) = mim.glob('configs/amt/amt_vit-base-p16_8xb512-amp-coslr-400e_in1k.py')
print('model', Config.fromfile(name).model.type)
"""


def test_script_from_another_folder(python, wheel_python, project, tmp_path):
    tmp_path.joinpath('build.py').write_text(BUILD)
    lines = run(python, 'build.py', cwd=tmp_path).splitlines()
    printed = dict(line.split(' ', 1) for line in lines if ' ' in line)
    assert printed['budget'] == '30 88 78'
    assert printed['scorer'].startswith('mmattmask.scorers')
    assert printed['environment'] == str(python == wheel_python)
    expected = len(list((project / 'configs' / 'amt').glob('*.py')))
    assert int(printed['configs']) == expected > 0
    assert printed['tools'] == 'True'
    assert printed['model'] == 'mmattmask.GuidedMAE'


def test_edited_config_is_the_one_that_mim_sees(editable_python, project):
    new = project / 'configs' / 'amt' / 'added.py'
    new.write_text('answer = 42\n')
    mim = project / 'mmattmask' / '.mim'
    assert (mim / 'configs' / 'amt' / 'added.py').read_text() == 'answer = 42\n'
    new.unlink()


def test_masking_alone_needs_no_runtime(wheel_python, tmp_path):
    script = (
        'import sys\n'
        "sys.modules.update(dict.fromkeys(('mmengine', 'mmcv', 'mmpretrain')))\n"
        'from mmattmask.masking import PatchBudget\n'
        'print(PatchBudget.from_ratios(196, 0.45, 0.40).num_masked)\n'
    )
    assert run(wheel_python, '-c', script, cwd=tmp_path).strip() == '88'
