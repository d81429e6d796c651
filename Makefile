# Three commands do everything on a fresh machine: `make study`, `make lab` and `make test`.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
# What is installed beside the package; EXTRAS=notebooks,test,browser adds Playwright for tests/browser.
EXTRAS ?= notebooks,test
# Threads that wait by spinning steal from each other on a machine that does anything else: ten times slower, measured.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: study lab test lint pictures clean

study: $(STAMP)
	$(VENV)/bin/astrolab run lora_vs_transfer
	@echo 'To go on in this terminal: source $(VENV)/bin/activate, then astrolab --help'

# JupyterLab opens lab/, which git ignores: working copies of the notebooks beside links to the results and the docs; the
# notebooks themselves are not listed. The address is printed, whether a browser is found here or not.
# LAB=--no-browser, or any other option of jupyter lab.
RUNS := $(or $(ASTROLAB_RUNS_DIR),runs)
lab: export ASTROLAB_RUNS_DIR := $(CURDIR)/lab/runs
lab: export JUPYTER_CONFIG_PATH := $(CURDIR)/.jupyter:$(JUPYTER_CONFIG_PATH)
lab: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
lab: $(STAMP)
	@$(VENV)/bin/python .jupyter/lay_out_lab.py '$(RUNS)'
	$(VENV)/bin/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/lab/00_welcome.ipynb \
	  $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB)

test: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/python -m pytest

lint: $(STAMP)
	$(VENV)/bin/ruff check .

# Pictures of the README (but of real data) and of the explorers, and docs/example/, from one run; needs EXTRAS=notebooks,test,browser.
pictures: $(STAMP)
	$(VENV)/bin/python docs/make_pictures.py

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("astrolab needs Python >= 3.11; set PYTHON=/path/to/python") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip uv
	@# Bytecode is made once here: where Python may not write it, every import of torch would compile it again.
	$(VENV)/bin/uv pip install --compile-bytecode --python $(VENV)/bin/python --editable '.[$(EXTRAS)]'
	touch $(STAMP)

clean:
	rm -rf $(VENV)
