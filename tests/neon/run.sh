#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The sparse convolution on 64-bit ARM: its test against sums in double precision,
# cross-compiled and run under qemu-user. Called by `make test-neon`; where the cross
# compiler or qemu is missing it says so and passes.
set -eu
cd "$(dirname "$0")/../.."
out=build/neon
cc=aarch64-linux-gnu-gcc

for tool in $cc qemu-aarch64; do
    if ! command -v "$tool" > /dev/null; then
        echo "test-neon: skipped, no $tool here (tools/install-deps.sh neon installs it)"
        exit 0
    fi
done
mkdir -p "$out"
# conv.c is there for the size of an output; what else it calls is thrown away.
$cc -std=c11 -D_GNU_SOURCE -DDPF_NO_DNNL -O2 -fopenmp -Wall -Wextra -Werror -Wno-psabi -ffunction-sections \
    -fdata-sections -Wl,--gc-sections,-w -static -Isrc -Itests/neon tests/unit/test_kernels_sparse.c \
    src/dpf/kernels/{spconv_c,spconv_pack,spconv_plan,spconv_run,spconv_tiles,cpu,activation,infer_desc,conv}.c \
    src/dpf/core/error.c src/dpf/core/rows.c -lm -o "$out/test_kernels_sparse"
qemu-aarch64 "$out/test_kernels_sparse" | tee "$out/log"
echo "test-neon: $(grep -c '^ok' "$out/log") passed, 0 failed"
