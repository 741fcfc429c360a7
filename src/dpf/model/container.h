/* SPDX-License-Identifier: MIT
 *
 * The .dpf file: cfg text and weights of one network in one file, zeros of the
 * weights left out, everything compressed and with checksums. docs/dpf-format.md
 * describes it byte by byte.
 *
 * What must stay true: without `half` the .weights file that comes out has the
 * bytes of the one that went in, header, -0.0 and NaN payloads included; a file
 * damaged in any byte is refused and never crashes the reader; memory is asked for
 * only after the numbers that say how much have been checked.
 */
#ifndef DPF_MODEL_CONTAINER_H
#define DPF_MODEL_CONTAINER_H

#include <stddef.h>

#include "../core/error.h"
#include "../core/rows.h"
#include "weights.h"

typedef struct dpf_container_options {
    int half;  /* kept weights of layers as float16; biases and batch-norm values stay float32 */
    int level; /* of zstd, 1 to 22; 0: 19 */
} dpf_container_options;

/* More floats than this (16 GiB) no .dpf file may hold. */
#define DPF_CONTAINER_MAX_FLOATS ((size_t)1 << 32)

/* A .dpf file taken apart. */
typedef struct dpf_container {
    char *cfg; /* the text, NUL-terminated */
    size_t cfg_size;
    dpf_weights weights;
    int half;           /* the weights have been through float16 */
    size_t coded, kept; /* floats of the layers' weights; those of them that are not 0 */
} dpf_container;

/* In memory. encode: *out is malloc'd and the caller's; `cfg` is the text that `graph` was built
 * of. With half, a weight that float16 cannot hold fails with DPF_ERR_RANGE and names the layer.
 * decode: at most max_floats floats; `name` is for messages; DPF_ERR_FORMAT for any damage,
 * DPF_ERR_UNSUPPORTED for a version to come. On failure *out is empty. */
dpf_status dpf_container_encode(unsigned char **out, size_t *size, const dpf_graph *graph, const char *cfg,
                                size_t cfg_size, const dpf_weights *weights, const dpf_container_options *options,
                                dpf_error *err);
dpf_status dpf_container_decode(dpf_container *out, const char *name, const void *bytes, size_t size, size_t max_floats,
                                dpf_error *err);
void dpf_container_free(dpf_container *container); /* of the content; an empty one and NULL are allowed */

/* Does the file begin as a .dpf does? 0 also where it cannot be read. */
int dpf_container_is(const char *path);

/* A file whose floats are taken in order and never are all in memory at once. open makes the checks of
 * dpf_container_read; what shows only in the runs themselves, next and finish find. */
typedef struct dpf_container_stream dpf_container_stream;
dpf_status dpf_container_stream_open(dpf_container_stream **out, const char *path, dpf_error *err);
void dpf_container_stream_close(dpf_container_stream *stream); /* NULL is allowed */
const char *dpf_container_stream_cfg(const dpf_container_stream *stream, size_t *size);
/* The next `count` floats; the weights of a layer must not be cut. */
dpf_status dpf_container_stream_next(dpf_container_stream *stream, float *out, size_t count, dpf_error *err);
/* Where the next `count` floats are just the weights of one layer: how many of them are kept; else `count`. Nothing
 * is taken. */
size_t dpf_container_stream_kept(const dpf_container_stream *stream, size_t count);
/* Takes such weights without their zeros. */
dpf_status dpf_container_stream_next_rows(dpf_container_stream *stream, dpf_rows *out, size_t rows, size_t width,
                                          dpf_error *err);
dpf_status dpf_container_stream_finish(const dpf_container_stream *stream, dpf_error *err); /* all is used */

/* Files. Reading one also checks that its cfg is one and needs just those floats. options may be
 * NULL. Unpack writes both files anew, the cfg first. */
dpf_status dpf_container_read(dpf_container *out, const char *path, dpf_error *err);
dpf_status dpf_container_pack(const char *cfg, const char *weights, const char *path,
                              const dpf_container_options *options, dpf_error *err);
dpf_status dpf_container_unpack(const char *path, const char *cfg, const char *weights, dpf_error *err);
dpf_status dpf_container_verify(const char *path, dpf_error *err);

#endif
