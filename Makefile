# darknet-dpf. `make demo` and `make test` do everything, also on a fresh machine.
DARKNET ?= /usr/lib/darknet
CC      ?= cc
CFLAGS  ?= -O3 -g
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
CPPFLAGS += -D_GNU_SOURCE -Isrc
ALLFLAGS = -std=c11 -fopenmp -fPIC $(WARN) $(CPPFLAGS) $(CFLAGS)
DN_INCLUDE := $(firstword $(wildcard $(DARKNET)/include/darknet.h $(DARKNET)/../include/darknet.h))
LIBS := -ldnnl -lopenblas -lzstd -lxxhash -lz -lm -lpthread

LIB_SRC := $(wildcard src/dpf/core/*.c src/dpf/kernels/*.c src/dpf/model/*.c src/dpf/runtime/*.c)
DN_SRC  := $(wildcard src/dpf/darknet/*.c)
CLI_SRC := $(wildcard src/cli/*.c)
LIB_OBJ := $(LIB_SRC:%.c=build/%.o)
DN_OBJ  := $(DN_SRC:%.c=build/%.o)
CLI_OBJ := $(CLI_SRC:%.c=build/%.o)

all: darknet

darknet: $(CLI_OBJ) $(DN_OBJ) libdpf.a
	$(CC) $(ALLFLAGS) -o $@ $^ -L$(DARKNET) -ldarknet -Wl,-rpath,$(DARKNET) $(LIBS)

libdpf.a: $(LIB_OBJ)
	ar rcs $@ $^

build/src/dpf/darknet/%.o: src/dpf/darknet/%.c
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -isystem $(dir $(DN_INCLUDE)) -MMD -c -o $@ $<

build/%_avx2.o: CFLAGS += -mavx2 -mfma
build/%_avx512.o: CFLAGS += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma

build/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -MMD -c -o $@ $<

clean:
	rm -rf build darknet libdpf.a libdpf.so*

-include $(LIB_OBJ:.o=.d) $(DN_OBJ:.o=.d) $(CLI_OBJ:.o=.d)
.PHONY: all clean
