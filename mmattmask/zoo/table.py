"""docs/zoo.md: the zoo's models as their metafiles describe them."""

from mmattmask.zoo.entries import Entry, find_entry, list_models, listed

HEAD = """# Model zoo

<!-- Written by tools/publish_model.py from the metafiles in mmattmask/zoo/entries. -->

Small models that come with the package: nothing is downloaded, and every file is
checked against its SHA-256 when it is read.

```python
from mmattmask import get_model, list_models

for name in list_models():
    model = get_model(name, pretrained=True)  # with decoder and mask policy
    vit = get_model(name, pretrained=True, backbone_only=True)  # MMPretrain's ViT
```

`mmattmask://NAME` is a checkpoint wherever one is expected:
`init_cfg=dict(type='Pretrained', _scope_='mmattmask', checkpoint='mmattmask://NAME')`,
and for all tools. `tools/eval_knn.py NAME` and `tools/eval_linear.py NAME` need no
other checkpoint. After `mmattmask.zoo.register()`,
`mmpretrain.get_model(NAME, pretrained=True)` works too.
`mmattmask.zoo.normalisation(NAME)` is what the images are normalised with.

"""
EMPTY = """No model is published yet. `python tools/publish_model.py --help` says how to
add one.
"""
COLUMNS = ('model', 'parameters', 'MB', 'pre-training', 'results')


def render() -> str:
    """Return the page."""
    entries = [find_entry(name) for name in list_models()]
    if not entries:
        return HEAD + EMPTY
    lines = [COLUMNS, ('---', '--:', '--:', '---', '---'), *map(row, entries)]
    table = ''.join(f'| {" | ".join(line)} |\n' for line in lines)
    return f'{HEAD}{table}\n{ORIGIN}\n' + ''.join(map(origin, entries))


ORIGIN = """## Where they are from

Each folder in `mmattmask/zoo/entries` has the whole config and the scalars of the
training.
"""


def row(entry: Entry) -> tuple[str, ...]:
    """Return the cells of a model."""
    data = entry.metadata
    results = [
        f'{listed(result["Metrics"])} ({result["Dataset"]})'
        for result in entry.meta['Results']
    ]
    return (
        f'`{entry.name}`',
        f'{data["Parameters"]:,}',
        f'{data["Bytes"] / 1e6:.2f}',
        f'{data["Training Data"]}, {data["Epochs"]} epochs',
        '; '.join(results),
    )


def origin(entry: Entry) -> str:
    """Return a model's provenance and checksum."""
    data = entry.metadata
    return (
        f'- `{entry.name}`, from `{data["Source Config"]}`: {entry.provenance}. '
        f'{data["Precision"]}, SHA-256 `{data["SHA256"]}`.\n'
    )
