"""Must be the first base of a config with `mmseg::` bases.

MMEngine does not find them where the maintained runtime is installed. Configs cannot
have import statements.
"""

__import__('mmattmask.stock_configs', fromlist=['_']).find_mmseg_configs()
