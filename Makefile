# SPDX-License-Identifier: MIT
#
# darknet-dpf. `make demo` and `make test` do everything, also as the first command
# on a fresh machine: they install what is missing, then call make again.
#
# What must stay true: objects of different flags never mix (build/NAME per kind of
# build, and $(BUILD)/flags makes everything new when a flag changes), and only
# src/dpf/darknet is compiled with Darknet's header in reach.

VERSION  := 0.1.0
SOVERSION := 0

# What a user may set: make DARKNET=DIR CC=clang CFLAGS=-O1 WERROR=1 DNNL=0 SANITIZE=address V=1
DARKNET  ?= /usr/lib/darknet
PREFIX   ?= /usr/local
CFLAGS   ?= -O3 -g
SANITIZE ?=
WERROR   ?= 0
SEEDS    ?= 1
T        ?= 60
DNNL     ?= $(shell echo '\#include <dnnl.h>' | $(CC) -E -x c - >/dev/null 2>&1 && echo 1 || echo 0)

# Another kind of build has another folder.
comma  := ,
BUILD  := build/$(if $(SANITIZE),$(subst $(comma),-,$(SANITIZE)),release)$(if $(filter 0,$(DNNL)),-nodnnl)

WARN    := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
FLAGS   := -std=c11 -fopenmp -fPIC $(WARN) $(if $(filter 1,$(WERROR)),-Werror)
FLAGS   += $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
FLAGS   += -D_GNU_SOURCE -DDPF_VERSION='"$(VERSION)"' $(if $(filter 0,$(DNNL)),-DDPF_NO_DNNL) -Isrc
SAY      = $(if $(V),,@echo '  $(1)' $(2);)
COMPILE  = $(call SAY,CC,$<)$(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
LINK     = $(call SAY,LD,$@)$(CC) $(FLAGS) $(CFLAGS) -Wl,--as-needed $(LDFLAGS) -o $@
LIBS    := $(if $(filter 0,$(DNNL)),,-ldnnl) -lopenblas -lstb -lzstd -lxxhash -lz -lm -lpthread

# Darknet: a folder with libdarknet.so and include/darknet.h in it or beside it.
DN_HEADER := $(firstword $(wildcard $(DARKNET)/include/darknet.h $(DARKNET)/../include/darknet.h))
DN_LINK   := -L$(DARKNET) -ldarknet -Wl,-rpath,$(abspath $(DARKNET))

# Sources: a file of src/ is found by its folder. Kernels end in their instruction set.
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
OTHER   := $(if $(filter x86_64,$(MACHINE)),,%_avx2.c %_avx512.c) $(if $(filter aarch64,$(MACHINE)),,%_neon.c)
LIB_SRC := $(filter-out $(OTHER),$(wildcard $(patsubst %,src/dpf/%/*.c,core kernels model runtime)))
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
DN_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/dpf/darknet/*.c))
CLI_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard src/cli/*.c src/cli/*/*.c))
CLI_LIB_OBJ := $(filter-out %/main.o,$(CLI_OBJ))

LIB  := $(BUILD)/libdpf.a
SO   := $(BUILD)/libdpf.so.$(VERSION)
CLI  := $(BUILD)/libcli.a

all: $(if $(wildcard src/cli/main.c),$(if $(SANITIZE),$(BUILD)/darknet,darknet)) $(LIB) $(SO) ## build the program and the library

# The program
darknet: $(BUILD)/darknet
	@cp $< $@

# libdarknet.so calls functions that the program defines too (gemm, rand, ...): the
# linker exports those by itself, so Darknet uses ours.
$(BUILD)/darknet: $(CLI_OBJ) $(DN_OBJ) $(LIB)
	$(LINK) $^ $(DN_LINK) $(LIBS)

# The library: everything but Darknet
$(LIB): $(LIB_OBJ)
	@rm -f $@ && ar rcs $@ $^

$(SO): $(LIB_OBJ) tools/libdpf.map
	$(LINK) -shared -Wl,-soname,libdpf.so.$(SOVERSION) -Wl,--version-script,tools/libdpf.map $(LIB_OBJ) $(LIBS)

$(CLI): $(CLI_LIB_OBJ)
	@rm -f $@ && ar rcs $@ $^

# Objects
$(BUILD)/%_avx2.o: ISA := -mavx2 -mfma
$(BUILD)/%_avx512.o: ISA := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma

$(BUILD)/src/dpf/darknet/%.o $(BUILD)/tests/unit/test_darknet_%.o $(BUILD)/tests/unit/darknet_%.o: DN_INCLUDE = -isystem $(dir $(DN_HEADER))
$(BUILD)/src/dpf/darknet/%.o: src/dpf/darknet/%.c $(BUILD)/flags
	$(if $(DN_HEADER),,$(error No include/darknet.h in or beside $(DARKNET). Run tools/install-deps.sh, or make DARKNET=DIR))
	@mkdir -p $(@D)
	$(COMPILE) $(DN_INCLUDE)

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) $(ISA) $(DN_INCLUDE)

$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(abspath $(DARKNET))' | cmp -s - $@ || \
	    echo '$(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(abspath $(DARKNET))' > $@

# Data
$(BUILD)/fashion $(BUILD)/pieces: $(BUILD)/%: $(BUILD)/data/%.o
	$(LINK) $^ -lstb -lz -lm

data: $(BUILD)/fashion ## Fashion-MNIST as PNG files and lists, in build/data/fashion
	@test -f build/data/fashion/fashion.data || { mkdir -p build/data && $(BUILD)/fashion build/data/fashion; }

include tests/tests.mk

# Anything a first command needs is installed before make reads the headers again.
TSAN := CC=clang SANITIZE=thread CFLAGS='-O1 -g'
test: ## build and run all tests, then asan, and tsan where clang is; last line: N passed, N failed
	@DARKNET=$(DARKNET) tools/install-deps.sh test
	@rm -f build/tally
	+@TALLY=build/tally $(MAKE) --no-print-directory check
	+@if command -v clang >/dev/null; then TALLY=build/tally $(MAKE) --no-print-directory tsan-run $(TSAN); fi
	+@TALLY=build/tally $(MAKE) --no-print-directory asan

test-neon: ## the kernels of inference on 64-bit ARM, emulated; skipped where its compiler is missing
	@tests/neon/run.sh

asan: ## unit tests and fuzz corpora under address and undefined-behaviour sanitizers
	@DARKNET=$(DARKNET) tools/install-deps.sh test
	+@$(MAKE) --no-print-directory check SANITIZE=address,undefined CFLAGS='-O1 -g' SUITES='unit fuzz'

# Clang's OpenMP has a tool, Archer, that tells the sanitizer who waits for whom; gcc's has none, and every loop
# would be reported. oneDNN and OpenBLAS are not compiled for the sanitizer: what they do inside is not looked at.
tsan: ## several threads and models at once under the thread sanitizer
	@DARKNET=$(DARKNET) tools/install-deps.sh fuzz
	+@$(MAKE) --no-print-directory tsan-run $(TSAN)

tsan-run: $(BUILD)/tests/test_threads
	@BUILD=$(BUILD) ONLY=test_threads TSAN_OPTIONS=ignore_noninstrumented_modules=1 \
	    OMP_TOOL_LIBRARIES="$$(dirname "$$(readlink -f "$$(command -v clang)")")/../lib/libarcher.so" tests/run unit

fuzz: ## run every fuzz target for T=60 seconds
	@DARKNET=$(DARKNET) tools/install-deps.sh fuzz
	+@$(MAKE) --no-print-directory fuzz-run CC=clang SANITIZE=fuzzer-no-link,address,undefined CFLAGS='-O1 -g'

lint: ## includes, formats, file heads, static checks
	@DARKNET=$(DARKNET) tools/install-deps.sh lint
	@tools/lint.sh

format: ## clang-format every source
	clang-format -i $(shell find src tests bench data -name '*.[ch]' 2>/dev/null)

demo: ## train dense and 95 % sparse on Fashion-MNIST, SEEDS=1 times; print the table
	@DARKNET=$(DARKNET) tools/install-deps.sh demo
	+@$(MAKE) --no-print-directory all data
	@SEEDS=$(SEEDS) tools/demo.sh

bench: all data $(patsubst bench/%.c,$(BUILD)/bench/%,$(wildcard bench/*.c)) ## the figures of the README
	@BUILD=$(BUILD) bench/run.sh

$(BUILD)/bench/plot: $(BUILD)/bench/plot.o $(CLI) $(LIB) # needs no Darknet
	$(LINK) $^ $(LIBS)

$(BUILD)/bench/%: $(BUILD)/bench/%.o $(CLI) $(DN_OBJ) $(LIB)
	$(LINK) $^ $(DN_LINK) $(LIBS)

# Debian's own program is /usr/bin/darknet: ours is installed as darknet-dpf.
D := $(DESTDIR)$(PREFIX)
install: all ## install under PREFIX=/usr/local (and DESTDIR=)
	install -d $(D)/bin $(D)/lib/pkgconfig $(D)/include $(D)/share/man/man1 $(D)/share/darknet-dpf/cfg
	install -m 755 $(BUILD)/darknet $(D)/bin/darknet-dpf
	install -m 644 $(LIB) $(D)/lib/libdpf.a
	install -m 755 $(SO) $(D)/lib/libdpf.so.$(VERSION)
	ln -sf libdpf.so.$(VERSION) $(D)/lib/libdpf.so.$(SOVERSION)
	ln -sf libdpf.so.$(SOVERSION) $(D)/lib/libdpf.so
	if [ -f src/dpf/dpf.h ]; then install -m 644 src/dpf/dpf.h $(D)/include/dpf.h; fi
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@LIBS@|$(LIBS)|' tools/dpf.pc.in \
	    > $(D)/lib/pkgconfig/dpf.pc
	install -m 644 docs/darknet-dpf.1 $(D)/share/man/man1/darknet-dpf.1
	install -m 644 cfg/*.cfg $(D)/share/darknet-dpf/cfg

uninstall: ## remove what install wrote
	rm -f $(D)/bin/darknet-dpf $(D)/lib/libdpf.a $(D)/lib/libdpf.so $(D)/lib/libdpf.so.$(SOVERSION)
	rm -f $(D)/lib/libdpf.so.$(VERSION) $(D)/include/dpf.h $(D)/lib/pkgconfig/dpf.pc
	rm -f $(D)/share/man/man1/darknet-dpf.1
	rm -rf $(D)/share/darknet-dpf

clean: ## remove everything that was built
	rm -rf build darknet

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

FORCE:
.SECONDARY: # keep the objects of tests
.DELETE_ON_ERROR:
.PHONY: all data test test-neon asan tsan tsan-run fuzz lint format demo bench install uninstall clean help FORCE

-include $(wildcard $(addprefix $(BUILD)/,src/cli/*.d src/cli/*/*.d src/dpf/*/*.d tests/*/*.d bench/*.d data/*.d))
