/* SPDX-License-Identifier: MIT
 *
 * Darknet's .weights files. A header, then the layers' parameters as float32 in the
 * order of dpf_graph_layer's `offset`, little-endian:
 *
 *   int32 major, minor, revision
 *   seen   pictures trained on: int64 where 10 * major + minor >= 2, else int32
 *
 * Both headers occur in the wild (16 bytes for 0.1.0, 20 bytes for 0.2.x). Darknet
 * itself reads a short file silently and a long one as if it fitted; check first.
 */
#ifndef DPF_MODEL_WEIGHTS_H
#define DPF_MODEL_WEIGHTS_H

#include <stdint.h>

#include "../core/error.h"
#include "../core/rows.h"
#include "graph.h"

typedef struct dpf_weights_header {
    int32_t major, minor, revision;
    uint64_t seen;
    size_t size; /* bytes of the header in the file: 16 or 20 */
} dpf_weights_header;

/* Reads the header of a file's first bytes. Fails with DPF_ERR_FORMAT when there are too
 * few, or when they are none that any Darknet writes. `path` is for the message. */
dpf_status dpf_weights_parse_header(dpf_weights_header *header, const char *path, const void *bytes, size_t size,
                                    dpf_error *err);

/* DPF_OK when the file is there, readable, has a good header and exactly the floats that
 * the graph needs. DPF_ERR_IO, DPF_ERR_FORMAT (header), DPF_ERR_MISMATCH (length: names
 * the layer that the file ends in, or the number of bytes that are left over). */
dpf_status dpf_weights_check(const dpf_graph *graph, const char *path, dpf_error *err);

typedef struct dpf_weights {
    dpf_weights_header header;
    unsigned char header_bytes[20]; /* as in the file; header.size of them */
    float *values;                  /* every parameter in the order of the file; the caller's (dpf_weights_free) */
    size_t count;                   /* = graph->parameters */
} dpf_weights;

/* Reads a whole file after the checks of dpf_weights_check. Also refuses, with
 * DPF_ERR_UNSUPPORTED, cfgs whose keys make Darknet load a layer in another way
 * (dontload, ...): there the offsets of the graph would not be those of the file. Values are
 * taken bit by bit, NaN and -0.0 included. On failure *out is empty. */
dpf_status dpf_weights_read(dpf_weights *out, const dpf_graph *graph, const char *path, dpf_error *err);
void dpf_weights_free(dpf_weights *weights); /* of values; an empty struct and NULL are allowed */

/* A file whose floats are taken in order and never are all in memory at once; open makes the checks of
 * dpf_weights_read. */
typedef struct dpf_weights_stream dpf_weights_stream;
dpf_status dpf_weights_stream_open(dpf_weights_stream **out, const dpf_graph *graph, const char *path, dpf_error *err);
void dpf_weights_stream_close(dpf_weights_stream *stream); /* NULL is allowed */
dpf_status dpf_weights_stream_next(dpf_weights_stream *stream, float *out, size_t count, dpf_error *err);
/* How many of the next `count` floats are not 0; nothing is taken. */
dpf_status dpf_weights_stream_kept(dpf_weights_stream *stream, size_t count, size_t *kept, dpf_error *err);
/* The next rows * width floats without their zeros, of which `kept` are not 0. */
dpf_status dpf_weights_stream_next_rows(dpf_weights_stream *stream, dpf_rows *out, size_t rows, size_t width,
                                        size_t kept, dpf_error *err);

/* Replaces the file: the header in the width that its version asks for, then `count` floats.
 * DPF_ERR_RANGE where `seen` does not fit the 32 bits of an old version. */
dpf_status dpf_weights_write(const char *path, const dpf_weights_header *header, const float *values, size_t count,
                             dpf_error *err);

#endif
