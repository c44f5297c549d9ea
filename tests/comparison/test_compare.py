"""mmattmask compare as a user drives it: to the report, killed, resumed."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmattmask.comparison.checks import check_runs
from mmattmask.comparison.evaluate import finetune
from mmattmask.comparison.plan import read_comparison
from mmattmask.comparison.study import Study
from mmattmask.inspection.score import content_of_score
from tests.command_line import mmattmask
from tests.comparison.toy import BASE, ROOT, STUDY, write_comparison, write_packed

IBOT = ROOT / 'configs/ibot/ibot_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
FINETUNE = 'finetune_vit-tiny-p4_1xb128-coslr-10e_cifar10.py'

MEASURES = ('knn_cls', 'knn_mean', 'linear_cls', 'linear_mean', 'ridge')


def compare(path, work_dir, *options):
    return mmattmask('compare', path, '--work-dir', work_dir, *options)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A comparison that ran to its end, and what it printed."""
    folder = tmp_path_factory.mktemp('compare')
    path = write_comparison(folder)
    work_dir = folder / 'work'
    return path, work_dir, compare(path, work_dir, '--devices', 'cpu', 'cpu')


@pytest.fixture
def copied(finished, tmp_path):
    """The finished work dir to change."""
    return shutil.copytree(finished[1], tmp_path / 'work')


def rows_of(work_dir):
    return json.loads((work_dir / 'runs.json').read_text())


def test_has_a_row_for_every_run_at_every_budget(finished):
    _, work_dir, _ = finished
    rows = rows_of(work_dir)
    keys = [(row['run'], row['budget'], row['seed']) for row in rows]
    assert keys == [
        (run, budget, seed)
        for budget in ('tokens', 'time')
        for seed in (0, 1)
        for run in ('random', 'amt')
    ]
    for row in rows:
        assert all(0 <= row[name] <= 100 for name in MEASURES)
        assert row['seconds'] > 0
        assert (work_dir / 'runs' / row['checkpoint']).exists()
    with (work_dir / 'runs.csv').open(newline='') as file:
        lines = list(csv.DictReader(file))
    assert [float(line['knn_cls']) for line in lines] == [r['knn_cls'] for r in rows]


def test_tells_bright_from_dark(finished):
    """The classes differ in brightness, which a linear probe of any ViT finds."""
    for name in ('linear_mean', 'ridge'):
        assert min(row[name] for row in rows_of(finished[1])) > 80


def test_equal_tokens_give_epochs_to_those_who_throw(finished):
    tokens = {
        row['run']: row for row in rows_of(finished[1]) if row['budget'] == 'tokens'
    }
    base, amt = tokens['random'], tokens['amt']
    assert base['epochs'] == 3
    assert base['tokens_per_image'] == 17
    assert amt['epochs'] == 4  # 1 of 4 epochs without a score: 17 tokens, then 11
    assert amt['tokens_per_image'] == pytest.approx((17 + 3 * 11) / 4)


def test_baseline_at_equal_time_is_not_run_again(finished):
    _, work_dir, _ = finished
    folders = {path.name for path in (work_dir / 'runs').iterdir()}
    assert not any(name.startswith('random-time') for name in folders)
    rows = [row for row in rows_of(work_dir) if row['run'] == 'random']
    assert rows[0]['knn_cls'] == rows[2]['knn_cls']


def test_equal_time_on_another_machine_is_refused(finished, copied):
    (copied / 'epochs.json').unlink()
    file = copied / 'runs' / 'amt-tokens-seed1' / 'row.json'
    file.write_text(json.dumps(dict(json.loads(file.read_text()), machine='another')))
    with pytest.raises(SystemExit, match=r'amt, seed 1, took its time on another, ran'):
        compare(finished[0], copied)


def test_table_and_page_show_every_policy(finished):
    _, work_dir, text = finished
    table = (work_dir / 'table.md').read_text()
    assert table in text
    assert '| AMT      | undecided |      0 |' in table  # two seeds are before a look
    assert '"primary", at looks of 6 seeds' in table
    page = (work_dir / 'report.html').read_text()
    assert page.count('<img class="chart"') == 2  # differences at two budgets
    assert re.search(r'Config of amt: other [^<]*model\.mask_generator\.', page)
    assert 'Config of random<' in page
    for name in ('random', 'AMT', 'At equal encoder tokens', 'At equal training time'):
        assert name in table
        assert name in page
    assert 'http' not in page.split('<body', 1)[1].replace('http://www.w3.org', '')


