/* SPDX-License-Identifier: MIT
 *
 * What the writer and the reader of .dpf files share: the numbers of the format
 * (docs/dpf-format.md), little-endian integers, byte planes, masks.
 */
#ifndef DPF_MODEL_CONTAINER_PARTS_H
#define DPF_MODEL_CONTAINER_PARTS_H

#include <stddef.h>
#include <stdint.h>

/* As PNG's: not text, and visible to a transfer that changes line ends. */
#define DPFC_MAGIC_BYTES                                                                                               \
    { (char)0x89, 'D', 'P', 'F', '\r', '\n', 0x1a, '\n' }
enum {
    DPFC_VERSION = 1,
    DPFC_FLAG_HALF = 1,
    DPFC_FILE_HEADER = 40,
    DPFC_SECTION_HEADER = 40,
    DPFC_RUN = 40,
    DPFC_MAX_CFG = 16 << 20
};

/* Sections, in the order in which every file has them. */
enum { DPFC_CFG = 1, DPFC_HEAD, DPFC_RUNS, DPFC_MASKS, DPFC_REST, DPFC_VALUES, DPFC_SECTIONS = DPFC_VALUES };

/* How a run says which of its weights are kept. */
enum { DPFC_ALL = 0, DPFC_BITMASK = 1, DPFC_INDEX = 2 };

/* The weights of one layer: `count` floats from float `first` of the file. */
typedef struct dpfc_run {
    uint32_t layer, coding;
    uint64_t first, count, kept, mask_size;
} dpfc_run;

/* Bytes that grow; failed becomes 1 when memory ran out, and stays so. */
typedef struct dpfc_bytes {
    unsigned char *data;
    size_t size, room;
    int failed;
} dpfc_bytes;

/* Makes place for `size` more bytes at the end and returns it, or NULL. */
unsigned char *dpfc_extend(dpfc_bytes *bytes, size_t size);

void dpfc_put32(unsigned char *at, uint32_t value);
void dpfc_put64(unsigned char *at, uint64_t value);
uint32_t dpfc_get32(const unsigned char *at);
uint64_t dpfc_get64(const unsigned char *at);

void dpfc_put_run(unsigned char at[DPFC_RUN], const dpfc_run *run);
void dpfc_get_run(dpfc_run *run, const unsigned char at[DPFC_RUN]);

/* Appends the mask of bits[0 .. count) (kept: not 0) in one coding. */
void dpfc_mask_append(dpfc_bytes *out, const uint32_t *bits, size_t count, uint32_t coding);

/* Goes through the kept weights of a run; made by {.run, .mask}. next: 1 and the place in the run of another one,
 * 0 behind the last, -1 when the mask is none. Places ascend and are below run->count; there are run->kept of them
 * when 0 comes, and never more. */
typedef struct dpfc_marks {
    const dpfc_run *run;
    const unsigned char *mask; /* run->mask_size bytes */
    uint64_t at, next, kept;   /* bytes read; the place behind the last one; how many there were */
    unsigned bits;             /* left of the byte read last, of a bitmask */
} dpfc_marks;
int dpfc_marks_next(dpfc_marks *marks, uint64_t *place);

#endif
