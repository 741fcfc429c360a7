/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any bytes as a .dpf file. The checksums are first made right, so
 * that the engine gets behind them; a copy with them as they came goes in too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "dpf/model/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sum(uint8_t *to, const uint8_t *from, size_t size) {
    XXH64_hash_t hash = XXH64(from, size, 0);
    memcpy(to, &hash, sizeof hash);
}

static void try(const uint8_t *data, size_t size) {
    dpf_container content;
    dpf_error err;
    dpf_status status = dpf_container_decode(&content, "fuzz.dpf", data, size, 1 << 20, &err);
    if (status == DPF_OK ? !content.cfg || !content.weights.values || content.kept > content.coded
                         : content.cfg || content.weights.values)
        abort();
    dpf_container_free(&content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try(data, size);
    if (size < 40)
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    sum(copy + 32, copy, 32);
    for (size_t at = 40; size - at >= 40;) {
        uint64_t stored;
        memcpy(&stored, copy + at + 16, sizeof stored);
        if (stored <= size - at - 40)
            sum(copy + at + 24, copy + at + 40, stored);
        sum(copy + at + 32, copy + at, 32);
        if (stored > size - at - 40)
            break;
        at += 40 + stored;
    }
    try(copy, size);
    free(copy);
    return 0;
}