def test_second_call_runs_nothing(finished):
    path, work_dir, text = finished
    before = {f: f.stat().st_mtime_ns for f in work_dir.glob('runs/*/*.pth')}
    assert compare(path, work_dir, '--devices', 'cpu') == text
    assert before == {f: f.stat().st_mtime_ns for f in work_dir.glob('runs/*/*.pth')}


def test_other_settings_are_refused_and_nothing_is_lost(finished):
    path, work_dir, _ = finished
    for change in ('evaluation.k=5', 'epochs=4'):
        with pytest.raises(SystemExit, match='begun with other settings'):
            compare(path, work_dir, '--cfg-options', change)
    with pytest.raises(SystemExit, match='begun with other settings'):  # no mixed table
        compare(path, work_dir, '--report-only', '--cfg-options', 'evaluation.k=5')
    assert len(rows_of(work_dir)) == 8


def test_other_images_are_refused(finished):
    """The same names in the same place, but another data set."""
    path, work_dir, text = finished
    file = path.parent / 'data' / 'train.npz'
    kept = file.read_bytes()
    try:
        write_packed(file, 48, seed=5)
        with pytest.raises(SystemExit, match='begun with other data'):
            compare(path, work_dir)
        assert compare(path, work_dir, '--report-only') == text
    finally:
        file.write_bytes(kept)


def test_numbers_that_others_measured_are_columns(finished, copied):
    numbers = dict(position_share=0.66, auc_minus_shuffled=0.0)
    for folder in (copied / 'runs').glob('amt-*'):
        (folder / 'diagnostics.json').write_text(json.dumps(numbers))
    text = compare(finished[0], copied, '--report-only', '--control', 'amt')
    assert 'Points above AMT (position-biased)' in text
    assert 'position share' in text
    assert rows_of(copied)[1]['position_share'] == 0.66


def test_scores_of_finished_runs_are_looked_at(finished, copied, tmp_path):
    """Where the comparison asks: whether guided rows follow content or place."""
    index, asking = tmp_path / 'index.csv', tmp_path / 'toy.py'
    content = f'content = dict(index={str(index)!r}, images=5)\n'
    asking.write_text(finished[0].read_text() + content)
    with pytest.raises(SystemExit, match=str(index)):
        compare(asking, copied)
    write_annotated(tmp_path)
    assert 'auc minus shuffled' in compare(asking, copied)
    for row in rows_of(copied):
        checkpoint = copied / 'runs' / row['checkpoint']
        cfg = Config.fromfile(checkpoint.with_name('config.py'))
        assert ('position_share' in row) == (row['run'] == 'amt')
        if row['run'] == 'amt':
            own = content_of_score(cfg, str(checkpoint), 5, str(index))
            assert row['position_share'] == round(own.position_share, 4)
            assert row['auc_minus_shuffled'] == round(own.auc_gain, 4)
            assert own.num_images == 5
    # by another rule: measured again, so that no column mixes two
    first = [row['position_share'] for row in rows_of(copied) if row['run'] == 'amt']
    compare(asking, copied, '--cfg-options', 'content.images=6')
    second = [row['position_share'] for row in rows_of(copied) if row['run'] == 'amt']
    assert all(one != two for one, two in zip(first, second, strict=True))


def write_annotated(folder):
    rng = np.random.default_rng(3)
    lines = ['image,mask']
    for name in range(6):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        mask = np.zeros((20, 24), np.uint8)
        mask[name : name + 10, 2 : 8 + name] = 255
        Image.fromarray(pixels).save(folder / f'{name}.png')
        Image.fromarray(mask).save(folder / f'{name}-mask.png')
        lines.append(f'{name}.png,{name}-mask.png')
    (folder / 'index.csv').write_text('\n'.join(lines))


