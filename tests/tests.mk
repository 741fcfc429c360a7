# SPDX-License-Identifier: MIT
#
# Which test programs there are and what each is linked with. Included by Makefile.
#
#   tests/unit/test_NAME.c           libdpf.a, and from src/cli what it calls
#   tests/unit/test_darknet_NAME.c   also src/dpf/darknet and the real libdarknet.so
#   tests/unit/*.c (other names)     helpers, linked into any test that calls them
#   tests/e2e/*.sh                   scripts around ./darknet, see tests/e2e/lib.sh
#   tests/fuzz/fuzz_NAME.c           fuzz targets; corpus in tests/fuzz/corpus/NAME
#
# libdarknet.so is kept out of the plain tests because loading it turns
# flush-to-zero on for the whole process.

UNIT_SRC := $(wildcard tests/unit/test_*.c)
HELP_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c)))
UNIT     := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
FUZZ     := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
SUITES   ?= unit e2e fuzz
HELP     := $(BUILD)/libhelp.a

$(HELP): $(HELP_OBJ)
	@rm -f $@ && ar rcs $@ $^

$(BUILD)/tests/test_darknet_%: $(BUILD)/tests/unit/test_darknet_%.o $(HELP) $(CLI) $(DN_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(LINK) $^ $(DN_LINK) -lcmocka $(LIBS)

$(BUILD)/tests/test_%: $(BUILD)/tests/unit/test_%.o $(HELP) $(CLI) $(LIB)
	@mkdir -p $(@D)
	$(LINK) $^ -lcmocka $(LIBS)

# In a libFuzzer build the engine brings main; elsewhere replay.c runs the corpus once.
ifneq ($(findstring fuzzer,$(SANITIZE)),)
$(BUILD)/tests/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(CLI) $(LIB)
	@mkdir -p $(@D)
	$(LINK) -fsanitize=fuzzer $^ $(LIBS)
else
$(BUILD)/tests/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(CLI) $(LIB)
	@mkdir -p $(@D)
	$(LINK) $^ $(LIBS)
endif

check: $(if $(findstring e2e,$(SUITES)),all $(BUILD)/fashion $(BUILD)/pieces $(BUILD)/bench/plot) $(UNIT) $(FUZZ)
	@BUILD=$(BUILD) tests/run $(SUITES)

fuzz-run: $(FUZZ)
	@BUILD=$(BUILD) T=$(T) tests/fuzz/run.sh

.PHONY: check fuzz-run
