"""The few places where a project has to read otherwise than mmattmask.

Every text on the left must be in its module exactly once: a change over there that
touches it stops the export.
"""

NAMED = """\
    named = {f'{k}.{name}': w for k, part in parts.items() for name, w in part.items()}
"""
NAMED_IN_A_LOOP = """\
    named = {}
    for k, part in parts.items():
        named.update({f'{k}.{name}': w for name, w in part.items()})
"""
FOUND = """\
    found = {
        name[match.end() :]: value
        for name, value in (named | state).items()
        if (match := start.match(name))
    }
"""
FOUND_IN_A_LOOP = """\
    found = {}
    for name, value in [*named.items(), *state.items()]:
        match = start.match(name)
        if match:
            found[name[match.end():]] = value
"""
RUNTIME = """\
The OpenMMLab runtime under us: is it there, and can it resume?

Two families of distributions share the module names ``mmengine``, ``mmcv`` and
``mmpretrain``: the maintained ``onedl-*`` and the official ``mm*``. This module
imports neither when it is imported itself.
"""
SAFE_GLOBALS = "What MMEngine's checkpoints hold and torch's safe loader must allow."

SUBSTITUTIONS = {
    # Names of tracked transforms differ from the stock ones they replace.
    'mmattmask.datasets.geometry': {
        'if name in TRANSFORMS.module_dict:': (
            "if f'Tracked{name}' in TRANSFORMS.module_dict:"
        ),
        "type='mmattmask.{name}'": "type='Tracked{name}'",
        'one of the crops of mmattmask.datasets or': 'a Tracked crop or',
    },
    # Of this module a project has no more.
    'mmattmask.runtime': {RUNTIME: SAFE_GLOBALS},
    # Classes that are not in the same project.
    'mmattmask.engine.ema_teacher_hook': {'such as mmattmask.LUT, ': 'such as IBOT, '},
    'mmattmask.models.guidance': {
        "set throw_ratio=0, or use a host that can throw, '\n"
        "                    'such as GuidedMAE, or GuidedSimMIM with a ViT'": (
            "set throw_ratio=0, or use a host that can throw'"
        ),
    },
    # Python 3.8 has no `removeprefix`, `pairwise` or `|` of dicts; MMPretrain's linters
    # know no `:=`.
    'mmattmask.export.vit_keys': {
        NAMED: NAMED_IN_A_LOOP,
        FOUND: FOUND_IN_A_LOOP,
        'name.removeprefix(prefix)': "re.sub(f'^{re.escape(prefix)}', '', name)",
    },
    'mmattmask.models.ibot_head': {
        'from itertools import pairwise\n': '',
        'in pairwise(widths)': 'in zip(widths[:-1], widths[1:])',
    },
    'mmattmask.models.ema_teacher': {
        '{key.removeprefix(prefix)}': '{key[len(prefix):]}'
    },
    # yapf 0.30, MMPretrain's, and 0.43, ours, break this line at other places.
    'mmattmask.scorers.geometry': {
        'data_samples: Sequence[Any], *names: str)': (
            'data_samples: Sequence[Any], *names: str,)'
        )
    },
    # docformatter 1.3.1 takes a second line that begins with a bracket for a paragraph.
    'mmattmask.scorers.frozen_teacher': {
        '(B, L) float32 in [0, 1].': '(B, L) float32, 0 to 1.'
    },
}


def substituted(name: str, source: str) -> str:
    """Return the text of a module with its substitutions.

    Raises:
        ValueError: If a text to replace is not there exactly once.
    """
    for old, new in SUBSTITUTIONS.get(name, {}).items():
        if source.count(old) != 1:
            raise ValueError(
                f'{name} has {old!r} {source.count(old)} times instead of once: see '
                'projects/substitutions.py'
            )
        source = source.replace(old, new)
    return source