def test_a_run_that_fails_is_named_and_the_others_are_kept(finished, copied, tmp_path):
    broken = tmp_path / 'toy.py'
    broken.write_text(
        finished[0].read_text()
        + "\nruns['broken'] = dict(config=runs['random']['config'], options={"
        "**options, 'optim_wrapper.optimizer.lr': 1e30, 'custom_hooks': ["
        "*options['custom_hooks'], dict(type='mmattmask.FiniteLossHook')]}, "
        "budgets=('tokens',))\n"
    )
    args = ['--devices', 'cpu', '--seeds', '0', '--budgets', 'tokens']
    reason = r'broken-tokens-seed0: exit 1: .*[Ll]oss'
    with pytest.raises(SystemExit, match=reason) as error:
        compare(broken, copied, *args)
    assert '| AMT ' in str(error.value)
    page = (copied / 'report.html').read_text()
    assert 'Failed runs' in page
    assert 'broken-tokens-seed0' in page


def test_what_can_be_known_is_known_before_anything_runs(tmp_path):
    """All of it at once, one line each."""
    path = write_comparison(tmp_path)
    wrong = {
        "'optim_wrapper.optimizer.type': 'NoSuch'": 'the optimizer NoSuch cannot be bu',
        "'model.backbone.patch_size': 7": 'the model cannot be built',
        "'train_dataloader.dataset.ann_file': 'gone.npz'": 'the training images cannot '
        'be listed: .*gone.npz',
        "'train_dataloader.dataset.indices': 20": '20 training images, and random has',
    }
    lines = [path.read_text(), "options = runs['amt']['options']"]
    for number, change in enumerate(wrong):
        options = f'{{**options, {change}}}'
        lines.append(f"runs['r{number}'] = dict(runs['amt'], options={options})")
    lines.append(f"runs['ibot'] = dict(config={str(IBOT)!r})")
    lines.append(f"runs['none'] = dict(config={str(path)!r})")
    lines.append("evaluation['train']['type'] = 'NoSuchDataset'")
    lines.append("content = dict(index='gone.csv')")
    path.write_text('\n'.join(lines))
    with pytest.raises(SystemExit) as error:
        compare(path, tmp_path / 'work', '--devices', 'cpu')
    found = str(error.value)
    for number, message in enumerate(wrong.values()):
        assert re.search(f'(?m)^run r{number}: {message}', found), found
    assert 'the tokens of IBOT cannot be counted: give encoder_tokens' in found
    assert re.search('(?m)^run none, .*toy.py: a config of None', found)
    assert re.search('(?m)evaluation: .*NoSuchDataset', found)
    assert re.search(r'(?m)^content: .*gone\.csv', found)
    assert 'run amt: ' not in found
    assert not (tmp_path / 'work' / 'runs').exists()


def test_types_need_no_scope(tmp_path):
    path = write_comparison(tmp_path)
    for label in (0, 1):
        for part in ('train', 'test'):
            folder = tmp_path / part / str(label)
            folder.mkdir(parents=True)
            Image.new('RGB', (32, 32), (250 * label,) * 3).save(folder / 'one.png')
    roots = [str(tmp_path / part) for part in ('train', 'test')]
    path.write_text(
        f'{path.read_text()}\ntrain, test = [\n'
        f'    dict(type="CustomDataset", data_root=root) for root in {roots}\n]\n'
        'evaluation.update(train=train, test=test)\n'
    )
    check_runs(Study(read_comparison(path), tmp_path / 'work'))


def test_wrapped_images(tmp_path):
    comparison = read_comparison(write_comparison(tmp_path))
    dataset = Config.fromfile(BASE).train_dataloader.dataset.to_dict()
    dataset.update(data_root=str(tmp_path / 'data'), indices=None)
    wrapped = dict(type='mmattmask.ResidentImages', dataset=dataset, _delete_=True)
    for entry in comparison.entries.values():
        for name in [name for name in entry.options if '.dataset.' in name]:
            del entry.options[name]
        entry.options['train_dataloader.dataset'] = wrapped
    check_runs(Study(comparison, tmp_path / 'work'))


