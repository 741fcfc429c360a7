/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any bytes as a .state file. The checksums are first made right, so
 * that the engine gets behind them; a copy with them as they came goes in too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "dpf/model/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void sum(uint8_t *to, const uint8_t *from, size_t size) {
    XXH64_hash_t hash = XXH64(from, size, 0);
    memcpy(to, &hash, sizeof hash);
}

/* Everything that a state leads to can be read. */
static void try(const uint8_t *data, size_t size) {
    dpf_state state;
    dpf_error err;
    if (dpf_state_decode(&state, "fuzz.state", data, size, &err) != DPF_OK) {
        if (state.cfg || state.arrays || state.count)
            abort();
        return;
    }
    size_t total = strlen(state.cfg);
    for (size_t i = 0; i < state.count; ++i) {
        const dpf_state_array *a = &state.arrays[i];
        const size_t bytes = a->count * (a->kind == DPF_STATE_MASK ? sizeof(uint64_t) : sizeof(float));
        const uint8_t *at = a->data;
        if ((uintptr_t)at % sizeof(uint64_t) || at < data || bytes > size - (size_t)(at - data))
            abort();
        total += bytes;
    }
    if (total > size)
        abort();
    dpf_state_free(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1); /* aligned, which the engine's bytes need not be */
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    try(copy, size);
    if (size >= 48) {
        const uint64_t length = size;
        memcpy(copy + 16, &length, sizeof length);
        sum(copy + 40, copy, 40);
        for (size_t at = 48; size - at >= 32;) {
            uint64_t count;
            uint32_t kind;
            memcpy(&kind, copy + at, sizeof kind);
            memcpy(&count, copy + at + 8, sizeof count);
            const size_t width = kind == 2 ? 1 : kind >= 32 ? 4 : 8, left = size - at - 32;
            const int fits = count <= left / width;
            if (fits)
                sum(copy + at + 16, copy + at + 32, (size_t)count * width);
            sum(copy + at + 24, copy + at, 24);
            const size_t whole = fits ? ((size_t)count * width + 7) / 8 * 8 : left + 1;
            if (whole > left)
                break;
            at += 32 + whole;
        }
        try(copy, size);
    }
    free(copy);
    return 0;
}
