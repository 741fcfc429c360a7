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

static int end_of(const dpfc_marks *m) {
    return m->at == m->run->mask_size && m->kept == m->run->kept ? 0 : -1;
}

static int next_of_bitmask(dpfc_marks *m, uint64_t *place) {
    while (!m->bits) {
        if (m->at == m->run->mask_size)
            return m->at == m->run->count / 8 + (m->run->count % 8 != 0) ? end_of(m) : -1;
        m->bits = m->mask[m->at++];
    }
    *place = (m->at - 1) * 8 + (unsigned)__builtin_ctz(m->bits);
    m->bits &= m->bits - 1;
    return 1;
}

static int next_of_index(dpfc_marks *m, uint64_t *place) {
    uint64_t gap = 0;
    unsigned shift = 0;
    if (m->at == m->run->mask_size)
        return end_of(m);
    do {
        if (m->at == m->run->mask_size || shift > 56)
            return -1;
        gap |= (uint64_t)(m->mask[m->at] & 127) << shift;
        shift += 7;
    } while (m->mask[m->at++] & 128);
    if (gap > m->run->count)
        return -1;
    *place = m->next + gap;
    return 1;
}

int dpfc_marks_next(dpfc_marks *m, uint64_t *place) {
    int found;
    if (m->run->coding == DPFC_BITMASK)
        found = next_of_bitmask(m, place);
    else if (m->run->coding == DPFC_INDEX)
        found = next_of_index(m, place);
    else if (m->run->coding == DPFC_ALL && m->run->kept == m->run->count && m->run->mask_size == 0)
        found = (*place = m->next) < m->run->count;
    else
        found = -1;
    if (found <= 0)
        return found;
    if (*place >= m->run->count || m->kept == m->run->kept)
        return -1;
    m->kept++;
    m->next = *place + 1;
    return 1;
}