def test_missing_images_are_named_before_anything_runs(tmp_path):
    path = write_comparison(tmp_path)
    (tmp_path / 'data' / 'test.npz').unlink()
    with pytest.raises(SystemExit, match=r'no file of packed images .*test\.npz'):
        compare(path, tmp_path / 'work', '--devices', 'cpu')
    assert not (tmp_path / 'work' / 'runs').exists()


def test_finetuning_learns_from_the_checkpoint(finished, tmp_path):
    path, work_dir, _ = finished
    data = str(path.parent / 'data')
    config = tmp_path / 'finetune.py'
    config.write_text(
        f"""_base_ = {str(STUDY / FINETUNE)!r}
arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
model = dict(
    backbone=dict(arch=dict(_delete_=True, **arch)),
    head=dict(in_channels=16, num_classes=2),
)
data_preprocessor = dict(num_classes=2)
train_dataloader = dict(batch_size=8, dataset=dict(data_root={data!r}, indices=None))
val_dataloader = dict(dataset=dict(data_root={data!r}))
"""
    )
    checkpoint = work_dir / 'runs' / rows_of(work_dir)[0]['checkpoint']
    assert finetune(str(config), checkpoint, tmp_path / 'ft') > 90
    log = next((tmp_path / 'ft').glob('*/*.log')).read_text()
    assert re.search(r'matched (\d+)/', log)
    # of averaged weights, which are slow, it is their accuracy that counts
    with config.open('a') as file:
        file.write("custom_hooks = [dict(type='EMAHook', momentum=1e-4)]\n")
    found = finetune(str(config), checkpoint, tmp_path / 'ema')
    log = next((tmp_path / 'ema').glob('*/*.log')).read_text()
    *_, last = re.findall(r'accuracy/top1: ([\d.]+)', log)
    assert float(last) == found < 90


def test_a_teacher_needs_a_scorer_that_takes_it(tmp_path):
    path = write_comparison(tmp_path)
    comparison = read_comparison(path, {'runs.amt.teacher': 'random'})
    with pytest.raises(ValueError, match=r"run amt: teacher='random' is for Frozen"):
        check_runs(Study(comparison, tmp_path / 'work'))


def start(path, work_dir, *options):
    """Run the command in a process, which a test will kill."""
    command = [sys.executable, '-m', 'mmattmask', 'compare', str(path)]
    return subprocess.Popen(
        [*command, '--work-dir', str(work_dir), *options],
        start_new_session=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait(process, condition):
    deadline = time.monotonic() + 600
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(finished, tmp_path):
    path, work_dir, _ = finished
    again = tmp_path / 'work'
    args = ['--devices', 'cpu', '--budgets', 'tokens', '--seeds', '0']
    process = start(path, again, *args)
    amt = again / 'runs' / 'amt-tokens-seed0'
    pointer = amt / 'last_checkpoint'
    # after its first refresh
    wait(process, lambda: pointer.exists() and '_2.pth' in pointer.read_text())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (amt / 'row.json').exists()
    compare(path, again, *args)
    # seeds by epoch make a run from the start the same, so look how it went on
    assert re.search(r'resumed epoch: [23]', (amt / 'log.txt').read_text())
    names = ('epochs', *MEASURES)
    expected = {
        row['run']: [row[name] for name in names]
        for row in rows_of(work_dir)
        if row['budget'] == 'tokens' and row['seed'] == 0
    }
    found = {row['run']: [row[name] for name in names] for row in rows_of(again)}
    assert found == expected


@pytest.mark.slow
def test_an_orphaned_worker_is_waited_for(finished, tmp_path):
    """Only the parent is killed: its worker goes on, and nobody trains beside it."""
    path, work_dir = finished[0], tmp_path / 'work'
    args = ['--devices', 'cpu', '--budgets', 'images', '--seeds', '0']
    args += ['--runs', 'random']
    process = start(path, work_dir, *args)
    folder = work_dir / 'runs' / 'random-images-seed0'
    wait(process, (folder / 'epoch_1.pth').exists)
    process.kill()
    process.wait()
    compare(path, work_dir, *args)
    assert len(rows_of(work_dir)) == 1
    log = (folder / 'log.txt').read_text()
    assert log.count('Saving checkpoint at 3 epochs') == 1
    assert 'resumed epoch' not in log
