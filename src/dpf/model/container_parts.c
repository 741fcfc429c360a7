/* SPDX-License-Identifier: MIT
 *
 * See container_parts.h.
 */
#include "container_parts.h"

#include <stdlib.h>
#include <string.h>

unsigned char *dpfc_extend(dpfc_bytes *bytes, size_t size) {
    if (bytes->failed)
        return NULL;
    if (!bytes->data || size > bytes->room - bytes->size) { /* also for nothing: NULL says that it failed */
        size_t room = bytes->room ? bytes->room : 256;
        while (room - bytes->size < size) {
            if (room > SIZE_MAX / 2)
                goto fail;
            room *= 2;
        }
        unsigned char *grown = realloc(bytes->data, room);
        if (!grown)
            goto fail;
        bytes->data = grown;
        bytes->room = room;
    }
    bytes->size += size;
    return bytes->data + bytes->size - size;
fail:
    bytes->failed = 1;
    return NULL;
}

void dpfc_put32(unsigned char *at, uint32_t value) {
    for (int i = 0; i < 4; ++i)
        at[i] = (unsigned char)(value >> 8 * i);
}

void dpfc_put64(unsigned char *at, uint64_t value) {
    dpfc_put32(at, (uint32_t)value);
    dpfc_put32(at + 4, (uint32_t)(value >> 32));
}

uint32_t dpfc_get32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t dpfc_get64(const unsigned char *at) {
    return dpfc_get32(at) | (uint64_t)dpfc_get32(at + 4) << 32;
}

void dpfc_put_run(unsigned char at[DPFC_RUN], const dpfc_run *run) {
    dpfc_put32(at, run->layer);
    dpfc_put32(at + 4, run->coding);
    dpfc_put64(at + 8, run->first);
    dpfc_put64(at + 16, run->count);
    dpfc_put64(at + 24, run->kept);
    dpfc_put64(at + 32, run->mask_size);
}

void dpfc_get_run(dpfc_run *run, const unsigned char at[DPFC_RUN]) {
    run->layer = dpfc_get32(at);
    run->coding = dpfc_get32(at + 4);
    run->first = dpfc_get64(at + 8);
    run->count = dpfc_get64(at + 16);
    run->kept = dpfc_get64(at + 24);
    run->mask_size = dpfc_get64(at + 32);
}

/* Zeros between kept weights, seven bits a byte, low ones first, the top bit of all but the last set. */
static void append_gaps(dpfc_bytes *out, const uint32_t *bits, size_t count) {
    size_t gap = 0;
    for (size_t i = 0; i < count; ++i) {
        if (!bits[i]) {
            ++gap;
            continue;
        }
        for (;;) {
            unsigned char *at = dpfc_extend(out, 1);
            if (!at)
                return;
            *at = (unsigned char)(gap < 128 ? gap : 128 | (gap & 127));
            if (gap < 128)
                break;
            gap >>= 7;
        }
        gap = 0;
    }
}

void dpfc_mask_append(dpfc_bytes *out, const uint32_t *bits, size_t count, uint32_t coding) {
    if (coding == DPFC_INDEX)
        append_gaps(out, bits, count);
    if (coding != DPFC_BITMASK)
        return;
    size_t size = count / 8 + (count % 8 != 0);
    unsigned char *at = dpfc_extend(out, size);
    if (!at)
        return;
    memset(at, 0, size);
    for (size_t i = 0; i < count; ++i)
        at[i / 8] = (unsigned char)(at[i / 8] | (bits[i] != 0) << i % 8);
}

static int read_bitmask(unsigned char *marks, const dpfc_run *run, const unsigned char *mask) {
    uint64_t kept = 0;
    if (run->mask_size != run->count / 8 + (run->count % 8 != 0))
        return 0;
    for (size_t i = 0; i < run->count; ++i)
        kept += marks[i] = mask[i / 8] >> i % 8 & 1;
    /* the bits behind the last weight are 0 */
    return kept == run->kept && (run->count % 8 == 0 || mask[run->count / 8] >> run->count % 8 == 0);
}

static int read_gaps(unsigned char *marks, const dpfc_run *run, const unsigned char *mask) {
    uint64_t next = 0, kept = 0;
    memset(marks, 0, (size_t)run->count);
    for (size_t i = 0; i < run->mask_size; ++kept, ++next) {
        uint64_t gap = 0;
        unsigned shift = 0;
        do {
            if (i == run->mask_size || shift > 56)
                return 0;
            gap |= (uint64_t)(mask[i] & 127) << shift;
            shift += 7;
        } while (mask[i++] & 128);
        if (next >= run->count || gap >= run->count - next)
            return 0;
        next += gap;
        marks[next] = 1;
    }
    return kept == run->kept;
}

int dpfc_mask_read(unsigned char *marks, const dpfc_run *run, const unsigned char *mask) {
    if (run->coding == DPFC_BITMASK)
        return read_bitmask(marks, run, mask);
    if (run->coding == DPFC_INDEX)
        return read_gaps(marks, run, mask);
    memset(marks, 1, (size_t)run->count);
    return run->coding == DPFC_ALL && run->kept == run->count && run->mask_size == 0;
}
