"""Files of a comparison: pointers, and going on after a kill."""

from mmengine.config import Config

from mmattmask.comparison.files import (
    give_teacher,
    go_on,
    last_checkpoint,
    scorer_key,
)


def config(**checkpoint):
    hooks = dict(checkpoint=dict(type='CheckpointHook', **checkpoint))
    return Config(dict(default_hooks=hooks))


def test_pointer_survives_a_move(tmp_path):
    folder = tmp_path / 'old'
    folder.mkdir()
    assert last_checkpoint(folder) is None
    (folder / 'epoch_3.pth').touch()
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_3.pth'))
    moved = folder.rename(tmp_path / 'new')
    assert last_checkpoint(moved) == moved / 'epoch_3.pth'
    (moved / 'epoch_3.pth').unlink()
    assert last_checkpoint(moved) is None


def test_goes_on_where_there_is_something(tmp_path):
    cfg = config()
    go_on(cfg, tmp_path)
    assert (cfg.resume, cfg.load_from) == (False, None)
    cfg.load_from = 'weights.pth'
    go_on(cfg, tmp_path)
    assert (cfg.resume, cfg.load_from) == (False, 'weights.pth')
    (tmp_path / 'epoch_1.pth').touch()
    (tmp_path / 'last_checkpoint').write_text('epoch_1.pth')
    go_on(cfg, tmp_path)
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / 'epoch_1.pth'))


def test_a_scorer_is_found_in_any_host():
    scorer = dict(scorer=dict(type='FrozenTeacher', checkpoint='old.pth'))
    places = {
        'model.scorer': dict(model=scorer),
        'model.data_preprocessor.scorer': dict(model=dict(data_preprocessor=scorer)),
        'data_preprocessor.scorer': dict(model=dict(), data_preprocessor=scorer),
    }
    for place, content in places.items():
        cfg = Config(content)
        assert scorer_key(cfg) == place
        give_teacher(cfg, None)
        assert cfg.to_dict() == Config(content).to_dict()
        give_teacher(cfg, 'new.pth')
        assert "'new.pth'" in str(cfg)
        assert "'old.pth'" not in str(cfg)
    assert scorer_key(Config(dict(model=dict(), data_preprocessor=None))) is None


def test_two_checkpoints_are_kept(tmp_path):
    """MMEngine deletes the last one before the next is whole."""
    for given, kept in ((1, 2), (2, 2), (5, 5), (-1, -1)):
        cfg = config(max_keep_ckpts=given)
        go_on(cfg, tmp_path)
        assert cfg.default_hooks.checkpoint.max_keep_ckpts == kept
