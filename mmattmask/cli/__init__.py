"""What tools/ runs: training and testing a config from the command line."""

from mmattmask.runtime import check_runtime

check_runtime()
