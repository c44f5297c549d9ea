# make demo            pre-train on photographs on this machine; DATA=<folder> for yours
# make test            set up everything, compiled mmcv ops included, and run all tests
# make test-official   the pre-training tests on the official OpenMMLab packages
# make docs            build/docs/index.html: guides, configs, API
# make notebooks       docs/notebooks from examples/
# make upstream        build/upstream/projects: parts for a pull request to MMPretrain
# make gpu-check       correctness and speed on one GPU, 8 minutes at most
# make study-block     one seed of the study's positive control: 13 CPU minutes;
#                      OBJECTS=<CIFAR-10's train.npz and test.npz> SCENES=<photographs>
# make lint | format | wheel | clean
#
# PYTHON names the interpreter to build .venv with (3.10, 3.11 or 3.12);
# PYTEST_ARGS is handed to pytest, GPU_CHECK_ARGS to benchmarks/gpu_check.py.

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test test-official gpu-check study-block docs notebooks upstream lint format wheel clean

INPUTS := setup.py pyproject.toml requirements/tested.txt requirements/install.sh
# More threads than cores slow PyTorch down; so do many threads on small tensors.
export OMP_NUM_THREADS ?= $(shell n=$$(nproc 2>/dev/null || echo 1); \
  [ $$n -lt 8 ] && echo $$n || echo 8)
export PYTHON

demo: .venv/.ready-demo
	.venv/bin/python examples/demo.py $(if $(DATA),--data "$(DATA)")

# Tests run side by side, file by file, one thread each.
test test-official: export OMP_NUM_THREADS = 1
PYTEST = -m pytest --numprocesses auto --dist loadfile

test: .venv/.ready-test
	@if [ -e .venv/.mmcv-ops ]; then \
	  .venv/bin/python $(PYTEST) $(PYTEST_ARGS); \
	else \
	  echo 'No compiled mmcv ops here: leaving out the tests marked downstream.'; \
	  .venv/bin/python $(PYTEST) -m 'not downstream' $(PYTEST_ARGS); \
	fi

# Not repeated on the official packages: tensors, drawings, pages, statistics.
OURS = benchmarks docs export masking mask_generators reporting visualization \
  'comparison/test_[!h]*'

test-official: .venv-official/.ready-official
	.venv-official/bin/python $(PYTEST) -m 'not downstream and not onedl' \
	  $(OURS:%=--ignore-glob=tests/%) $(PYTEST_ARGS)

gpu-check: .venv/.ready-demo
	.venv/bin/python benchmarks/gpu_check.py --minutes 8 $(GPU_CHECK_ARGS)

study-block: export OMP_NUM_THREADS = 1
study-block: .venv/.ready-demo
	.venv/bin/python benchmarks/objects_on_scenes.py --objects "$(OBJECTS)" --scenes "$(SCENES)"
	.venv/bin/mmattmask compare configs/study/compare_objects.py --seeds 1 \
	  --runs random random_throw true true_am true_amt shuffled anti \
	  --devices $$(yes cpu | head -n $$(nproc))

lint: .venv/.ready-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/.ready-dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: .venv/.ready-dev
	.venv/bin/python -m sphinx -W --keep-going -q -c docs . build/docs
	@echo build/docs/index.html

notebooks: .venv/.ready-dev
	.venv/bin/python docs/make_notebooks.py

upstream: .venv/.ready-demo
	.venv/bin/python -m projects.export build/upstream

wheel: .venv/.ready-demo
	rm -rf build dist
	.venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	rm -rf build
	@ls dist

clean:
	rm -rf .venv .venv-official build dist *.egg-info mmattmask/.mim \
	  .pytest_cache .ruff_cache .mypy_cache .hypothesis

# A stamp is written when its stage is complete: a set-up that was stopped is taken
# up again. Each stage of .venv holds the ones before it.
.venv/.ready-demo: $(INPUTS)
	requirements/install.sh demo .venv
	touch $@

.venv/.ready-dev: $(INPUTS)
	requirements/install.sh dev .venv
	touch .venv/.ready-demo $@

.venv/.ready-test: $(INPUTS) requirements/build_mmcv.sh
	requirements/install.sh test .venv
	touch .venv/.ready-demo .venv/.ready-dev $@

.venv-official/.ready-official: $(INPUTS)
	requirements/install.sh official .venv-official
	touch $@
