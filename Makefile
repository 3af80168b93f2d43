# make demo: 32 bars at once, then the whole line on Bach's chorales, with pictures and sound.   make test: the tests.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin
WORK ?= melo
# make demo FROM=default: training on the chorales starts from the weights that come with meloctl.
FROM ?=
export MELOCTL_WORK = $(WORK)
SHELL = bash
.SHELLFLAGS = -o pipefail -c

# Installs packages, with a line for each that is fetched: a quiet pip says nothing for a minute. Python compiles what it imports.
INSTALL = $(RUN)/python -m pip install --no-compile --progress-bar off --disable-pip-version-check -c constraints.txt
SHORT = awk '/Downloading|Using cached|Building/ {print $$1, $$2, $$3, $$4, $$5; fflush()} /^Installing/ {print $$1, NF - 3, "packages"; fflush()}'

.PHONY: demo test test-all lint format type check clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "meloctl needs Python 3.11 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) torch | $(SHORT)
	$(INSTALL) -e . | $(SHORT)
	touch $@

$(VENV)/developed: $(VENV)/installed
	$(INSTALL) -e '.[dev]' | $(SHORT)
	touch $@

demo: $(VENV)/installed
	$(RUN)/meloctl generate --bars 32 --model default
	$(RUN)/meloctl generate --bars 32 --model default --text "a thunderstorm"
	$(RUN)/meloctl corpus chorales
	$(RUN)/meloctl stats $(WORK)/corpus/chorales
	$(RUN)/meloctl derive-mask
	$(RUN)/meloctl train --minutes 2 $(if $(FROM),--from $(FROM))
	$(RUN)/meloctl generate --bars 32

# Two processes, the tests of one file in one of them, since they share what they train; one thread each, since what they compute is
# too small to be shared out.
TEST = OMP_NUM_THREADS=1 $(RUN)/python -m pytest -q -n 2 --dist loadscope

test: $(VENV)/developed
	$(TEST)

test-all: $(VENV)/developed
	$(TEST) -m 'slow or not slow'

lint: $(VENV)/developed
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

format: $(VENV)/developed
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

type: $(VENV)/developed
	$(RUN)/mypy --strict analysis masks
	$(RUN)/mypy meloctl

check: lint type test

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
