# Everything runs in an environment of its own, $(VENV), which is made when it is needed and kept until one of the
# choices below changes. A choice made once (make test TORCH=installed) holds until another is made.
#
#   PYTHON   the Python that the environment is made with: 3.11 or newer.
#   TORCH    which torch: what pip is to install ("torch==2.9.0", also with options: "torch --index-url URL"),
#            "installed" for the one that PYTHON imports already, "none" for none, "default" for the pinned version.
#   CUPY     the same for cupy ("cupy-cuda13x"); the default is none.
#   VENV     the environment's folder; those of other targets lie beside it, under its name and a suffix.
#   SIMULATE 1: make test-cuda uses the simulated CUDA device also where there is a real one.
#   ARGS     what is passed on to the command of the target: make test ARGS="-k readonly -x".

VENV ?= .venv
ARGS ?=
WORKERS ?= 2

STAMPS := $(VENV)/.interop
ENV := $(STAMPS)/environment
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

DEFAULT_PYTHON := python3
DEFAULT_TORCH := torch==2.13.0
DEFAULT_CUPY := none

# The choice as it stands: made now, or made when the environment was, or the default.
kept = $(shell sed -n 's/^$(1)=//p' $(ENV) 2>/dev/null)
choice = $(if $($(1)),$(filter-out default,$($(1))),$(call kept,$(1)))
ASKED_PYTHON := $(call choice,PYTHON)
ASKED_TORCH := $(call choice,TORCH)
ASKED_CUPY := $(call choice,CUPY)
USED_PYTHON := $(or $(ASKED_PYTHON),$(DEFAULT_PYTHON))
USED_TORCH := $(or $(ASKED_TORCH),$(DEFAULT_TORCH))
USED_CUPY := $(or $(ASKED_CUPY),$(DEFAULT_CUPY))

# What an environment was made with; where that is no longer what is wanted, it is made anew.
WANTED := PYTHON=$(ASKED_PYTHON)|TORCH=$(ASKED_TORCH)|CUPY=$(ASKED_CUPY)|$(USED_PYTHON)|$(USED_TORCH)|$(USED_CUPY)
ifneq ($(shell cat $(ENV) 2>/dev/null | tr '\n' '|'),$(WANTED)|)
STALE := stale
endif

# The frameworks beside numpy and torch, by the environments that they are tested in together: a dependency group each.
LEGS := frameworks tensorflow paddle oneapi
frameworks := jax,mlx,pyarrow,tvm_ffi,warp,array_api_strict,pandas,polars,xarray,scipy,PIL
tensorflow := tensorflow
paddle := paddle
oneapi := dpctl,dpnp

# The engines that move arrays between processes, in an environment of their own, and a framework that they meet there.
ENGINES := cloudpickle,distributed,joblib,mpi4py,ray,safetensors,jax

# The environment of the simulated CUDA device, and of a real one. tests/cudasim/versions.toml has their versions.
SIMULATED := $(VENV)-cuda
REAL := $(VENV)-gpu
CUDASIM = PYTHONPATH=tests $(USED_PYTHON) -m cudasim
pinned = $(shell sed -n 's/^\($(1)[a-z0-9-]*\) = "\(.*\)"$$/\1==\2/p' tests/cudasim/versions.toml)

# The frameworks that a test run must find, or fail.
comma := ,
TESTED := numpy$(if $(filter none,$(USED_TORCH)),,$(comma)torch)$(if $(filter none,$(USED_CUPY)),,$(comma)cupy)
export INTEROP_TEST_FRAMEWORKS ?= $(TESTED)

# pyright's package carries pyright itself; it needn't ask whether there is a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

