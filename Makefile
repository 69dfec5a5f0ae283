# Two commands: `make run` (set-up and the main job on the embedded data) and `make test`.
# Paths are relative throughout, so that the folder's own path may hold blanks.

PYTHON ?= python3
PY := .venv/bin/python
# An epoch of the embedded data is ten batches, so there are more epochs than on MNIST.
EPOCHS := --epochs 40 --warmup-epochs 20 --brief-epochs 20 --retrain-epochs 60 --log-interval 20
QUICK := $(PY) MNIST/main.py --sweep --dataset digits --rate 0.02 $(EPOCHS)

CPP = $(wildcard $(foreach folder,src src/undirected src/directed tests tests/directed fuzz,oslom/$(folder)/*.h oslom/$(folder)/*.cpp))

# What the benchmark of the OSLOM programs needs: an interpreter that has pyoslom==0.1.6, the folder of reference
# graphs, and the vertices of the largest graph.
OLD = $(error name an interpreter that has pyoslom==0.1.6: make bench-oslom OLD=path/to/python)
REFERENCE := ../shared/oslom-reference
LARGEST := 1000000

.PHONY: run test sanitize soak coverage lint setup oslom publish bench bench-ccme bench-null bench-untrained bench-oslom zoo clean

run: setup
	$(QUICK)
	@echo
	@echo "Look into MNIST/saved_models/digits/: checkpoints, metrics files, the rounds' edge and tp files, the report and its pictures."
	@echo "Next, the published experiment on MNIST (about half an hour on two cores for both networks):"
	@echo "    cd MNIST && ./spec.lenet_300_100.sh && ./spec.lenet_5.sh"

# One core installs packages while another compiles the unit tests with their sanitizers.
test:
	$(MAKE) -j2 setup sanitize
	$(MAKE) lint
	$(PY) -m pytest -n auto --dist loadscope --no-loadscope-reorder

# The unit tests, too, of which `make -C oslom test` is the quick form.
sanitize:
	$(MAKE) -C oslom sanitize

# Sweeps killed two hundred times at random moments, for half an hour: what they leave has to be what others leave.
soak: setup
	$(PY) tests/soak.py

# All tests again, slower, and which lines of specdnn none of them runs.
coverage: setup
	rm -f .coverage .coverage.*
	$(PY) -m coverage run -m pytest -n auto --dist loadscope
	$(PY) -m coverage combine --quiet
	$(PY) tests/uncovered.py
	$(PY) -m coverage report --format=total

lint: .venv/ready
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/clang-format --dry-run --Werror $(CPP)

setup: .venv/ready oslom

# The packages are installed once per change of the files that name them.
.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

oslom:
	$(MAKE) -C oslom

publish: setup
	$(PY) MNIST/main.py --publish
	$(PY) CIFAR10/main.py --publish

# RESNET: a trained ResNet-20; MNIST_DATA and CIFAR_DATA: folders of the images. `make bench` does without what is not
# there, and says so; ONLY names some of its sections.
RESNET = $(error name a trained ResNet-20: make bench-untrained RESNET=path/to/resnet20-12fca82f.th)
MNIST_DATA := MNIST/data
CIFAR_DATA := CIFAR10/data
ONLY :=
IMAGES = --mnist "$(MNIST_DATA)" --cifar "$(CIFAR_DATA)" $(if $(filter file,$(origin RESNET)),,--resnet "$(RESNET)")

bench: setup
	$(if $(ONLY),,$(PY) benchmarks/network_speed.py)
	$(if $(ONLY),,$(PY) benchmarks/export_speed.py)
	$(PY) benchmarks/results.py $(IMAGES) $(if $(ONLY),--only $(ONLY))

bench-null: setup
	$(PY) benchmarks/null_networks.py --mnist "$(MNIST_DATA)"

bench-ccme: setup
	$(PY) benchmarks/ccme.py --reference "$(REFERENCE)"

bench-untrained: setup
	$(PY) benchmarks/untrained.py --resnet "$(RESNET)" --mnist "$(MNIST_DATA)" --cifar "$(CIFAR_DATA)"

bench-oslom: setup
	$(PY) benchmarks/oslom_speed.py --python "$(OLD)" --reference "$(REFERENCE)"
	$(PY) benchmarks/oslom_growth.py --largest $(LARGEST)

# Twenty-three networks cut at random, in an environment of their own: setup's, with what only they need on top.
zoo: setup
	$(PY) -m venv .venv/zoo
	$(PY) -c "import sysconfig; print(sysconfig.get_path('purelib'))" > "$$(.venv/zoo/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/setup.pth"
	.venv/zoo/bin/python -m pip install --disable-pip-version-check -r benchmarks/requirements-zoo.txt
	PYTHONPATH="$(CURDIR)" .venv/zoo/bin/python benchmarks/zoo.py

clean:
	$(MAKE) -C oslom clean
	rm -rf .venv MNIST/saved_models CIFAR10/saved_models
