#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The sparse and the depthwise convolution on 64-bit ARM: their tests against sums in double
# precision, cross-compiled and run under qemu-user. Called by `make test-neon`; where the
# cross compiler or qemu is missing it says so and passes.
set -euo pipefail
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
kernels=src/dpf/kernels
sparse=$(echo $kernels/spconv_{c,pack,plan,run,tiles}.c)
# build TEST SOURCE...: conv.c is there for the size of an output; what else it calls is thrown away.
build() {
    # shellcheck disable=SC2086 # a list of files
    $cc -std=c11 -D_GNU_SOURCE -DDPF_NO_DNNL -O2 -fopenmp -Wall -Wextra -Werror -Wno-psabi -ffunction-sections \
        -fdata-sections -Wl,--gc-sections,-w -static -Isrc -Itests/neon "tests/unit/$1.c" $sparse "${@:2}" \
        $kernels/{cpu,activation,infer_desc,conv}.c src/dpf/core/error.c src/dpf/core/rows.c -lm -o "$out/$1"
}
build test_kernels_sparse tests/unit/sparse_world.c
build test_kernels_sparse_plans tests/unit/sparse_world.c
build test_kernels_depthwise $kernels/{depthwise,depthwise_c,activate,plane,plane_c}.c
for test in sparse sparse_plans depthwise; do
    qemu-aarch64 "$out/test_kernels_$test"
done | tee "$out/log"
echo "test-neon: $(grep -c '^ok' "$out/log") passed, 0 failed"