NATIVE := setup.py $(wildcard interop/_native/*.pyx interop/_native/*.pxd interop/_native/*.pxi interop/_native/*.h)

say = @printf '\n== %s\n' '$(1)'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: bench bench-cuda bench-frameworks bench-leg clean clients demo demo-cuda distclean docs engines env format fuzz help leg lint package rehearse-gpu sanitize stale
.PHONY: test test-clients test-cuda test-engines test-frameworks test-real-cuda test-simulated-cuda thorough simulated versions

help:  ## this list
	@echo 'make TARGET [PYTHON=python3.12] [TORCH=installed] [CUPY=cupy-cuda13x] [ARGS="..."]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  \1|\2/p' Makefile | awk -F '|' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo
	@sed -n '/^#   [A-Z]/,/^$$/s/^# //p' Makefile

demo: $(STAMPS)/package  ## hand real tensors over, before your eyes
	$(call say,the demo)
	$(BIN)/python -m interop demo --out out/demo $(ARGS)

test: $(STAMPS)/package $(STAMPS)/test  ## every test, 200 examples a law
	$(call say,the tests ($(INTEROP_TEST_FRAMEWORKS)))
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-frameworks:  ## the laws with every other framework, 30 examples for each pair, in environments beside this one
	@for leg in $(LEGS); do \
	  $(MAKE) --no-print-directory leg LEG=$$leg VENV='$(VENV)'-$$leg PYTHON='$(USED_PYTHON)' TORCH='$(USED_TORCH)' CUPY=none \
	    || exit 1; done

# One of them. oneapi needs to be told where its OpenCL runtime is; it is no device to a framework that doesn't ask.
# 30 examples a law, unless HYPOTHESIS_PROFILE says otherwise: a law is tested again for each pair of frameworks.
leg: export HYPOTHESIS_PROFILE ?= pairs
leg: export INTEROP_TEST_FRAMEWORKS := $(TESTED),$($(LEG))
leg: export OCL_ICD_FILENAMES = $(wildcard $(abspath $(VENV))/lib/libintelocl.so)
leg: $(STAMPS)/lent $(STAMPS)/$(LEG)
	@$(call compiled,$(BIN)/python)
	$(call say,$(LEG): the laws with $(INTEROP_TEST_FRAMEWORKS))
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS) tests/frameworks tests/conformance/test_world.py tests/test_docs.py tests/test_takers.py tests/test_upstream.py interop/_to.py

test-engines:  ## pickle, dask, ray, MPI, DataLoader, shared memory, safetensors: the real ones, in an environment beside this one
	@$(MAKE) --no-print-directory engines VENV='$(VENV)'-engines PYTHON='$(USED_PYTHON)' TORCH='$(USED_TORCH)' CUPY=none

engines: export HYPOTHESIS_PROFILE ?= pairs
engines: export INTEROP_TEST_FRAMEWORKS := $(TESTED),$(ENGINES)
engines: $(STAMPS)/lent $(STAMPS)/engines
	@$(call compiled,$(BIN)/python)
	$(call say,the engines: $(INTEROP_TEST_FRAMEWORKS))
	$(BIN)/python -m pytest $(ARGS) tests/integrations tests/test_upstream.py interop/integrations

test-clients:  ## real libraries with this one in the place of their own conversions, in an environment beside this one
	@$(MAKE) --no-print-directory clients VENV='$(VENV)'-clients PYTHON='$(USED_PYTHON)' TORCH='$(USED_TORCH)' CUPY=none

clients: export INTEROP_TEST_FRAMEWORKS := $(TESTED),jax
clients: $(STAMPS)/lent $(STAMPS)/clients
	@$(call compiled,$(BIN)/python)
	$(call say,real clients)
	$(BIN)/python -m pytest $(ARGS) tests/clients tests/test_upstream.py

test-cuda:  ## the GPU code: on this machine's GPU, or on a simulated one
	@if [ '$(SIMULATE)' != 1 ] && $(CUDASIM) real; then \
	  if $(USED_PYTHON) -c 'import torch, cupy, pytest, hypothesis, Cython'; then \
	    $(USED_PYTHON) tests/cuda/on_gpu.py --out out/gpu --budget 900 --only build,rules,tests $(ARGS); \
	  else \
	    $(MAKE) --no-print-directory test-real-cuda VENV='$(REAL)' PYTHON='$(USED_PYTHON)' \
	      TORCH='$(or $(TORCH),$(call pinned,torch))' CUPY='$(or $(CUPY),$(call pinned,cupy))'; \
	  fi; \
	else \
	  $(MAKE) --no-print-directory test-simulated-cuda; \
	fi

rehearse-gpu: simulated  ## what tests/cuda/on_gpu.py does on a machine with a GPU, on the simulated device: out/gpu
	$(call say,a rehearsal on the simulated CUDA device)
	$(ON_SIMULATED) tests/cuda/on_gpu.py --out out/gpu --simulate --short $(ARGS)

test-real-cuda: $(STAMPS)/package $(STAMPS)/test
	$(call say,the GPU code on a CUDA device)
	$(BIN)/python -m pytest tests/cuda $(ARGS)

# Lazy mode shows what isn't waited for; in the two others the same has to hold.
test-simulated-cuda: export INTEROP_TEST_FRAMEWORKS := numpy,torch,cupy
test-simulated-cuda: simulated
	$(call say,the GPU code on the simulated CUDA device: lazy mode)
	$(ON_SIMULATED) -m pytest --simulate-cuda=lazy -n $(WORKERS) tests/cuda tests/cudasim $(ARGS)
	$(call say,the GPU code on the simulated CUDA device: eager mode, 20 examples a law)
	HYPOTHESIS_PROFILE=brief $(ON_SIMULATED) -m pytest --simulate-cuda=eager -n $(WORKERS) tests/cuda $(ARGS)
	$(call say,the GPU code on the simulated CUDA device: thread mode, 20 examples a law)
	HYPOTHESIS_PROFILE=brief $(ON_SIMULATED) -m pytest --simulate-cuda=thread -n $(WORKERS) tests/cuda $(ARGS)

demo-cuda:  ## the demo with its GPU part: on this machine's GPU, or on a simulated one
	@$(call on-a-device,interop demo --out out/demo-cuda)

bench-cuda:  ## what the GPU handoff costs the host: on this machine's GPU, or on a simulated one
	@$(call on-a-device,benchmarks --cuda)

# A module with the packages that PYTHON has where there is a GPU, which may be without a network; else simulated.
on-a-device = if [ '$(SIMULATE)' != 1 ] && $(CUDASIM) real; then \
	  $(call compiled,$(USED_PYTHON)); PYTHONPATH='$(CURDIR)' $(USED_PYTHON) -m $(1) $(ARGS); \
	else \
	  $(MAKE) --no-print-directory simulated $(SIMULATED)/cudasim/demo \
	    && $(ON_SIMULATED) -m cudasim run --mode eager -m $(1) $(ARGS); \
	fi

# torch and cupy for CUDA with the simulated device, and the package from this folder.
ON_SIMULATED = PYTHONPATH='$(CURDIR)' $(SIMULATED)/bin/python
simulated:
	@$(CUDASIM) env $(SIMULATED) --python $(USED_PYTHON) >/dev/null
	@$(call compiled,$(SIMULATED)/bin/python)

$(SIMULATED)/cudasim/demo: pyproject.toml | simulated
	$(call say,what the demo and the charts need)
	@$(SIMULATED)/bin/python $(wants) demo \
	  | xargs -d '\n' $(SIMULATED)/bin/python -m pip -qq --disable-pip-version-check --no-input install
	@touch $@

# The core compiled in place, unless it has been, in another environment with the same Python: for setuptools it would
# always be old, since Cython's own files are newer here.
define compiled
newest=$$(ls -t $(NATIVE) | head -n 1); \
suffix=$$($(1) -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'); \
for source in interop/_native/*.pyx; do \
  [ "$${source%.pyx}$$suffix" -nt "$$newest" ] || { $(1) setup.py -q build_ext --inplace; break; }; \
done
endef

# What the package asks for, and these extras of it, a line each.
wants = -c 'import sys, tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
  extras = project["optional-dependencies"]; \
  print(*project["dependencies"], *(line for name in sys.argv[1:] for line in extras[name]), sep="\n")'

thorough: $(STAMPS)/package $(STAMPS)/test  ## the same with 5000 examples a law: hours
	$(call say,the tests with 5000 examples a law ($(INTEROP_TEST_FRAMEWORKS)))
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n $(WORKERS) -o faulthandler_timeout=0 $(ARGS)

package: $(STAMPS)/package $(STAMPS)/test  ## build sdist and wheel, and try them in empty environments
	$(call say,the distributions in empty environments)
	INTEROP_TEST_FRAMEWORKS=numpy $(BIN)/python -m pytest -m packaging tests/test_packaging.py $(ARGS)

sanitize: $(STAMPS)/package $(STAMPS)/test  ## the tests of the Cython core, compiled to find reads and writes beyond memory
	$(call say,the Cython core under the sanitizers of addresses and undefined behaviour)
	$(BIN)/python tests/sanitize.py -n $(WORKERS) $(ARGS)

fuzz: $(STAMPS)/package $(STAMPS)/test  ## random calls against an oracle of their own: ARGS="--calls 1000000 --seed 7"
	$(call say,random calls ($(INTEROP_TEST_FRAMEWORKS)))
	PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

bench: $(STAMPS)/package $(STAMPS)/bench  ## measure against the budgets and the peers
	$(call say,the benchmarks)
	$(BIN)/python -m benchmarks $(ARGS)

bench-frameworks: bench  ## the same with the frameworks that need an environment of their own: benchmarks/out/NAME
	@for leg in $(filter-out frameworks,$(LEGS)) engines; do \
	  $(MAKE) --no-print-directory bench-leg LEG=$$leg VENV='$(VENV)'-$$leg PYTHON='$(USED_PYTHON)' TORCH='$(USED_TORCH)' CUPY=none \
	    || exit 1; done

bench-leg: export OCL_ICD_FILENAMES = $(wildcard $(abspath $(VENV))/lib/libintelocl.so)
bench-leg: $(STAMPS)/lent $(STAMPS)/$(LEG)
	@$(call compiled,$(BIN)/python)
	$(call say,$(LEG): its routes)
	$(BIN)/python -m benchmarks --leg $(LEG) $(ARGS)

lint: $(STAMPS)/package $(STAMPS)/lint  ## ruff, mypy strict, pyright
	$(call say,ruff)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(call say,mypy)
	$(BIN)/mypy
	$(call say,pyright)
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(STAMPS)/lint  ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(STAMPS)/package $(STAMPS)/docs  ## the documentation, warnings as errors: docs/_build/html
	$(call say,the documentation)
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html $(ARGS)
	@echo 'docs/_build/html/index.html'

env: $(STAMPS)/package $(STAMPS)/test  ## the environment alone

versions:  ## the tests in every supported version of numpy, torch and Python that is here: minutes each
	$(call say,the supported versions)
	$(or $(ASKED_PYTHON),$(DEFAULT_PYTHON)) tests/versions.py $(ARGS)

clean:  ## remove what was built
	rm -rf build dist out benchmarks/out docs/_build docs/_static/generated *.egg-info
	rm -rf .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f interop/_native/*.c interop/_native/*.html interop/_native/*.so
	rm -f $(STAMPS)/package
	find interop tests benchmarks docs -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## remove the environments too
	@for venv in $(VENV) $(REAL) $(addprefix $(VENV)-,engines $(LEGS)); do if [ -d $$venv/.interop ]; then rm -rf $$venv; fi; done
	@if [ -d $(SIMULATED)/cudasim ]; then rm -rf $(SIMULATED); fi

# What can't be had from an index: the packages that another environment has, after our own on the path.
define provide
	@case '$(2)' in \
	none) ;; \
	installed) \
	  $(USED_PYTHON) -c 'import $(1), pathlib; print(pathlib.Path($(1).__file__).parent.parent)' \
	    > $(BIN)/../$(1).folder || { echo '$(USED_PYTHON) can not import $(1): choose another build (make help)' >&2; exit 1; }; \
	  cp $(BIN)/../$(1).folder "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/$(1)_installed.pth" ;; \
	*) \
	  echo '$(2)'; printf '%s' '$(2)' | xargs $(PIP) install ;; \
	esac
endef

# Made from nothing, or not at all: one that failed half-way has no stamp.
$(ENV): $(STALE)
	@if [ -e $(VENV) ] && [ ! -d $(STAMPS) ]; then \
	  echo '$(VENV) is there and was not made here: remove it, or choose another folder with VENV=' >&2; exit 1; fi
	@$(USED_PYTHON) -c 'import sys; sys.exit("interop needs Python 3.11 or newer, and $(USED_PYTHON) is " \
	  + sys.version.split()[0] + ": choose another with PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(call say,a new environment: $(VENV))
	@rm -rf $(VENV)
	@mkdir -p $(STAMPS)
	@$(USED_PYTHON) -m venv $(VENV)
	@$(PIP) install 'pip>=25.1'
	$(call say,torch: $(USED_TORCH))
	$(call provide,torch,$(USED_TORCH))
	$(call say,cupy: $(USED_CUPY))
	$(call provide,cupy,$(USED_CUPY))
	@printf '%s\n' '$(WANTED)' | tr '|' '\n' > $@

# The package from this folder, its core compiled in place, with what the demo needs. Python files count at once.
$(STAMPS)/package: $(ENV) pyproject.toml $(NATIVE)
	$(call say,the package and its Cython core)
	@$(PIP) install --group build
	@$(PIP) install --no-build-isolation --editable '.[cli,demo,testing]'
	@touch $@

# The same for an environment whose tests take the core as it lies there: the folder is on its path.
$(STAMPS)/lent: $(ENV) pyproject.toml
	$(call say,what the package needs)
	@$(PIP) install --group build
	@$(BIN)/python $(wants) cli demo testing | xargs -d '\n' $(PIP) install
	@echo '$(CURDIR)' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/interop_lent.pth"
	@touch $@

$(addprefix $(STAMPS)/,test lint docs bench engines clients $(LEGS)): $(ENV) pyproject.toml
	$(call say,what $(@F) needs)
	@$(PIP) install --group $(@F)
	@touch $@
