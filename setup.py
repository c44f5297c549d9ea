"""Installation: metadata, version ranges, and the folder that MIM reads.

Tested versions are pinned in requirements/tested.txt; here are the ranges. Neither
runtime is a plain requirement: the maintained ``onedl-*`` and the official ``mm*``
distributions install the same modules, so a user picks one extra.
"""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# What `mim train`, `mim test` and `mim search` look for below mmattmask/.mim.
MIM_ENTRIES = ('configs', 'tools', 'model-index.yml', 'dataset-index.yml')

TEST = [
    'hypothesis>=6.100',
    'pytest>=8',
    'pytest-xdist>=3.5',
    'tensorboard>=2.16',
    'timm>=1.0',
]
DOCS = ['furo>=2024.8', 'myst-parser>=4', 'sphinx>=8']
EXTRAS = {
    # One of these two.
    'onedl': [
        'onedl-mmcv>=2.3.4',
        'onedl-mmengine>=0.10.12',
        'onedl-mmpretrain>=1.3.5',
    ],
    'openmmlab': [
        'mmcv-lite>=2.2.0',
        'mmengine>=0.10.6,!=0.11.0rc0',
        'mmpretrain>=1.2.0',
        'setuptools<82',  # mmengine imports pkg_resources
    ],
    # Detection and segmentation; they need mmcv with its compiled ops as well
    # (requirements/build_mmcv.sh).
    'downstream': [
        'lvis>=0.5.3',
        'onedl-mmdetection>=3.5.1',
        'onedl-mmsegmentation>=1.4.2',
        'pycocotools>=2.0.8',
    ],
    'demo': ['scikit-image>=0.22'],
    'docs': DOCS,
    'test': TEST,
    'dev': [
        *DOCS,
        *TEST,
        'jupytext>=1.16',
        'mypy==2.4.1',
        'onedl-mim>=0.5.1',
        'pre-commit>=3.7',
        'ruff==0.17.5',
        'sybil>=9',
        'transformers>=4.56,<5',  # more breaks MMPretrain, these the official one
    ],
}


def read_version() -> str:
    """Return the version without importing the package."""
    text = (ROOT / 'mmattmask' / 'version.py').read_text()
    return re.search(r"__version__ = '(.+)'", text)[1]


class BuildPyWithMim(build_py):
    """Put configs, tools and the model index where MIM looks for them.

    A wheel gets copies, written to the build folder only. An editable install gets
    links below mmattmask/.mim, so that an edited config is the one that runs. The
    usual ``add_mim_extension`` reads ``sys.argv`` and misses editable installs.
    """

    def run(self) -> None:
        """Build the package as usual, then its .mim folder."""
        super().run()
        parent = ROOT if self.editable_mode else Path(self.build_lib)
        mim = parent / 'mmattmask' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in MIM_ENTRIES:
            source = ROOT / name
            if not source.exists():
                continue
            if self.editable_mode and link(source, mim / name):
                continue
            copy(source, mim / name)


def link(source: Path, target: Path) -> bool:
    """Link target to source; False where the system does not allow links."""
    try:
        relative = os.path.relpath(source, target.parent)
        target.symlink_to(relative, target_is_directory=source.is_dir())
    except OSError:
        return False
    return True


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, without Python's caches."""
    if source.is_dir():
        ignore = shutil.ignore_patterns('__pycache__', '*.pyc')
        shutil.copytree(source, target, ignore=ignore)
    else:
        shutil.copy2(source, target)


readme = ROOT / 'README.md'
setup(
    name='mmattmask',
    version=read_version(),
    description='Attention-guided masked image modelling for MMPretrain',
    long_description=readme.read_text() if readme.exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='computer vision, self-supervised learning, masked image modelling',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Typing :: Typed',
    ],
    python_requires='>=3.10,<3.13',
    packages=find_packages(include=['mmattmask', 'mmattmask.*']),
    package_data={'mmattmask': ['py.typed', 'reporting/*.jinja']},
    entry_points=dict(console_scripts=['mmattmask=mmattmask.__main__:main']),
    install_requires=[
        'filelock>=3.12',
        'jinja2>=3.1',
        'matplotlib>=3.7',
        'numpy>=1.24',
        'pandas>=2',
        'pillow>=9.4',
        'rich>=13',
        'safetensors>=0.4',
        'scipy>=1.11',
        'tabulate>=0.9',  # pandas needs it for Markdown
        'torch>=2.5',  # torch.serialization.safe_globals
        'torchvision>=0.20',
    ],
    extras_require=EXTRAS,
    cmdclass={'build_py': BuildPyWithMim},
    zip_safe=False,
)
