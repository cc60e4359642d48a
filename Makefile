# Two commands do everything on a machine with Python 3.11 and make: `make demo` and `make test`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

DEVICE_TOOLS := adb chromium g++ gcc-aarch64-linux-gnu libc6-dev-arm64-cross openssh-client openssh-server postgresql qemu-user-static

.PHONY: demo test device-tools device-runtimes check unit parity e2e adbd-conformance coreml-conformance all-models benchmark clean

demo: $(READY)  ## train a small network on real digits, export it everywhere, verify, report
	$(BIN)/edge demo --out demo

test: $(READY)  ## every test that needs no phone
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

device-tools:  ## Debian's adb, qemu, compilers, browser, ssh and PostgreSQL, without which tests that need them are skipped (as root)
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(DEVICE_TOOLS) >/dev/null; \
	else echo "not root on Debian: tests that need one of $(DEVICE_TOOLS) are skipped where it is missing"; fi

device-runtimes: $(READY)  ## LiteRT.js and onnxruntime-web from npm, LiteRT for arm64 from PyPI; without them, tests are skipped
	-$(BIN)/python -m devices._browser
	-$(BIN)/python -m devices._runners

check: $(READY)  ## style, types, and which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit parity e2e: $(READY)  ## one folder of the tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/$@

adbd-conformance: $(READY)  ## the tests of the fake phone's adbd against a real one, Debian's, in a network of its own: a minute
	$(BIN)/python -m tests.conformance.adbd

coreml-conformance: $(READY)  ## all 10,044 cases of coremltools' own operator tests on our runtime: some 35 minutes of one core
	$(BIN)/python -m tests.conformance --summary build/coreml-conformance.json

all-models: $(READY)  ## every variant up to 40 M parameters to every target, verified: half an hour
	$(BIN)/python tests/benchmarks/all_models.py

benchmark: $(READY)  ## our files and conversions against the vendors' own paths, as ratios
	$(BIN)/python tests/benchmarks/latency.py
	$(BIN)/python tests/benchmarks/conversion.py
	$(BIN)/python tests/benchmarks/coreml_runtime.py

# torch comes first and alone: with it there, no other package asks for a build of its own
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo *.egg-info
